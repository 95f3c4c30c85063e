"""Preparing a second time: after a kill, when nothing has changed, when something has, with other settings."""

import io
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from gen_dist.config import DecodingSettings, PrepareSettings
from gen_dist.data.pack import Pack
from gen_dist.errors import UserError
from gen_dist.preparing import making, pool
from gen_dist.preparing.outcome import Decoded, Outcome
from gen_dist.preparing.prepare import Prepared, prepare
from gen_dist.preparing.recipe import Recipe
from gen_dist.preparing.sides import Split
from gen_dist.preparing.work_folder import WorkFolder
from gen_dist.sources import folder as folder_module
from gen_dist.sources.folder import Folder
from gen_dist.sources.source import Content

LIBRARIES = DecodingSettings(decoder="libraries")
KILLS = 50


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


def put(folder: Path, numbers: range) -> None:
    for number in numbers:
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        (folder / f"{number % 3}").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{number % 3}" / f"{number:04}.png")


class PlainDecoder(AbstractContextManager):
    """Decodes small PNGs in this process: starting another costs more than all the rest of these tests."""

    def __init__(self, recipe: Recipe, formats: Collection[str]) -> None:
        self.recipe = recipe

    def __exit__(self, *exception: object) -> None:
        pass

    def decode(self, contents: Sequence[Content | str]) -> list[Outcome]:
        return [self._decode(content) if isinstance(content, bytes) else str(content) for content in contents]

    def _decode(self, data: bytes) -> Outcome:
        pixels = np.asarray(Image.open(io.BytesIO(data)).resize((8, 8)))
        jpegs = [simplejpeg.encode_jpeg(pixels)] if self.recipe.keep_jpeg else None
        return Decoded(pixels[None, ..., : self.recipe.channels], 8, 8, jpegs)


def run(source: Path, out: Path | None = None, split: Split | None = None, **settings: object) -> Prepared:
    wanted, target = PrepareSettings.model_validate(settings), out or source.parent / "pack"
    return prepare(Folder(source, 1 << 20), target, 8, wanted, LIBRARIES, split=split, make_decoder=PlainDecoder)


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_unchanged_means_nothing_to_do(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(source, range(9))
    assert not run(source).unchanged
    before = {file: file.stat() for file in (source.parent / "pack").iterdir()}
    monkeypatch.setattr(folder_module, "read_image_file", lambda *_: pytest.fail("a file was read"))
    again = run(source)
    assert again.unchanged
    assert again.images == 9
    assert {file: file.stat() for file in (source.parent / "pack").iterdir()} == before
    assert sorted(os.listdir(source.parent)) == ["pack", "source"]


@pytest.mark.parametrize("split", [None, Split(0.5), Split(0.6, by_folder=True)], ids=["whole", "split", "by folder"])
def test_only_what_is_new_is_read(source: Path, monkeypatch: pytest.MonkeyPatch, split: Split | None) -> None:
    put(source, range(40))
    (source / "broken.png").touch()
    run(source, split=split)
    put(source, range(40, 50))
    (source / "0" / "0003.png").unlink()
    Image.new("RGB", (9, 9)).save(source / "1" / "0004.png")
    read: list[str] = []
    real = folder_module.read_image_file
    monkeypatch.setattr(
        folder_module, "read_image_file", lambda path, most: read.append(os.path.basename(path)) or real(path, most)
    )
    again = run(source, split=split)
    assert sorted(read) == ["0004.png", *(f"{number:04}.png" for number in range(40, 50))]
    assert (again.read, again.images, again.unchanged) == (11, 49, False)
    fresh = source.parent / "fresh"
    run(source, fresh, split=split)
    assert files(source.parent / "pack") == files(fresh)
    assert sorted(os.listdir(source.parent)) == ["fresh", "pack", "source"]


def test_a_pack_in_use_stays_readable(source: Path) -> None:
    put(source, range(5))
    run(source)
    pack = Pack.open(source.parent / "pack")
    before = pack.read(range(5))
    put(source, range(5, 9))
    assert run(source).images == 9
    np.testing.assert_array_equal(pack.read(range(5)), before)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({}, {"crop": "stretch"}, "exists already, made with data.prepare.crop=center; give another name or remove it"),
        ({"gray": True}, {}, "made with data.prepare.gray=True"),
        ({}, {"split": Split(0.5)}, "exists already; give another name"),
        ({"split": Split(0.5)}, {}, "exists already; give another name"),
        ({"split": Split(0.5)}, {"split": Split(0.6)}, "made with split=0.5"),
    ],
)
def test_other_settings_are_refused(source: Path, first: dict, second: dict, message: str) -> None:
    put(source, range(20))
    run(source, **first)
    before = files(source.parent / "pack")
    with pytest.raises(UserError, match=message):
        run(source, **second)
    assert files(source.parent / "pack") == before


