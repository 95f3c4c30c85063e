"""The nasty files, one by one: an image as Pillow shows it, or the right reason; by our kernels and by libraries."""

import json
import os
import subprocess
import sys

import numpy as np
import PIL
import pytest
from PIL import Image

from gen_dist.config import DecodingSettings
from gen_dist.preparing.decoding import READ_BY_KERNELS, Decoder
from gen_dist.preparing.outcome import Decoded
from gen_dist.preparing.prepare import prepare
from gen_dist.preparing.recipe import Recipe
from gen_dist.sources.folder import Folder, read_image_file
from gen_dist.sources.source import RejectedError
from tests import nasty

SIZE = 16
FORMATS = {"kernels": READ_BY_KERNELS, "libraries": ()}
ROUNDING = 0 if ".post" in PIL.__version__ else 1  # our kernels round as Pillow-SIMD does
MOST_BYTES = 32 << 20  # that a refused bomb may add to the peak of a process


@pytest.fixture(scope="module")
def decoders():
    made = {name: Decoder(Recipe(SIZE), formats) for name, formats in FORMATS.items()}
    yield made
    for decoder in made.values():
        decoder.__exit__()


def square(image):
    """The same in the plainest words that Pillow has."""
    picture = Image.fromarray(image)
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    box = (left, top, left + side, top + side)
    return np.asarray(picture.resize((SIZE, SIZE), Image.Resampling.LANCZOS, box=box)).astype(int)


@pytest.mark.parametrize("decoder", FORMATS)
@pytest.mark.parametrize("name", nasty.CASES)
def test_accepted_or_refused_rightly(name, decoder, decoders):
    case = nasty.CASES[name]()
    [outcome] = decoders[decoder].decode([case.data])
    reason = (case.by_kernels or case.reason) if decoder == "kernels" else case.reason
    if case.image is None or (reason and decoder == "libraries"):
        assert isinstance(outcome, str), "accepted"
        assert reason in outcome
        assert "\n" not in outcome
        return
    assert isinstance(outcome, Decoded), outcome
    assert (outcome.height, outcome.width) == case.image.shape[:2]
    away = np.abs(outcome.images[0] - square(case.image))
    assert away.max() <= (max(case.tolerance, ROUNDING) if decoder == "kernels" else 0)


@pytest.mark.parametrize("decoder", FORMATS)
def test_all_frames_and_kept_files(decoder):
    """The same decisions under the other recipes, and as many images as frames."""
    for recipe in (Recipe(SIZE, all_frames=True), Recipe(SIZE, keep_jpeg=True, channels=1)):
        with Decoder(recipe, FORMATS[decoder]) as made:
            cases = {name: make() for name, make in nasty.CASES.items()}
            outcomes = dict(zip(cases, made.decode([case.data for case in cases.values()]), strict=True))
        for name, outcome in outcomes.items():
            wanted = cases[name]
            if wanted.image is None:
                assert isinstance(outcome, str), name
            elif isinstance(outcome, Decoded):
                assert len(outcome.images) == (wanted.frames if recipe.all_frames else 1), name
                assert (outcome.jpegs is not None) == recipe.keep_jpeg
            else:
                assert wanted.reason, f"{name}: {outcome}"


# Decodes a good file, then a bad one; prints by how many bytes each process' peak grew, and the reason.
PEAKS = """
import json, sys
from pathlib import Path
from gen_dist.config import DecodingSettings
from gen_dist.preparing.decoding import Decoder
from gen_dist.preparing.recipe import Recipe
from tests import nasty

def peak(pid):
    status = Path(f"/proc/{pid}/status").read_bytes()
    return int(status.split(b"VmHWM:", 1)[1].split(None, 1)[0]) << 10

formats, name = json.loads(sys.argv[1]), sys.argv[2]
bomb = nasty.CASES[name]().data
with Decoder(Recipe(16), formats) as decoder:
    decoder.decode([nasty.drawing(), nasty.photo(), nasty.photo(progressive=True)])
    Path("/proc/self/clear_refs").write_text("5")  # the peak becomes what it is now
    processes = ["self", str(decoder._process.pid)]
    before = [peak(process) for process in processes]
    [outcome] = decoder.decode([bomb])
    print(json.dumps([outcome if isinstance(outcome, str) else "", *(peak(p) - b for p, b in zip(processes, before))]))
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="Linux tells the peak of memory")
@pytest.mark.parametrize("decoder", FORMATS)
@pytest.mark.parametrize(
    "name",
    [
        "PNG of 50,000 x 50,000", "JPEG of 60,000 x 60,000", "GIF of 30,000 x 30,000", "BMP of 50,000 x 50,000",
        "TIFF of 60,000 x 60,000", "PPM of 60,000 x 60,000", "PNG that inflates to 64 MB more",
        "PNG with a text of 64 MB",
    ],
)  # fmt: skip
def test_bombs_take_no_memory(name, decoder):
    command = [sys.executable, "-c", PEAKS, json.dumps(FORMATS[decoder]), name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    reason, *added = json.loads(done.stdout)
    assert reason or nasty.CASES[name]().image is not None
    assert max(added) < MOST_BYTES


@pytest.mark.parametrize("decoder", FORMATS)
def test_a_folder_of_them_is_prepared(tmp_path, decoder):
    """All at once, as a person meets them: the pack holds what is good, and says of the rest why not."""
    (tmp_path / "source").mkdir()
    cases = {f"{number:03} {name.replace('/', '-')}": make() for number, (name, make) in enumerate(nasty.CASES.items())}
    for name, case in cases.items():
        (tmp_path / "source" / name).write_bytes(case.data)
    settings = DecodingSettings(decoder=decoder)
    done = prepare(Folder(tmp_path / "source", settings.file_bytes), tmp_path / "pack", SIZE, decoding=settings)
    reasons = {one.name: one.reason for one in done.packs[""].meta.rejected}
    number = 0
    for entry in done.packs[""].entries():
        case = cases[entry.name]
        if not entry.images:
            expected = (case.by_kernels or case.reason) if decoder == "kernels" else case.reason
            assert expected, entry.name
            assert expected in reasons[entry.name]
            continue
        assert case.image is not None, f"{entry.name}: accepted"
        away = np.abs(done.packs[""].read([number])[0] - square(case.image))
        assert away.max() <= (max(case.tolerance, ROUNDING) if decoder == "kernels" else 0), entry.name
        number += 1
    assert number == done.images > 60
    assert len(reasons) == len(cases) - number > 40


def test_odd_files(tmp_path):
    odd = nasty.put_odd_files(tmp_path / "source")
    folder = Folder(tmp_path / "source", 400 << 20)
    assert set(folder.files) == set(odd)
    assert folder.rejected == [(os.path.join("inner", "back"), "a link to a folder that was read already")]
    with Decoder(Recipe(SIZE), ()) as decoder:
        for name in folder.files:
            try:
                content = read_image_file(folder.folder / name, 400 << 20)
            except RejectedError as error:
                content = str(error)
            [outcome] = decoder.decode([content])
            if odd[name]:
                assert odd[name] in outcome
            else:
                assert isinstance(outcome, Decoded), outcome
