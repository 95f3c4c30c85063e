"""Sources of every kind into packs, as a user does it: prepared, inspected, verified, trained on; and interrupted."""

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gen_dist.data.pack import Pack
from gen_dist.kernels.code_cache import cache_folder
from gen_dist.kernels.limits import Limits
from gen_dist.preparing.prepare import prepare
from gen_dist.sources.catalogue import Entry, Form, RemoteFile
from gen_dist.sources.named import open_known
from tests.command import finish, gen_dist, start, traces, train, wait_for
from tests.packs import noise, pack_of
from tests.source_files import DIGITS, png, write_archives, write_arrays, write_classes, write_digits, write_video


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a source of each kind."""
    cwd = tmp_path_factory.mktemp("sources")
    write_archives(cwd, write_classes(cwd / "classes"))
    write_digits(cwd / "digits")
    write_arrays(cwd)
    (cwd / "mixed").mkdir()
    for name, seed in (("one.png", 1), ("same.png", 1), ("two.png", 2), ("new\nline \x1b[31m.png", 3)):
        (cwd / "mixed" / name).write_bytes(png(seed))
    (cwd / "mixed" / "cut \x1b]0;title\x07.png").write_bytes(png(4)[:60])
    (cwd / "mixed" / "notes.txt").write_text("hello")
    frames = [Image.new("RGB", (20, 20), (i, 80 * i, 0)) for i in range(3)]
    frames[0].save(cwd / "mixed" / "three.gif", save_all=True, append_images=frames[1:])
    return cwd


# Source and options; how many images, and of how many classes.
KINDS = {
    "folder": (["classes"], 12, 2),
    "zip": (["classes.zip"], 12, 2),
    "tar.gz": (["classes.tar.gz"], 12, 2),
    "folder of tars": (["tars"], 12, None),
    "IDX": (["digits/train-images-idx3-ubyte.gz"], DIGITS[0], 10),
    "CIFAR": (["data_batch_1.bin"], 10, 10),
    "npy": (["images.npy"], 10, None),
    "npz": (["images.npz"], 10, 10),
    "known name": (["mnist", "--from", "digits"], sum(DIGITS), 10),
    "gray": (["classes", "--gray", "--crop", "pad"], 12, 2),
    "all frames": (["mixed", "--frames", "all"], 7, None),
    "no duplicates": (["mixed", "--drop-duplicates", "exact"], 4, None),
}


@pytest.mark.parametrize("kind", KINDS)
def test_prepare(kind: str, place: Path) -> None:
    arguments, images, classes = KINDS[kind]
    out = place / f"pack of {kind}"
    done = gen_dist("prepare", arguments[0], out, "--size", 16, *arguments[1:], cwd=place)
    assert (done.code, done.err) == (0, ""), done
    assert f"{images} images of 16x16" in done.out
    pack = Pack.open(out)
    assert (len(pack), None if pack.class_names is None else len(pack.class_names)) == (images, classes)
    assert pack.shape == (16, 16, 1 if "--gray" in arguments else 3)
    assert pack.verify() == []


def test_a_folder_and_its_archives_give_the_same_images(place: Path) -> None:
    hashes = set()
    for source in ("classes", "classes.zip", "classes.tar.gz"):
        out = place / f"same {source}"
        assert gen_dist("prepare", source, out, "--size", 8, cwd=place).code == 0
        hashes.add(Pack.open(out).meta.content_hash)
    assert len(hashes) == 1


def test_the_whole_way(place: Path) -> None:
    """Names that a terminal would obey reach it nowhere; what was rejected is told."""
    prepared = gen_dist("prepare", "mixed", "whole", "--size", 32, "--keep", "jpeg", cwd=place)
    assert (prepared.code, prepared.err) == (0, "")
    assert "whole: 5 images of 32x32" in prepared.out
    assert "exact duplicates: 1 (kept; --drop-duplicates exact leaves them out)" in prepared.out
    assert "rejected: 2 (all are listed in whole/meta.json)" in prepared.out
    again = gen_dist("prepare", "mixed", "whole", "--size", 32, "--keep", "jpeg", cwd=place)
    assert again.out == "whole: nothing to do: 5 images, made from the same source with the same settings\n"
    inspected = gen_dist("inspect", "whole", "--out", "sheet.png", cwd=place)
    assert inspected.code == 0, inspected.err
    with Image.open(place / "sheet.png") as sheet:
        assert sheet.width > 32
    verified = gen_dist("verify", "whole", cwd=place)
    assert (verified.code, verified.out) == (0, "whole: 5 images, all as they were written\n")
    failed = gen_dist("prepare", "mixed", "no", "--size", 32, "--on-error", "fail", cwd=place)
    assert failed.code == 2
    assert failed.err.count("\n") == 1
    assert r"cut \x1b]0;title\x07.png: " in failed.err
    for done in (prepared, inspected, failed):
        assert "\x1b" not in done.out + done.err
    train(place, "run of whole", "smoke", "--no-ray", "data.path=whole", "train.steps=3")


def test_training_on_an_archive(place: Path) -> None:
    """It is prepared once, into the cache."""
    cache = place / "cache"
    kernels = cache_folder()
    if kernels is not None and kernels.is_dir():
        (cache / "gen-dist").mkdir(parents=True)
        shutil.copytree(kernels, cache / "gen-dist" / kernels.name)  # or all would be compiled again
    settings = ["smoke", "--no-ray", "data.path=classes.zip", "data.size=32", "train.steps=2", "wandb.mode=disabled"]
    said = []
    for run in ("raw 1", "raw 2"):
        done = gen_dist("train", *settings, "--run-dir", run, cwd=place, XDG_CACHE_HOME=str(cache))
        assert done.code == 0, done.err
        said.append(done.out)
    (pack,) = (one for one in (cache / "gen-dist" / "packs").iterdir() if one.is_dir())
    assert f"preparing 12 items of '{place}/classes.zip' at 32×32, once, into" in said[0]
    assert "prepared 12 images" in said[0]
    assert "prepar" not in said[1]
    assert Pack.open(pack).class_names == ("a", "b")


def test_splits(place: Path) -> None:
    done = gen_dist("prepare", "digits", "parts", "--size", 16, "--split", "0.8", cwd=place)
    assert done.code == 0, done.err
    train_pack, held_out = Pack.open(place / "parts" / "train"), Pack.open(place / "parts" / "held-out")
    assert len(train_pack) + len(held_out) == sum(DIGITS)
    assert len(train_pack) > len(held_out)
    done = gen_dist("prepare", "classes", "folders", "--size", 16, "--split", "0.5", "--by-folder", cwd=place)
    assert done.code == 0, done.err
    assert [len(Pack.open(place / "folders" / side)) for side in ("train", "held-out")] == [6, 6]


def test_video(place: Path) -> None:
    pytest.importorskip("av")
    write_video(place / "film.mp4")
    done = gen_dist("prepare", "film.mp4", "film", "--size", 16, "--every", 2, "--split", "0.8", cwd=place)
    assert done.code == 0, done.err
    sides = [Pack.open(place / "film" / side) for side in ("train", "held-out")]
    assert [len(pack) for pack in sides] == [12, 3]
    brightness = [pack.read(range(len(pack))).mean(axis=(1, 2, 3)) for pack in sides]
    assert (np.diff(brightness[0]) > 0).all(), "in order of time"


def test_a_known_name_from_a_server(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Downloaded, checked and prepared; then neither."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "*")
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None:
            asked.append(self.path)

    data = (place / "classes.tar.gz").read_bytes()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(place))) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/classes.tar.gz"
        file = RemoteFile("classes.tar.gz", (url,), f"sha256:{hashlib.sha256(data).hexdigest()}", len(data))
        form = Form("archive", (("classes.tar.gz",),))
        entry = Entry("tiny", "Tiny", (file,), (form,), "folders", "https://example.invalid/", "none")
        for unchanged in (False, True):
            source = open_known(entry, None, Limits(), pytest.fail, None)
            done = prepare(source, tmp_path / "pack", 16)
            source.close()
            assert (done.unchanged, done.images) == (unchanged, 12)
        server.shutdown()
    assert asked == ["/classes.tar.gz"]
    assert Pack.open(tmp_path / "pack").class_names == ("a", "b")


def test_a_pack_in_its_own_source(tmp_path: Path) -> None:
    """It is not a part of itself when the command is given again."""
    write_classes(tmp_path / "classes")
    first = gen_dist("prepare", ".", "classes/pack", "--size", 16, cwd=tmp_path / "classes" / "..")
    assert "12 images" in first.out, first
    again = gen_dist("prepare", ".", "classes/pack", "--size", 16, cwd=tmp_path)
    assert "nothing to do: 12 images" in again.out, again
    (tmp_path / "classes" / "a" / "new.png").write_bytes(png(77))
    more = gen_dist("prepare", ".", "classes/pack", "--size", 16, cwd=tmp_path)
    assert "13 images" in more.out
    assert "read 1 items; the other 12 were in the pack already" in more.out
    assert "rejected" not in more.out


IMAGES = 500
SLOWLY = ["--size", "256", "--workers", "1", "data.decoding.decoder=libraries"]


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `many`, which takes many seconds to prepare with slow settings."""
    cwd = tmp_path_factory.mktemp("slow")
    (cwd / "many").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (1000, 1400, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    (cwd / "many" / "0000.png").write_bytes(file.getvalue())
    for i in range(1, IMAGES):
        os.link(cwd / "many" / "0000.png", cwd / "many" / f"{i:04}.png")
    return cwd


def test_interrupted_twice_and_gone_on(slow: Path) -> None:
    """By Ctrl-C, then by a scheduler; a second process meanwhile is refused. The rest is done at the third try."""
    journal, done = slow / ".pack.partial" / "journal.json", 0
    for number in (signal.SIGINT, signal.SIGTERM):
        process = start(["prepare", "many", "pack", *SLOWLY], slow)
        wait_for(lambda before=done: items_in(journal) > before)
        process.send_signal(signal.SIGSTOP)  # or it is done before the second has started
        other = gen_dist("prepare", "many", "pack", *SLOWLY, cwd=slow)
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)
        ended = finish(process)
        assert (other.code, other.out) == (2, "")
        assert other.err == "gen-dist: pack 'pack': another process is making it; wait for that, or stop it\n"
        assert ended.err == "gen-dist: interrupted; what is done is kept; give the same command again to go on\n"
        assert ended.code == 128 + number
        assert traces(process.pid) == []
        assert sorted(os.listdir(slow)) == [".pack.partial", "many"]
        done = items_in(journal)
    ended = gen_dist("prepare", "many", "pack", *SLOWLY, cwd=slow)
    assert f"went on after the {done} items of an interrupted try" in ended.out, ended
    assert Pack.open(slow / "pack").verify() == []
    assert sorted(os.listdir(slow)) == ["many", "pack"]


