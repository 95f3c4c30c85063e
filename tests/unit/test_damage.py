"""Packs damaged in every file: opening or verifying them names the file and what is wrong with it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gen_dist.config import DataSettings
from gen_dist.data.pack import Pack
from gen_dist.data.statistics import pack_statistics
from gen_dist.errors import UserError
from gen_dist.launch.inspecting import inspect_source
from gen_dist.preparing.resolving import resolve_data
from tests.conftest import write_encoded_pack
from tests.jpegs import encoded
from tests.packs import flip, noise, pack_of

IMAGES = 6
KINDS = ("pixels", "jpeg")
FILES = {
    "pixels": ("checksums.npy", "images-00000.npy", "index.jsonl", "labels.npy", "meta.json"),
    "jpeg": ("checksums.npy", "index.jsonl", "jpegs-00000.npy", "meta.json", "offsets.npy", "sizes.npy"),
}
CASES = [(kind, file) for kind in KINDS for file in FILES[kind]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A pack of each kind."""
    folder = tmp_path_factory.mktemp("whole")
    files = [encoded(20 + i, 24, "4:2:0", seed=i) for i in range(IMAGES)]
    return {
        "pixels": pack_of(folder / "pixels", noise(IMAGES, (16, 16, 3)), classes=["a", "b"], labels=[0, 1] * 3),
        "jpeg": write_encoded_pack(folder / "jpeg", files),
    }


@pytest.fixture
def copy_of(whole: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    return lambda kind: Path(shutil.copytree(whole[kind], tmp_path / "pack"))


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def lengthen(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"x")


def replace_by_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def empty(file: Path) -> None:
    file.write_bytes(b"")


def refused(path: Path, file: str) -> None:
    """By whoever opens or verifies it, in one line that names the file."""
    with pytest.raises(UserError) as error:
        Pack.open(path).verify()
    text = str(error.value)
    assert text.startswith(f"pack '{path}': ")
    assert file in text
    assert "gen-dist prepare" in text
    assert text.isprintable()


@pytest.mark.parametrize(("kind", "file"), CASES)
@pytest.mark.parametrize("damage", [cut, lengthen, empty, Path.unlink, replace_by_folder])
def test_cut_lengthened_or_gone(kind: str, file: str, damage: Callable, copy_of: Callable[[str], Path]) -> None:
    path = copy_of(kind)
    damage(path / file)
    refused(path, file)


@pytest.mark.parametrize(("kind", "file"), CASES)
def test_a_flipped_bit(kind: str, file: str, copy_of: Callable[[str], Path]) -> None:
    """In the header, early and late in the content."""
    path = copy_of(kind)
    intact = (path / file).read_bytes()
    images = file.startswith(("images", "jpegs"))
    for byte, image in ((20, None), (130, 0), (-3, IMAGES - 1), (-5, IMAGES - 1)):
        (path / file).write_bytes(intact)
        flip(path / file, min(byte, len(intact) - 3))
        if images and image is not None:
            assert Pack.open(path).verify() == [image]
        else:
            refused(path, file)


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_anywhere_in_meta(kind: str, copy_of: Callable[[str], Path]) -> None:
    """Also where it would be a good name, number or setting."""
    file = copy_of(kind) / "meta.json"
    intact = file.read_bytes()
    for byte in range(len(intact)):
        file.write_bytes(intact)
        flip(file, byte)
        refused(file.parent, "")  # by whom it first concerns, such as a part of another name
    where = intact.index(b'"source": "') + 12
    file.write_bytes(intact)
    flip(file, where)
    refused(file.parent, "meta.json: does not match its own hash")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"images": 6', '"images": 7', "the parts' images do not add up to 7"),
        ('"version": 2', '"version": 3', "pack version 3, this gen-dist reads version 2"),
        ('"version": 2', '"version": 1', "pack version 1, this gen-dist reads version 2"),
        ('"version": 2', '"version": "2"', "version: Input should be a valid integer"),
        ('"gen-dist pack"', '"another pack"', "format: Input should be 'gen-dist pack'"),
        ("-00000.npy", "-0000/.npy", "file: String should match"),
        ('"source": "', '"source": "~', "does not match its own hash"),
    ],
)
def test_changed_meta(kind: str, old: str, new: str, reason: str, copy_of: Callable[[str], Path]) -> None:
    path = copy_of(kind)
    text = (path / "meta.json").read_text()
    assert old in text
    (path / "meta.json").write_text(text.replace(old, new, 1))
    with pytest.raises(UserError, match=r"pack '.*': meta\.json: ") as error:
        Pack.open(path)
    assert reason in str(error.value)


@pytest.mark.parametrize(("kind", "file"), [case for case in CASES if case[1] != "index.jsonl"])
def test_training_and_inspecting_refuse_it_too(
    kind: str, file: str, copy_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copy_of(kind)
    cut(path / file)
    monkeypatch.chdir(path.parent)
    for read in (
        lambda: inspect_source(str(path), None, 16, False),
        lambda: resolve_data(DataSettings(path=str(path), size=16), pytest.fail),
    ):
        with pytest.raises(UserError, match=rf"^pack '.*': {file}: "):
            read()
    assert [one.name for one in path.parent.iterdir()] == ["pack"]


@pytest.mark.parametrize("number", [-1, 1 << 63, 10**400], ids=["negative", "64 bits", "no float"])
@pytest.mark.parametrize("key", ["images", "width", "dropped"])
def test_numbers_in_the_index_that_cannot_be(key: str, number: int, copy_of: Callable[[str], Path]) -> None:
    path = copy_of("pixels")
    (path / "index.jsonl").write_text(f'{{"name":"a","stamp":"","height":1,"{key}":{number}}}\n')
    with pytest.raises(UserError, match=r"index\.jsonl: line 1 is not an entry"):
        pack_statistics(Pack.open(path))


def test_a_foreign_file_is_no_damage(copy_of: Callable[[str], Path]) -> None:
    path = copy_of("pixels")
    (path / "notes.txt").write_text("mine")
    assert Pack.open(path).verify() == []
