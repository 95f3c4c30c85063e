"""What `data.path` may be, and that a folder of images is prepared once."""

import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gen_dist.config import DataSettings, PrepareSettings
from gen_dist.data.cache import packs_cache
from gen_dist.data.pack import Pack
from gen_dist.data.pack_files import About
from gen_dist.data.pack_writer import PackWriter
from gen_dist.errors import UserError
from gen_dist.preparing import resolving as source
from gen_dist.preparing.resolving import locate_pack
from tests.packs import flip, noise, pack_of


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "gen-dist" / "packs"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(3):
        Image.fromarray(np.full((20, 10, 3), 50 * seed, np.uint8)).save(folder / f"{seed}.png")
    return folder


def write(path: Path, shape: tuple[int, int, int]) -> Path:
    with PackWriter(path, shape) as writer:
        writer.append(np.zeros(shape, np.uint8), 0)
        writer.finish(About("", {}, ["all"], []))
    return path


def resolve_data(path: str, size: int, report: Callable[[str], None], **settings: Any) -> Path:
    return source.resolve_data(DataSettings(path=path, size=size, **settings), report)


def describe_data(path: str, size: int, **settings: Any) -> str:
    return source.describe_data(DataSettings(path=path, size=size, **settings))


def nobody(line: str) -> None:
    pytest.fail(f"reported: {line}")


def test_folder_is_prepared_once(photos: Path, cache: Path) -> None:
    lines: list[str] = []
    assert "to be prepared once into" in describe_data(str(photos), 16)
    assert not cache.exists()
    path = resolve_data(str(photos), 16, lines.append)
    assert path.parent == cache
    assert Pack.open(path).shape == (16, 16, 3)
    assert lines[0] == f"preparing 3 items of '{photos}' at 16×16, once, into '{path}'"
    assert lines[1].startswith("prepared 3 images in ")
    assert resolve_data(str(photos), 16, nobody) == path
    assert "3 items, already prepared in" in describe_data(str(photos), 16)


