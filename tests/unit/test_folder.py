"""Which files of a folder are looked at, in which order, and which are worth decoding."""

import os
from pathlib import Path

import pytest

from gen_dist.errors import UserError
from gen_dist.sources.folder import Folder, read_image_file
from gen_dist.sources.source import RejectedError

MOST = 1 << 20


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


def test_order_is_that_of_the_bytes(tmp_path: Path) -> None:
    put(tmp_path, "b", "a/2", "a/10", "a-b/1", "Z", "é", ".hidden", ".git/config", "a/.thumbs/1")
    found = Folder(tmp_path, MOST)
    assert found.files == ["Z", "a-b/1", "a/10", "a/2", "b", "é"]
    assert found.total == 6
    assert found.rejected == []


def test_folder_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "folder/1")
    monkeypatch.chdir(tmp_path)
    assert Folder(Path("folder"), MOST).folder == tmp_path / "folder"


def test_links_are_followed_once(tmp_path: Path) -> None:
    source = tmp_path / "source"
    put(source, "a/1.png", "a/deep/2.png")
    put(tmp_path / "elsewhere", "3.png")
    (source / "a" / "up").symlink_to("..")
    (source / "a" / "here").symlink_to(".")
    (source / "b").symlink_to(tmp_path / "elsewhere")
    (source / "c").symlink_to("b")
    (source / "file.png").symlink_to("a/1.png")
    found = Folder(source, MOST)
    assert found.files == ["a/1.png", "a/deep/2.png", "b/3.png", "file.png"]
    assert [name for name, _ in found.rejected] == ["a/here", "a/up", "c"]
    assert {why for _, why in found.rejected} == {"a link to a folder that was read already"}


def test_a_folder_of_loops_is_empty(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(".")
    with pytest.raises(
        UserError, match=r"X '.*': the folder is empty \(loop: a link to a folder that was read already\)"
    ):
        Folder(tmp_path, MOST, "X")


@pytest.mark.parametrize(
    "content", [b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"RIFF\0\0\0\0WEBP" + bytes(100)]
)
def test_signatures(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    assert read_image_file(file, 1000) == content


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"\xff\xd8", "not an image"),
        (b"RIFF\0\0\0\0WAVE", "a sound file, which is not read"),
        (b"<svg", "an SVG drawing, which is not read"),
    ],
)
def test_not_an_image(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "file.png"
    file.write_bytes(content)
    with pytest.raises(RejectedError, match=reason):
        read_image_file(file, 1000)


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, reason in (
        (tmp_path / "pipe", "not a regular file"),
        (tmp_path, "not a reg"),
        (tmp_path / "x", "No such"),
    ):
        with pytest.raises(RejectedError, match=reason):
            read_image_file(path, 1000)