def items_in(journal: Path) -> int:
    return json.loads(journal.read_text())["tally"]["items"] if journal.exists() else 0


def test_a_terminated_inspection_leaves_nothing(slow: Path) -> None:
    process = start(["inspect", "many", "--size", "256"], slow)
    wait_for(lambda: list(Path(os.environ["TMPDIR"]).glob("gen-dist-*/.pack.partial/pack/*")))
    process.terminate()
    assert finish(process).code == 143
    assert list(Path(os.environ["TMPDIR"]).glob("gen-dist-*")) == []
    assert traces(process.pid) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    path = tmp_path / "disk"
    path.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small file system here: {mounted.stderr.strip()}")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def test_a_full_disk(small_disk: Path, place: Path) -> None:
    done = gen_dist("prepare", "classes", small_disk / "pack", "--size", 512, cwd=place)
    assert done.code == 2
    assert done.err == (
        f"gen-dist: pack '{small_disk}/pack': cannot write it: No space left on device; "
        "give a folder with room to write in\n"
    )
    assert os.listdir(small_disk) == []
    done = gen_dist("prepare", "classes", small_disk / "pack", "--size", 16, cwd=place)
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("file", "reason"), [("images-00000.npy", "has 7807 bytes, 7808"), ("labels.npy", "has 207 b")]
)
def test_a_damaged_pack_is_refused_by_every_command(file: str, reason: str, tmp_path: Path) -> None:
    """tests/unit/test_damage.py has the other damages."""
    pack_of(tmp_path / "pack", noise(10, (16, 16, 3)), classes=["a", "b"], labels=[0, 1] * 5)
    (tmp_path / "pack" / file).write_bytes((tmp_path / "pack" / file).read_bytes()[:-1])
    for command in (["verify", "pack"], ["inspect", "pack"], ["train", "smoke", "--no-ray", "data.path=pack"]):
        refused = gen_dist(*command, cwd=tmp_path)
        assert refused.code == 2, refused
        assert refused.err.startswith(f"gen-dist: pack 'pack': {file}: {reason}"), refused.err
        assert refused.err.count("\n") == 1
        assert os.listdir(tmp_path) == ["pack"]