def test_another_source_is_refused(source: Path) -> None:
    put(source, range(3))
    run(source)
    other = source.parent / "other"
    other.mkdir()
    put(other, range(3))
    with pytest.raises(UserError, match=r"pack': exists already, made from '.*/source'; give another name"):
        run(other)


def test_two_at_once_are_refused(source: Path) -> None:
    put(source, range(3))
    with WorkFolder(source.parent / "pack"), pytest.raises(UserError, match="another process is making it; wait"):
        run(source)


def test_a_split_is_a_partition(source: Path) -> None:
    put(source, range(200))
    done = run(source, split=Split(0.8))
    names = {side: [entry.name for entry in pack.entries()] for side, pack in done.packs.items()}
    assert sorted(names["train"] + names["held-out"]) == [item.name for item in Folder(source, 1).items()]
    assert 130 <= len(done.packs["train"]) <= 190  # 160 and more than five standard deviations
    assert done.packs["train"].class_names == done.packs["held-out"].class_names == ("0", "1", "2")


def test_by_folder_parts_no_folder(source: Path) -> None:
    put(source, range(30))
    done = run(source, split=Split(0.6, by_folder=True))
    blocks = {side: {entry.block for entry in pack.entries()} for side, pack in done.packs.items()}
    assert not blocks["train"] & blocks["held-out"]
    assert len(blocks["train"]) == 2


def test_a_side_without_images_is_refused(source: Path) -> None:
    put(source, range(0, 9, 3))  # one folder
    with pytest.raises(UserError, match="--split 0.5: .*folder"):
        run(source, split=Split(0.5, by_folder=True))
    assert os.listdir(source.parent) == ["source"]


