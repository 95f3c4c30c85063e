"""Kernels compiled ahead: all of them, once on a node, whoever comes first."""

import subprocess
import sys

import pytest

from gen_dist.kernels import code_cache
from gen_dist.kernels.warm_up import PARTS, warm_up

PROGRAM = """
import sys
from numba.core import event
from gen_dist.kernels.warm_up import warm_up
with event.install_recorder("numba:compile") as recorder:
    print(*warm_up(*sys.argv[1:]), sep=",")
print(sum(1 for _, e in recorder.buffer if e.is_start))
"""

# What training and preparing do with kernels; prints what had to be compiled for it.
USE = """
import io, sys
import numpy as np
import simplejpeg
from PIL import Image
from numba.core import event
from gen_dist.config import AugmentSettings
from gen_dist.preparing.decoding import READ_BY_KERNELS, Decoder
from gen_dist.data.loader import Loader
from gen_dist.data.pack import Pack
from gen_dist.data.pixels import kernels_used
from gen_dist.data.stream import Batching
from gen_dist.draws import Draws
from gen_dist.preparing.recipe import Recipe
from gen_dist.kernels.mailbox import has_come, post
from gen_dist.kernels.rmsprop import step
from gen_dist.kernels.tree import sum_vectors
from gen_dist.preparing.duplicates import Duplicates, fingerprints
from tests.unit.test_loader import EVERYTHING, FakePack
with event.install_recorder("numba:compile") as recorder:
    for augment in (AugmentSettings(), EVERYTHING):
        loader = Loader(FakePack(), 0, Batching(4, 2), augment=augment, pixel_range=(-1.0, 1.0))
        loader.get(0, 0, [0, 1])
        loader.close()
    for pack in [FakePack(), *map(Pack.open, sys.argv[1:])]:
        part = AugmentSettings(crop_scale=0.5)
        for augment in (part, EVERYTHING) if pack.encoded else (part,):
            assert kernels_used(pack, augment) == ("training", "decoding")
            loader = Loader(pack, 0, Batching(4, 2), augment=augment, pixel_range=(-1.0, 1.0))
            loader.get(0, 0, [0, 1])
            loader.close()
    draws = Draws(0).at(0, 0, np.arange(3))
    draws.normal("a", 5), draws.uniform("b", 2)
    sum_vectors(np.zeros(3, np.float32), [np.zeros(3, np.float32)] * 2, np.array([[0, 1]]))
    row = np.zeros(8, np.int64)
    post(row, np.zeros(2, np.int64), 1)
    assert has_come(row, 1, 1)
    for velocity in (None, np.zeros(5, np.float32)):
        vectors = [np.ones(5, np.float32) for _ in range(3)]
        step(*vectors, velocity, rate=0.1, decay=0.9, epsilon=1e-7, momentum=0.5)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    drawing = io.BytesIO()
    Image.fromarray(pixels).save(drawing, "PNG")
    for recipe in (Recipe(16), Recipe(16, channels=1, filter="bilinear", keep_jpeg=True)):
        with Decoder(recipe, READ_BY_KERNELS) as decoder:
            found = decoder.decode([simplejpeg.encode_jpeg(pixels), drawing.getvalue()])
            assert not any(isinstance(one, str) for one in found)
    duplicates = Duplicates("near")
    for fingerprint in fingerprints(np.stack([pixels, pixels]), "near"):
        duplicates.check(fingerprint)
        duplicates.add(fingerprint, 0)
print(*sorted({e.data["dispatcher"].py_func.__name__ for _, e in recorder.buffer}))
"""


def test_what_was_warmed_up_is_all_that_is_used(packs):
    warm_up()
    encoded = [packs["jpeg"], packs["jpeg gray"]]
    done = subprocess.run([sys.executable, "-c", USE, *encoded], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


# What looks for duplicates, in a cache that nothing else has filled; prints what had to be compiled for it.
SIFT = """
import numpy as np
from numba.core import event
from gen_dist.kernels.warm_up import warm_up
from gen_dist.preparing.duplicates import Duplicates, fingerprints
warm_up("duplicates")
images = np.zeros((2, 8, 8, 3), np.uint8)
images.flags.writeable = False
with event.install_recorder("numba:compile") as recorder:
    prints = fingerprints(images, "near")
    prints.flags.writeable = False
    for drop in ("none", "near"):
        Duplicates("near").sift(prints, 0, drop)
    one = Duplicates("near")
    one.add(prints[0], 0)
    one.check(prints[1])
    Duplicates("exact").check(fingerprints(images, "exact")[0])
print(*sorted({e.data["dispatcher"].py_func.__name__ for _, e in recorder.buffer}))
"""


def test_looking_for_duplicates_is_warmed_up(cache_home):
    done = subprocess.run([sys.executable, "-c", SIFT], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_folder_that_cannot_be_locked_is_no_fault(cache_home, monkeypatch):
    folder = code_cache.cache_folder()
    (folder / "lock").mkdir()
    made = []
    monkeypatch.setattr("gen_dist.kernels.warm_up.PARTS", {"training": (lambda: made.append(1),)})
    assert warm_up() == warm_up() == ["training"]  # and no mark, since nothing was kept
    assert made == [1, 1]


def test_without_the_compiler_nothing_is_marked(cache_home, monkeypatch):
    monkeypatch.setattr("numba.config.DISABLE_JIT", True)
    assert warm_up() == []
    assert not list(code_cache.cache_folder().iterdir())


def run(*parts):
    done = subprocess.run([sys.executable, "-c", PROGRAM, *parts], capture_output=True, text=True, check=True)
    names, compiled = done.stdout.splitlines()
    return [name for name in names.split(",") if name], int(compiled)


@pytest.fixture
def cache_home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    code_cache.cache_folder.cache_clear()
    yield tmp_path
    code_cache.cache_folder.cache_clear()


def test_a_part_is_compiled_by_the_first_process_only(cache_home, monkeypatch):
    made, compiled = run("training")
    assert made == ["training"]
    assert compiled > 3
    assert run("training") == ([], 0)
    assert warm_up("training") == []


def test_processes_wait_for_the_one_that_compiles(cache_home):
    both = [
        subprocess.Popen([sys.executable, "-c", PROGRAM, "training"], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = sorted(process.communicate()[0].splitlines()[0] for process in both)
    assert outputs == ["", "training"]


def test_without_a_folder_each_process_compiles(cache_home, monkeypatch):
    monkeypatch.setattr("gen_dist.kernels.warm_up.cache_folder", lambda: None)
    monkeypatch.setattr("gen_dist.kernels.warm_up.PARTS", {"training": (lambda: made.append(1),)})
    made = []
    assert warm_up("training") == warm_up() == ["training"]
    assert made == [1, 1]


def test_unknown_parts_are_refused():
    with pytest.raises(ValueError, match="part 'all': must be one of training, decoding, duplicates"):
        warm_up("all")
    assert list(PARTS) == ["training", "decoding", "duplicates"]