def test_the_same_folder_by_another_path(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = resolve_data(str(photos), 16, lambda _: None)
    monkeypatch.chdir(photos.parent)
    monkeypatch.setenv("HOME", str(photos.parent))
    for other in ("photos", "./photos/", "~/photos", "photos/../photos"):
        assert resolve_data(other, 16, nobody) == path


def test_changes_make_another_pack(photos: Path) -> None:
    def resolved(size: int = 16) -> Path:
        return resolve_data(str(photos), size, lambda _: None)

    seen = [resolved(), resolved(24)]
    Image.new("RGB", (9, 9)).save(photos / "new.png")
    seen.append(resolved())
    (photos / "new.png").rename(photos / "renamed.png")
    seen.append(resolved())
    os.utime(photos / "renamed.png", ns=(1, 1))
    seen.append(resolved())
    (photos / "broken.png").symlink_to("nowhere")
    seen.append(resolved())
    assert len(set(seen)) == len(seen)
    assert len(Pack.open(seen[-1])) == 4


def test_progress(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "SECONDS_BETWEEN_REPORTS", -1.0)
    lines: list[str] = []
    resolve_data(str(photos), 16, lines.append)
    assert lines[1:-1] == [f"prepared {done} of 3 items" for done in (0, 3)]


def test_rejected_files_are_mentioned(photos: Path) -> None:
    (photos / "notes.txt").write_text("hello")
    lines: list[str] = []
    resolve_data(str(photos), 16, lines.append)
    assert lines[1].endswith("1 files rejected (listed in meta.json)")


def test_damaged_cache_is_made_again(photos: Path, cache: Path) -> None:
    path = resolve_data(str(photos), 16, lambda _: None)
    os.truncate(path / "images-00000.npy", 10)
    place = path.name.split("-")[0]
    (cache / f".{place}-0123456789abcdef.partial").mkdir()  # of a process that was killed, before the folder changed
    assert resolve_data(str(photos), 16, lambda _: None) == path
    assert Pack.open(path).verify() == []
    assert sorted(one.name for one in cache.iterdir()) == [path.name, f"{place}.lock"]


def test_processes_wait_for_each_other(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Path] = []
    real = source.prepare
    monkeypatch.setattr(
        source, "prepare", lambda one, *more, **options: calls.append(one.folder) or real(one, *more, **options)
    )
    with ThreadPoolExecutor(4) as pool:
        paths = set(pool.map(lambda _: resolve_data(str(photos), 16, lambda _: None), range(4)))
    assert len(paths) == 1
    assert calls == [photos]


def test_pack(tmp_path: Path) -> None:
    path = write(tmp_path / "pack", (16, 16, 3))
    assert resolve_data(str(path), 16, nobody) == path
    assert describe_data(str(path), 16) == f"{path}: pack of 1 images of 16×16, 1 classes"


@pytest.mark.parametrize(
    "find", [lambda path, size, **settings: resolve_data(path, size, nobody, **settings), describe_data]
)
class TestBoth:
    """What is refused, before training and in a dry run alike."""

    def test_missing(self, tmp_path: Path, find) -> None:
        for name in ("none", "x" * 300, "nul\0", "~nobody-here"):
            with pytest.raises(UserError, match=r"^data.path '.*': no such file or folder; give a folder, zip or"):
                find(str(tmp_path / name), 16)

    def test_file(self, find) -> None:
        with pytest.raises(UserError, match=r"data.path '.*': not a file of a kind that is read; give"):
            find(__file__, 16)

    def test_empty(self, tmp_path: Path, find) -> None:
        (tmp_path / "empty").mkdir()
        (tmp_path / "empty" / ".hidden").touch()
        with pytest.raises(UserError, match=r"data.path '.*': the folder is empty; give a folder with images in it"):
            find(str(tmp_path / "empty"), 16)

    def test_pack_of_another_shape(self, tmp_path: Path, find) -> None:
        for shape, hint in (
            ((32, 32, 3), "set data.size=32"),
            ((8, 16, 3), "prepare it again"),
            ((16, 16, 4), "prepare"),
        ):
            path = write(tmp_path / "-".join(map(str, shape)), shape)
            with pytest.raises(UserError, match=rf"{shape[1]}×{shape[0]} with {shape[2]} channels, but .*; {hint}"):
                find(str(path), 16)

    @pytest.mark.parametrize("channels", [1, 3])
    def test_pack_of_other_channels(self, tmp_path: Path, find, channels: int) -> None:
        path, other = str(write(tmp_path / "pack", (16, 16, channels))), 4 - channels
        find(path, 16, channels=channels)
        how = {3: "--gray", 1: "no --gray"}[channels]
        with pytest.raises(UserError) as caught:
            find(path, 16, channels=other, prepare=PrepareSettings(gray=other == 1))  # packs are read as they are
        assert str(caught.value) == (
            f"data.channels {other}: the images of '{path}' have {channels}; set data.channels={channels}, or give a "
            f"pack prepared with {how}"
        )

    def test_bundled_pictures_of_other_channels(self, find) -> None:
        with pytest.raises(UserError) as caught:
            find("bundled:emoji", 32, channels=1)
        assert str(caught.value).startswith(
            "data.channels 1: the images of 'bundled:emoji' have 3; set data.channels=3"
        )

    @pytest.mark.parametrize("gray", [False, True])
    def test_images_prepared_with_other_channels(self, photos: Path, cache: Path, find, gray: bool) -> None:
        has, wanted = (1, 3) if gray else (3, 1)
        with pytest.raises(UserError) as caught:
            find(str(photos), 16, channels=wanted, prepare=PrepareSettings(gray=gray))
        assert str(caught.value) == (
            f"data.channels {wanted}: data.prepare.gray is {str(gray).lower()}, which makes {has} of the images of "
            f"'{photos}'; set data.prepare.gray={str(not gray).lower()}, or data.channels={has}"
        )
        assert not cache.exists()
        describe_data(str(photos), 16, channels=has, prepare=PrepareSettings(gray=gray))

    @pytest.mark.parametrize("file", ["meta.json", "images-00000.npy"])
    def test_damaged_pack(self, tmp_path: Path, file: str, find) -> None:
        path = write(tmp_path / "pack", (16, 16, 3))
        (path / file).unlink()
        with pytest.raises(UserError, match=rf"pack '.*': .*{file}"):
            find(str(path), 16)

    def test_bundled(self, find) -> None:
        with pytest.raises(UserError, match="bundled pictures 'nonsense': unknown name; give one of"):
            find("bundled:nonsense", 32)
        with pytest.raises(UserError, match=r"bundled:emoji': its images are 32×32 .*; set data.size=32"):
            find("bundled:emoji", 64)


def test_no_image(photos: Path, cache: Path) -> None:
    for file in photos.iterdir():
        file.write_text("hello")
    for find in (describe_data, lambda path, size: resolve_data(path, size, nobody)):
        with pytest.raises(UserError, match=r"none of its 3 files is an image \(0.png: a text file"):
            find(str(photos), 16)
    assert not cache.exists()
    (photos / "0.png").write_bytes(b"\xff\xd8\xff cut short")
    with pytest.raises(UserError, match=r"none of its 3 files is a readable image \(0.png: starts like"):
        resolve_data(str(photos), 16, lambda _: None)
    assert [one.suffix for one in cache.iterdir()] == [".lock"]


def test_bundled(cache: Path) -> None:
    said = describe_data("bundled:emoji", 32)
    assert not cache.exists()
    path = resolve_data("bundled:emoji", 32, nobody)
    assert said == f"bundled:emoji: {len(Pack.open(path))} images of 32×32"
    found = locate_pack("bundled:emoji", Path("/of/another/machine"), "0" * 64)
    assert isinstance(found, Pack)
    assert found.path == path


def test_cache_that_cannot_be_written(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(
        UserError, match=r"cache folder '.*/file/gen-dist/packs': cannot write to it: Not a directory; set"
    ):
        resolve_data(str(photos), 16, nobody)


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for chosen in ("", "relative/path"):
        monkeypatch.setenv("XDG_CACHE_HOME", chosen)
        assert packs_cache() == tmp_path / ".cache" / "gen-dist" / "packs"


def test_another_machine(cache: Path, tmp_path: Path) -> None:
    path, other = write(tmp_path / "pack", (16, 16, 3)), pack_of(tmp_path / "other", noise(2))
    content = Pack.open(path).content_hash
    assert place_of(locate_pack("pack", path, content)) == path
    assert locate_pack("pack", Path("/none"), content) == "there is no folder '/none'"
    assert locate_pack("pack", other, content) == f"pack '{other}' has another content"
    assert "images-00000.npy: its header says" in str(locate_pack("pack", spoil(tmp_path / "bad", other), content))
    shutil.copytree(path, sent := cache / "shipped" / content)
    for elsewhere in (Path("/none"), other, tmp_path / "bad"):
        assert place_of(locate_pack("pack", elsewhere, content)) == sent
    assert place_of(locate_pack("pack", path, content)) == path
    spoil(sent, other)
    assert locate_pack("pack", Path("/none"), content) == "there is no folder '/none'"


def spoil(path: Path, pack: Path) -> Path:
    """A pack at `path` whose images are no array."""
    shutil.copytree(pack, path, dirs_exist_ok=True)
    flip(path / "images-00000.npy", 20)
    return path


def place_of(found: Pack | str) -> Path:
    assert isinstance(found, Pack), found
    return found.path
