"""Items taken from an earlier pack: the new pack is the one that is made afresh, and no damage is passed on."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gen_dist.config import DecodingSettings, PrepareSettings
from gen_dist.data.pack_index import INDEX
from gen_dist.errors import UserError
from gen_dist.preparing.decoder_process import DecoderProcess
from gen_dist.preparing.prepare import Prepared, prepare
from gen_dist.sources.folder import Folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    for number in range(4):
        put(folder, number)
    return folder


def put(folder: Path, number: int) -> None:
    """A JPEG a little more than twice as wide as the packs' images, where one may shrink in the transform or not."""
    coarse = np.random.default_rng(number).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((36, 36)).save(folder / f"{number}.jpg")


def run(source: Path, name: str = "pack", **settings: object) -> Prepared:
    wanted = PrepareSettings.model_validate(settings)
    return prepare(Folder(source, 1 << 20), source.parent / name, 16, wanted, DecodingSettings(decoder="libraries"))


def files(done: Prepared) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in done.path.iterdir()}


@pytest.mark.parametrize("keep", ["pixels", "jpeg"])
def test_a_new_copy_of_a_known_image_is_an_exact_duplicate(source: Path, keep: str) -> None:
    run(source, keep=keep, drop_duplicates="exact")
    (source / "copy.jpg").write_bytes((source / "2.jpg").read_bytes())
    again = run(source, keep=keep, drop_duplicates="exact")
    assert again.read == 1
    assert again.packs[""].meta.counts["exact_duplicates"] == 1
    assert files(again) == files(run(source, "fresh", keep=keep, drop_duplicates="exact"))


@pytest.mark.parametrize(("keep", "part"), [("pixels", "images-00000.npy"), ("jpeg", "jpegs-00000.npy")])
def test_a_damaged_image_is_read_again(source: Path, keep: str, part: str) -> None:
    done = run(source, keep=keep)
    damaged = bytearray((done.path / part).read_bytes())
    damaged[-100] ^= 1
    (done.path / part).write_bytes(damaged)
    put(source, 9)
    again = run(source, keep=keep)
    assert again.packs[""].verify() == []
    assert files(again) == files(run(source, "fresh", keep=keep))


def test_a_damaged_index_is_not_believed(source: Path) -> None:
    done = run(source)
    index = done.path / INDEX
    index.write_bytes(index.read_bytes().replace(b'"width":36', b'"images":36', 1))
    put(source, 9)
    again = run(source)
    assert again.read == 5
    assert files(again) == files(run(source, "fresh"))


@pytest.mark.parametrize("reason", ["takes more than 60 seconds to decode", "crashes the decoder (signal 9)"])
def test_what_a_busy_machine_refused_is_tried_again(source: Path, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    decode = DecoderProcess.decode
    monkeypatch.setattr(DecoderProcess, "decode", lambda self, data: reason)
    (source / "4.gif").write_bytes(b"GIF89a and nothing more")
    with pytest.raises(UserError, match="none of its 5 files"):
        run(source)
    bad = (source / "2.jpg").read_bytes()
    monkeypatch.setattr(DecoderProcess, "decode", lambda self, data: reason if data == bad else decode(self, data))
    assert len(run(source).packs[""]) == 3
    monkeypatch.setattr(DecoderProcess, "decode", decode)
    put(source, 9)
    again = run(source)
    assert again.read == 2
    assert len(again.packs[""]) == 5
