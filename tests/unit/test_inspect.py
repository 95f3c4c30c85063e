"""`gen-dist inspect` and `verify` as functions: what they print and write."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gen_dist.data.pack_index import Entry
from gen_dist.errors import UserError
from gen_dist.launch.inspecting import inspect_source, sheet_name
from gen_dist.launch.one_line import one_line
from gen_dist.launch.packs import verify_pack
from tests.packs import flip, noise, pack_of


@pytest.fixture
def here(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_pack(here: Path, capsys) -> None:
    entries = [Entry("a.png", "", width=640, height=480), Entry("b.png", "", width=320, height=240)]
    entries += [Entry("bad", "", 0, reason="damaged: cut short"), Entry("c", "", 0, reason="near duplicate of a.png")]
    pack_of(here / "pack", noise(2), entries, ["cat", "dog"], [0, 1], [("bad", "damaged: cut short")])
    inspect_source("pack", None, 64, False)
    printed = capsys.readouterr().out.splitlines()
    rows = {what.strip(): value for what, _, value in (line.partition("  ") for line in printed)}
    lines = [" ".join(line.split()) for line in printed]
    assert rows["images"].strip() == "2, 5 x 6, colour"
    assert "original width 320 to 640, median 480" in lines
    assert "most common 320 x 240 (1), 640 x 480 (1)" in lines
    assert "cat 1" in lines
    assert "near duplicates 1 left out" in lines
    assert "1 damaged: cut short, such as bad" in lines
    assert printed[-1] == "contact sheet: pack-contact-sheet.png"
    assert all(line[18:20] == "  " and line[20] != " " for line in printed[:-1]), "values are aligned"
    with Image.open("pack-contact-sheet.png") as picture:
        assert picture.format == "PNG"


def test_a_source(here: Path, capsys) -> None:
    (here / "photos").mkdir()
    for number, image in enumerate(noise(3, (20, 30, 3))):
        Image.fromarray(image).save(here / "photos" / f"{number}.png")
    inspect_source("photos", here / "sheet.PNG", 16, True)
    found = json.loads(capsys.readouterr().out)
    assert (found["images"], found["width"], found["height"]) == (3, 16, 16)
    assert found["contact_sheet"] == str(here / "sheet.PNG")
    assert sorted(os.listdir()) == ["photos", "sheet.PNG"]


def test_a_sheet_does_not_become_an_image_of_the_source(here: Path) -> None:
    Image.fromarray(noise(1, (20, 30, 3))[0]).save(here / "1.png")
    for out in (None, Path("deeper.png"), here / "sheet.png"):
        with pytest.raises(UserError, match=r"--out .*\.png: lies in '\.', and would be one of its images"):
            inspect_source(".", out, 16, False)
    assert os.listdir() == ["1.png"]


def test_bundled_pictures(here: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(here / "cache"))
    inspect_source("bundled:emoji", None, 64, False)
    printed = capsys.readouterr().out
    assert "1,220, 32 x 32, colour" in printed, "as they are, whatever the size of sources"
    assert printed.endswith("contact sheet: bundled-emoji-contact-sheet.png\n")
    with pytest.raises(UserError, match="bundled pictures 'nonsense': unknown name; give one of: emoji"):
        inspect_source("bundled:nonsense", None, 64, False)


def test_json_stands_alone_while_a_source_says_more(here: Path, monkeypatch, capsys) -> None:
    (here / "photos").mkdir()
    Image.fromarray(noise(1)[0]).save(here / "photos" / "a.png")
    monkeypatch.setattr("gen_dist.launch.showing_progress.SECONDS_BETWEEN_LINES", -1.0)
    inspect_source("photos", None, 16, True)
    printed = capsys.readouterr()
    assert json.loads(printed.out)["images"] == 1
    assert "prepared 1 of 1" in printed.err


def test_a_side_of_a_split_is_called_after_the_split(here: Path, capsys) -> None:
    (here / "cats").mkdir()
    pack_of(here / "cats" / "train", noise(1))
    inspect_source("cats/train", None, 64, False)
    assert capsys.readouterr().out.endswith("contact sheet: cats-train-contact-sheet.png\n")


def test_refused(here: Path) -> None:
    pack_of(here / "pack", noise(1))
    with pytest.raises(UserError, match=r"--out sheet\.jpg: must end in \.png"):
        inspect_source("pack", Path("sheet.jpg"), 64, False)
    with pytest.raises(UserError, match=r"--out nowhere/sheet\.png: no folder 'nowhere'"):
        inspect_source("pack", Path("nowhere/sheet.png"), 64, False)
    (here / "pack" / "in-the-way.png").mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        inspect_source("pack", Path("pack/in-the-way.png"), 64, False)
    with pytest.raises(UserError, match="nowhere"):
        inspect_source("nowhere", None, 64, False)
    assert os.listdir() == ["pack"]


@pytest.mark.parametrize(
    ("title", "name"),
    [("faces", "faces"), ("a b/c", "a-b-c"), ("../x", "x"), ("", "images"), ("日本", "日本"), ("\udcff", "xff")],
)
def test_names_of_sheets(title: str, name: str) -> None:
    assert sheet_name(title) == f"{name}-contact-sheet.png"


def test_names_cannot_write_to_the_terminal() -> None:
    assert one_line("a\nb\x1b[2Jc ä \udcff") == "a\\nb\\x1b[2Jc ä \\xff"


def test_verify_names_what_is_damaged(here: Path, capsys) -> None:
    entries = [Entry("cats/a.gif", "", images=2), Entry("bad", "", 0, reason="damaged"), Entry("dogs/b\n.png", "")]
    path = pack_of(here / "pack", noise(3), entries, ["cats", "dogs"], [0, 0, 1], part_bytes=180)
    assert verify_pack(path) == 0
    assert capsys.readouterr().out == f"{path}: 3 images, all as they were written\n"
    flip(path / "images-00000.npy", -1)
    flip(path / "images-00001.npy", -1)
    assert verify_pack(path) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{path}: 2 of 3 images are damaged; make the pack again with 'gen-dist prepare'",
        "  image 1: cats/a.gif, class cats",
        "  image 2: dogs/b\\n.png, class dogs",
    ]


def test_verify_names_only_some_of_many(here: Path, capsys) -> None:
    path = pack_of(here / "pack", noise(50))
    images = np.load(path / "images-00000.npy") ^ 1
    np.save(path / "images-00000.npy", images)
    assert verify_pack(path) == 1
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 22
    assert printed[20] == "  image 19: img-19.png"
    assert printed[-1] == "  and 30 more, up to image 49"


def test_verify_says_what_else_is_damaged(here: Path) -> None:
    path = pack_of(here / "pack", noise(3))
    flip(path / "index.jsonl", 10)
    with pytest.raises(UserError, match=r"index\.jsonl: does not match its hash"):
        verify_pack(path)
