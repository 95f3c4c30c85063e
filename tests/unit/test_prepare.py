"""A folder of files into a pack: which files, in which order, with which labels; and what is refused."""

import io
import os
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gen_dist.config import DecodingSettings, PrepareSettings
from gen_dist.data.pack import Pack
from gen_dist.data.pack_files import PackFiles
from gen_dist.errors import UserError
from gen_dist.preparing.prepare import Prepared, prepare
from gen_dist.sources import folder as module
from gen_dist.sources.folder import Folder

LIBRARIES = DecodingSettings(decoder="libraries")
MOST_BYTES = LIBRARIES.file_bytes


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


def encoded(seed: int = 0, kind: str = "PNG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def put(folder: Path, *names: str | bytes) -> None:
    """Different pictures under these names."""
    for seed, name in enumerate(names):
        path = os.path.join(os.fsencode(folder), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(encoded(seed))


def run(source: Path, workers: int = 1, size: int = 8, **settings: object) -> tuple[Prepared, Pack]:
    out, wanted = source.parent / "pack", PrepareSettings.model_validate(settings)
    done = prepare(Folder(source, MOST_BYTES), out, size, wanted, LIBRARIES, workers=workers)
    return done, Pack.open(out)


def rejected(pack: Pack) -> dict[str, str]:
    return {one.name: one.reason for one in pack.meta.rejected}


def test_order_and_rejected(source: Path) -> None:
    put(source, "b.png", "a/2.png", "a/10.png", "Z.png", "deep/er/and/deeper.jpg", ".hidden.png", ".git/x.png")
    (source / "notes.txt").write_text("hello")
    (source / "empty.png").touch()
    (source / "cut.jpg").write_bytes(encoded(kind="JPEG")[:200])
    os.mkfifo(source / "pipe.png")
    (source / "loop.png").symlink_to("loop.png")
    (source / "dangling.png").symlink_to("nowhere")
    done, pack = run(source)
    assert done.images == len(pack) == 5
    for index, seed in enumerate((3, 2, 1, 0, 4)):  # sorted by bytes: Z, a/10, a/2, b, deep
        np.testing.assert_array_equal(pack.read([index])[0], np.asarray(Image.open(io.BytesIO(encoded(seed)))))
    reasons = rejected(pack)
    assert "damaged or cut short" in reasons.pop("cut.jpg")
    assert "a text file, which is not read" in reasons.pop("notes.txt")
    assert reasons == {
        "dangling.png": "No such file or directory",
        "empty.png": "empty file",
        "loop.png": "Too many levels of symbolic links",
        "pipe.png": "not a regular file",
    }
    counts = {"files": 11, "images": 5, "rejected": 6, "exact_duplicates": 0, "near_duplicates": 0}
    assert pack.meta.counts == counts
    assert pack.class_names is None
    assert pack.labels is None


def test_the_index_says_what_became_of_each_file(source: Path) -> None:
    put(source, "a/1.png", "b.png")
    (source / "a" / "2.png").touch()
    Image.new("RGB", (30, 20)).save(source / "c.png")
    _, pack = run(source)
    entries = [(e.name, e.images, e.width, e.height, e.reason, e.block) for e in pack.entries()]
    assert entries == [
        ("a/1.png", 1, 8, 8, "", "a"),
        ("a/2.png", 0, 0, 0, "empty file", "a"),
        ("b.png", 1, 8, 8, "", ""),
        ("c.png", 1, 30, 20, "", ""),
    ]


def test_extensions_mean_nothing(source: Path) -> None:
    for number, kind in enumerate(("JPEG", "PNG", "BMP", "GIF")):
        (source / f"{number}.txt").write_bytes(encoded(kind=kind))
        (source / f"{number}-{kind}").write_bytes(encoded(kind=kind))
    done, pack = run(source)
    assert (done.images, rejected(pack)) == (8, {})


def test_classes(source: Path) -> None:
    put(source, "cat/1", "dog/2", "cat/deeper/3", "cat-like/4")
    (source / "README").write_text("not an image, so it does not matter that it lies outside")
    (source / "empty").mkdir()
    (source / "zebra").mkdir()
    (source / "zebra" / "broken.png").write_bytes(encoded()[:30])
    _, pack = run(source)
    assert pack.class_names == ("cat-like", "cat", "dog")
    assert pack.labels is not None
    assert pack.labels.tolist() == [0, 1, 1, 2]


@pytest.mark.parametrize("names", [("only/1", "only/2"), ("a/1", "b/2", "loose"), ("1", "2")])
def test_no_classes(source: Path, names: tuple[str, ...]) -> None:
    put(source, *names)
    _, pack = run(source)
    assert (pack.class_names, pack.labels) == (None, None)


def test_names_that_are_not_utf8(source: Path) -> None:
    put(source, b"caf\xe9/1.png", b"\xff\xfe/2.png", "naïve/3.png")
    with open(os.path.join(os.fsencode(source), b"bad\xff.png"), "wb"):
        pass
    _, pack = run(source)
    assert rejected(pack) == {"bad\\xff.png": "empty file"}
    assert pack.class_names == ("caf\\xe9", "naïve", "\\xff\\xfe")
    assert [os.fsencode(entry.name) for entry in pack.entries()] == [
        b"bad\xff.png",
        b"caf\xe9/1.png",
        "naïve/3.png".encode(),
        b"\xff\xfe/2.png",
    ]


def test_unreadable_files_and_folders(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(source, "good.png", "secret.png", "locked/1.png")
    real_open, real_scandir = os.open, os.scandir

    def guarded_open(path: str, *arguments: int) -> int:
        if Path(path).name == "secret.png":
            raise PermissionError(13, "Permission denied")
        return real_open(path, *arguments)

    def guarded_scandir(path: Path) -> object:
        if path.name == "locked":
            raise PermissionError(13, "Permission denied")
        return real_scandir(path)

    monkeypatch.setattr(module.os, "open", guarded_open)
    monkeypatch.setattr(os, "scandir", guarded_scandir)
    done, pack = run(source)
    assert done.images == 1
    assert rejected(pack) == {"locked": "Permission denied", "secret.png": "Permission denied"}


def test_huge_file_is_not_read(source: Path) -> None:
    put(source, "good.png", "huge.png")
    os.truncate(source / "huge.png", 500 << 20)  # sparse
    assert rejected(run(source)[1]) == {"huge.png": "524288000 bytes, more than 419430400"}


def test_the_first_bad_file_stops_it_on_request(source: Path) -> None:
    put(source, "1.png", "2.png", "4.png")
    (source / "3.png").touch()
    with pytest.raises(UserError, match=r"source '.*/source': 3.png: empty file; mend or remove .* --on-error skip"):
        run(source, on_error="fail")
    assert os.listdir(source.parent) == ["source"]


def test_same_bytes_for_any_number_of_workers(source: Path) -> None:
    put(source, *(f"{number % 3}/{number}.png" for number in range(300)))
    for number in range(0, 300, 7):
        (source / str(number % 3) / f"{number}.png").write_bytes(encoded(number)[: 10 * number])
    packs = []
    for workers in (1, 2, 5):
        seen: list[tuple[int, int | None]] = []
        out = source.parent / f"pack-{workers}"
        prepare(Folder(source, MOST_BYTES), out, 16, workers=workers, progress=lambda *now, seen=seen: seen.append(now))
        assert [total for _, total in seen] == [300] * len(seen)
        assert [done for done, _ in seen] == [0, 64, 128, 192, 256, 300]
        packs.append({file.name: file.read_bytes() for file in out.iterdir()})
    assert packs[0] == packs[1] == packs[2]
    assert Pack.open(out).verify() == []


@pytest.mark.parametrize(("drop", "images"), [("none", 5), ("exact", 3), ("near", 2)])
def test_duplicates_are_counted_and_left_out(source: Path, drop: str, images: int) -> None:
    smooth = Image.radial_gradient("L").resize((64, 64)).convert("RGB")
    smooth.save(source / "1.png")
    smooth.save(source / "2.bmp")
    smooth.resize((60, 60)).resize((64, 64)).save(source / "3.png")
    put(source, "4.png")
    (source / "5.png").write_bytes((source / "4.png").read_bytes())
    _, pack = run(source, size=64, drop_duplicates=drop)
    counted = Counter({kind: pack.meta.counts[f"{kind}_duplicates"] for kind in ("exact", "near")})
    assert counted == {"exact": 2, "near": 1}
    assert len(pack) == images
    assert sum(entry.dropped for entry in pack.entries()) == 5 - images
    assert pack.meta.rejected == ()


def test_one_channel(source: Path) -> None:
    put(source, "1.png", "2.png")
    _, pack = run(source, gray=True)
    assert pack.shape == (8, 8, 1)
    grey = np.asarray(Image.open(source / "1.png").convert("L"))
    np.testing.assert_allclose(pack.read([0])[0, :, :, 0].astype(int), grey, atol=1)


def test_nothing_is_left_after_an_error(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(source, *(f"{number}.png" for number in range(100)))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PackFiles, "extend", full)
    before = set(threading.enumerate())  # another test may have left one, which may end meanwhile
    with pytest.raises(UserError, match=r"pack': cannot write it: No space left on device; give a folder with room"):
        run(source, workers=2)
    assert not set(threading.enumerate()) - before
    assert [one.name for one in source.parent.iterdir()] == ["source"]


def test_the_users_folder_is_not_imported_from(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(source, "1.png")
    (source / "PIL.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(source)
    assert prepare(Folder(Path("."), MOST_BYTES), Path("../pack"), 8, decoding=LIBRARIES).images == 1


def test_refused(source: Path) -> None:
    out = source.parent / "pack"
    with pytest.raises(UserError, match=r"SOURCE '.*/source': the folder is empty; give a folder with images"):
        run(source)
    (source / "notes.txt").write_text("hello")
    with pytest.raises(UserError, match=r"none of its 1 files is a readable image \(notes.txt: a text file"):
        run(source)
    folder = Folder(source, MOST_BYTES)
    for size in (7, 1025, 0, -64):
        with pytest.raises(UserError, match=f"--size {size}: out of range; give 8 to 1024 pixels"):
            prepare(folder, out, size)
    put(source, "1.png")
    for settings, message in (
        ({"crop": "box:0,0,0,5"}, r"crop 'box:0,0,0,5': an empty box"),
        ({"background": "1,2,256"}, r"background '1,2,256': give a name or R,G,B"),
        ({"crop": "pad", "keep": "jpeg"}, r"crop 'pad': not with images kept as JPEG"),
    ):
        with pytest.raises(UserError, match=message):
            run(source, **settings)
    with pytest.raises(UserError, match=r"notes.txt/pack': cannot write it: Not a directory"):
        prepare(folder, source / "notes.txt" / "pack", 8)
    out.mkdir()
    with pytest.raises(UserError, match="pack': exists already; give another name or remove it"):
        prepare(folder, out, 8)
    assert list(out.iterdir()) == []
    assert sorted(os.listdir(source.parent)) == ["pack", "source"]