def test_a_pack_that_cannot_be_replaced_keeps_its_place(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(source, range(5))
    before = files(run(source).path)
    put(source, range(5, 9))
    real = Path.rename

    def rename(path: Path, target: Path) -> Path:
        if path.name == "pack" and path.parent.name == ".pack.partial":
            raise OSError(28, "No space left on device")
        return real(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(UserError, match="No space left"):
        run(source)
    assert files(source.parent / "pack") == before
    assert sorted(os.listdir(source.parent)) == ["pack", "source"]


def test_what_was_skipped_is_refused_if_it_is_to_fail(source: Path) -> None:
    put(source, range(5))
    (source / "0" / "loop").symlink_to(source)
    with pytest.raises(UserError, match=r"0/loop: a link to a folder that was read already; .*--on-error skip"):
        run(source, on_error="fail")
    assert os.listdir(source.parent) == ["source"]
    (source / "0" / "loop").unlink()
    (source / "broken.png").touch()
    before = files(run(source).path)
    with pytest.raises(UserError, match=r"broken.png: empty file; .*--on-error skip"):
        run(source, on_error="fail")  # unchanged
    assert files(source.parent / "pack") == before
    assert sorted(os.listdir(source.parent)) == ["pack", "source"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, BrokenPipeError])
def test_what_an_interrupted_try_skipped_is_refused_if_it_is_to_fail(
    source: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    put(source, range(9))
    (source / "!broken.png").touch()
    monkeypatch.setattr(making, "SECONDS_BETWEEN_JOURNALS", -1.0)
    monkeypatch.setattr(pool, "CHUNK_ITEMS", 4)
    seen = 0

    def interrupt(done: int, total: int | None) -> None:
        nonlocal seen
        seen += 1
        if seen == 3:
            raise error(32, "nobody listens")

    wanted = PrepareSettings()
    with pytest.raises(error, match="nobody listens"):
        prepare(
            *(Folder(source, 1 << 20), source.parent / "pack", 8, wanted, LIBRARIES),
            make_decoder=PlainDecoder,
            progress=interrupt,
        )
    assert WorkFolder(source.parent / "pack").journal() is not None
    with pytest.raises(UserError, match=r"!broken.png: empty file; .*--on-error skip"):
        run(source, on_error="fail")


def in_child(work: Callable[[], object]) -> int:
    """Forks; the child works and ends, however that ends. Returns its process id."""
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(0)
    return child


@pytest.mark.faults
@pytest.mark.parametrize("settings", [{}, {"split": Split(0.7)}, {"keep": "jpeg"}], ids=["whole", "split", "jpeg"])
def test_killed_at_every_call_that_reaches_the_disk(
    source: Path, monkeypatch: pytest.MonkeyPatch, settings: dict
) -> None:
    """The n-th call of a function that changes what is on the disk is the last, for every n, and then once more."""
    put(source, range(12))
    undisturbed = source.parent / "undisturbed"
    run(source, undisturbed, **settings)
    monkeypatch.setattr(making, "SECONDS_BETWEEN_JOURNALS", -1.0)  # after each chunk
    monkeypatch.setattr(pool, "CHUNK_ITEMS", 4)
    left = -1

    def deadly(real: Callable) -> Callable:
        def call(*arguments: object, **options: object) -> object:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **options)

        return call

    for name in ("fsync", "rename", "replace", "unlink", "mkdir", "rmdir"):
        monkeypatch.setattr(os, name, deadly(getattr(os, name)))
    kills, calls = 0, 0
    while True:
        calls += 1
        for last in (calls, max(1, calls // 2)):
            left = last
            _, status = os.waitpid(in_child(lambda: run(source, **settings)), 0)
            kills += os.WIFSIGNALED(status)
        left = -1
        resumed = run(source, **settings)
        assert files(source.parent / "pack") == files(undisturbed)
        assert sorted(os.listdir(source.parent)) == ["pack", "source", "undisturbed"]
        if resumed.unchanged and not os.WIFSIGNALED(status):
            break
        shutil.rmtree(source.parent / "pack")
    assert kills > 60


@pytest.mark.faults
def test_killed_at_random_moments(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(source, range(400))
    undisturbed = source.parent / "undisturbed"
    started = time.monotonic()
    run(source, undisturbed, drop_duplicates="near")
    duration = time.monotonic() - started
    monkeypatch.setattr(making, "SECONDS_BETWEEN_JOURNALS", 0.005)
    monkeypatch.setattr(pool, "CHUNK_ITEMS", 4)
    moments, kills, gone_on = random.Random(5), 0, 0
    while kills < KILLS:
        child = in_child(lambda: run(source, drop_duplicates="near"))
        time.sleep(moments.uniform(0, duration))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        kills += os.WIFSIGNALED(status)
        found = WorkFolder(source.parent / "pack").journal()
        gone_on += found is not None and found.tally.items > 0
        if (source.parent / "pack").exists():
            assert files(source.parent / "pack") == files(undisturbed)
            shutil.rmtree(source.parent / "pack")
    assert gone_on >= KILLS // 5
    run(source, drop_duplicates="near")
    assert files(source.parent / "pack") == files(undisturbed)
