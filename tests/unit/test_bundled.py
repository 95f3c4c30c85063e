"""The bundled pictures and the pack that is made of them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gen_dist.data import bundled
from gen_dist.data.bundled import SHEETS, Sheet, bundled_pack
from gen_dist.data.pack import Pack
from gen_dist.errors import UserError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "gen-dist" / "packs"


@pytest.fixture
def own_sheets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the sheets that a test may damage."""
    shutil.copytree(SHEETS, tmp_path / "sheets")
    monkeypatch.setattr(bundled, "SHEETS", tmp_path / "sheets")
    return tmp_path / "sheets"


def test_pack_holds_every_tile_with_its_category(cache: Path) -> None:
    pack = Pack.open(bundled_pack("emoji"))
    about = json.loads((SHEETS / "emoji/sheet.json").read_text())
    assert 1000 <= len(pack) <= 1500
    assert pack.shape == (32, 32, 3)
    assert pack.verify() == []
    assert list(pack.class_names or ()) == list(about["categories"])
    assert pack.labels is not None
    assert np.bincount(pack.labels).tolist() == [len(names) for names in about["categories"].values()]


def test_pack_pictures_are_the_sheet_s_tiles_in_reading_order() -> None:
    sheet = Sheet.read("emoji")
    from PIL import Image

    with Image.open(SHEETS / "emoji/sheet.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    pack = Pack.open(bundled_pack("emoji"))
    for index in (0, 1, sheet.columns - 1, sheet.columns, len(pack) - 1):
        top, left = index // sheet.columns * 32, index % sheet.columns * 32
        assert np.array_equal(pack.read([index])[0], pixels[top : top + 32, left : left + 32])


def test_pictures_are_colourful_and_all_different() -> None:
    images = Pack.open(bundled_pack("emoji")).read(np.arange(len(Pack.open(bundled_pack("emoji")))))
    assert len({image.tobytes() for image in images}) == len(images)
    grey = (np.ptp(images, axis=-1) < 20).all(axis=(1, 2))
    assert grey.mean() < 0.1
    assert (images.reshape(len(images), -1) < 250).any(axis=1).all(), "an empty picture"


def test_names_are_unique_and_the_source_and_licence_are_said() -> None:
    about = json.loads((SHEETS / "emoji/sheet.json").read_text())
    names = [name for group in about["categories"].values() for name in group]
    assert len(set(names)) == len(names)
    assert about["source"] == "npm emoji-datasource-google@16.0.0"
    assert "Apache License" in about["licence"]
    assert "Apache License" in (SHEETS / "emoji/LICENSE-emoji.txt").read_text()
    assert sum(file.stat().st_size for file in SHEETS.rglob("*") if file.is_file()) < 3e6


def test_second_call_finds_the_first_one_s_pack(cache: Path) -> None:
    first = bundled_pack("emoji")
    before = (first / "meta.json").stat().st_mtime_ns
    assert bundled_pack("emoji") == first
    assert (first / "meta.json").stat().st_mtime_ns == before
    assert [entry.name for entry in cache.iterdir()] == [first.name]


def test_two_processes_at_once_make_one_pack(cache: Path) -> None:
    code = "import sys; from gen_dist.data.bundled import bundled_pack\nsys.stdin.read(1)\nprint(bundled_pack('emoji'))"
    command = [sys.executable, "-W", "error", "-c", code]
    pipe = subprocess.PIPE
    makers = [subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=SHEETS.parents[2]) for _ in range(3)]
    for maker in makers:
        assert maker.stdin is not None
        maker.stdin.write(b"x")
        maker.stdin.flush()
    paths = {maker.communicate(timeout=60)[0].decode().strip() for maker in makers}
    assert [maker.returncode for maker in makers] == [0, 0, 0]
    assert [str(entry) for entry in cache.iterdir()] == list(paths)
    assert Pack.open(paths.pop()).verify() == []


def test_losing_the_race_uses_the_winner_s_pack(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiles = Sheet.tiles

    def tiles_after_another_process(sheet: Sheet) -> np.ndarray:
        monkeypatch.setattr(Sheet, "tiles", tiles)
        bundled_pack(sheet.name)
        return tiles(sheet)

    monkeypatch.setattr(Sheet, "tiles", tiles_after_another_process)
    path = bundled_pack("emoji")
    assert list(cache.iterdir()) == [path]


def test_unknown_name_is_answered_with_the_list() -> None:
    with pytest.raises(UserError, match=r"^bundled pictures 'emojis': unknown name; give one of: emoji$"):
        bundled_pack("emojis")


@pytest.mark.parametrize("name", ["", "..", "../bundled/emoji", "/"])
def test_a_path_is_not_a_name(name: str) -> None:
    with pytest.raises(UserError, match="unknown name"):
        bundled_pack(name)


def test_changed_pixels_are_refused(own_sheets: Path, cache: Path) -> None:
    from PIL import Image

    file = own_sheets / "emoji/sheet.png"
    with Image.open(file) as image:
        changed = image.convert("RGB")
    changed.putpixel((5, 5), (1, 2, 3))
    changed.save(file)
    with pytest.raises(UserError, match=r"sheet\.png.*missing or damaged; install gen-dist again"):
        bundled_pack("emoji")
    assert not cache.exists()


@pytest.mark.parametrize("size", [0, 10, 100_000])
def test_a_cut_sheet_is_refused(own_sheets: Path, size: int) -> None:
    file = own_sheets / "emoji/sheet.png"
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(UserError, match="missing or damaged"):
        bundled_pack("emoji")


def test_other_categories_make_another_pack(own_sheets: Path) -> None:
    first = bundled_pack("emoji")
    file = own_sheets / "emoji/sheet.json"
    file.write_text(file.read_text().replace('"Activities"', '"Sports"'))
    second = bundled_pack("emoji")
    assert first != second
    assert "Sports" in (Pack.open(second).class_names or ())


def test_a_cache_that_cannot_be_written_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"cannot write to it: Not a directory; make room .* XDG_CACHE_HOME") as caught:
        bundled_pack("emoji")
    assert "\n" not in str(caught.value)


def test_a_damaged_cached_pack_says_what_to_remove() -> None:
    path = bundled_pack("emoji")
    (path / "meta.json").write_text("{}")
    with pytest.raises(UserError, match=f"^cached pack '{path}': it is damaged; remove the folder"):
        bundled_pack("emoji")


def test_a_relative_cache_folder_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert bundled_pack("emoji").parent == tmp_path / ".cache/gen-dist/packs"
