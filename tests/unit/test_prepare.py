"""A folder of files into a pack: which files, in which order, with which labels; and decoders that die."""

import io
import os
import signal
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gen_dist.config import DecodingSettings
from gen_dist.data.pack import Pack, PackWriter
from gen_dist.errors import RunError, UserError
from gen_dist.preparing import decoder_process as module
from gen_dist.preparing.prepare import Prepared, prepare
from gen_dist.sources import folder as listing

LIBRARIES = DecodingSettings(decoder="libraries")

# A decoder that misbehaves for files that say so.
DECODER = """
import os, sys, time
from gen_dist.preparing import decode

real = decode._decode

def decoded(data, limits):
    if b"CRASH" in data:
        os.abort()
    if b"HANG" in data:
        time.sleep(60)
    if b"EAT" in data:
        bytearray(2 << 30)
    return real(data, limits)

decode._decode = decoded
decode.serve(int(sys.argv[1]), decode.Limits(*map(int, sys.argv[2:])))
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen]:
    """Every subprocess that is started during the test."""
    processes: list[subprocess.Popen] = []
    real = subprocess.Popen

    def start(*arguments: object, **options: object) -> subprocess.Popen:
        processes.append(real(*arguments, **options))
        return processes[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    return processes


@pytest.fixture
def misbehaving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "misbehaving.py").write_text(DECODER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(module, "DECODER", "misbehaving")


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


def run(source: Path, workers: int = 1, decoding: DecodingSettings = LIBRARIES) -> tuple[Prepared, Pack]:
    out = source.parent / "pack"
    done = prepare(source, out, 8, workers=workers, decoding=decoding)
    return done, Pack.open(out)


def test_order_and_rejected(source: Path) -> None:
    put(source, "b.png", "a/2.png", "a/10.png", "Z.png", "deep/er/and/deeper.jpg", ".hidden.png", ".git/x.png")
    (source / "notes.txt").write_text("hello")
    (source / "empty.png").touch()
    (source / "cut.jpg").write_bytes(encoded(kind="JPEG")[:200])
    (source / "sound.webp").write_bytes(b"RIFF\x24\0\0\0WAVEfmt ")
    (source / "film.mp4").write_bytes(bytes(1000))
    os.mkfifo(source / "pipe.png")
    (source / "loop.png").symlink_to("loop.png")
    (source / "dangling.png").symlink_to("nowhere")
    done, pack = run(source)
    assert done.images == len(pack) == 5
    for index, seed in enumerate((3, 2, 1, 0, 4)):  # sorted by bytes: Z, a/10, a/2, b, deep
        np.testing.assert_array_equal(pack.read([index])[0], np.asarray(Image.open(io.BytesIO(encoded(seed)))))
    not_an_image = "not an image (JPEG, PNG, BMP, GIF and WebP are read)"
    reasons = dict(done.rejected)
    assert "damaged or cut short" in reasons.pop("cut.jpg")
    assert reasons == {
        "dangling.png": "No such file or directory",
        "empty.png": "empty file",
        "film.mp4": not_an_image,
        "loop.png": "Too many levels of symbolic links",
        "notes.txt": not_an_image,
        "pipe.png": "not a regular file",
        "sound.webp": not_an_image,
    }
    assert [(one.name, one.reason) for one in pack.meta.rejected] == done.rejected
    assert pack.meta.counts == {"files": 13, "images": 5, "rejected": 8}
    assert done.class_names is None
    assert pack.labels is None


def test_extensions_mean_nothing(source: Path) -> None:
    for number, kind in enumerate(("JPEG", "PNG", "BMP", "GIF")):
        (source / f"{number}.txt").write_bytes(encoded(kind=kind))
        (source / f"{number}-{kind}").write_bytes(encoded(kind=kind))
    done, _ = run(source)
    assert (done.images, done.rejected) == (8, [])


def test_classes(source: Path) -> None:
    put(source, "cat/1", "dog/2", "cat/deeper/3", "cat-like/4")
    (source / "README").write_text("not an image, so it does not matter that it lies outside")
    (source / "empty").mkdir()
    (source / "zebra").mkdir()
    (source / "zebra" / "broken.png").write_bytes(encoded()[:30])
    done, pack = run(source)
    assert done.class_names == ["cat-like", "cat", "dog"]
    assert pack.class_names == ("cat-like", "cat", "dog")
    assert pack.labels is not None
    assert pack.labels.tolist() == [0, 1, 1, 2]


@pytest.mark.parametrize("names", [("only/1", "only/2"), ("a/1", "b/2", "loose"), ("1", "2")])
def test_no_classes(source: Path, names: tuple[str, ...]) -> None:
    put(source, *names)
    done, pack = run(source)
    assert (done.class_names, pack.class_names, pack.labels) == (None, None, None)


def test_names_that_are_not_utf8(source: Path) -> None:
    put(source, b"caf\xe9/1.png", b"\xff\xfe/2.png", "naïve/3.png")
    with open(os.path.join(os.fsencode(source), b"bad\xff.png"), "wb"):
        pass
    done, pack = run(source)
    assert done.rejected == [("bad\\xff.png", "empty file")]
    assert pack.class_names == ("caf\\xe9", "naïve", "\\xff\\xfe")


def test_unreadable_files_and_folders(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(source, "good.png", "secret.png", "locked/1.png")
    real_open, real_scandir = open, os.scandir

    def guarded_open(path: Path, *arguments: object, **options: object) -> object:
        if Path(path).name == "secret.png":
            raise PermissionError(13, "Permission denied")
        return real_open(path, *arguments, **options)

    def guarded_scandir(path: Path) -> object:
        if path.name == "locked":
            raise PermissionError(13, "Permission denied")
        return real_scandir(path)

    monkeypatch.setattr(listing, "open", guarded_open, raising=False)
    monkeypatch.setattr(os, "scandir", guarded_scandir)
    done, _ = run(source)
    assert done.images == 1
    assert done.rejected == [("locked", "Permission denied"), ("secret.png", "Permission denied")]


def test_huge_file_is_not_read(source: Path) -> None:
    put(source, "good.png", "huge.png")
    os.truncate(source / "huge.png", 500 << 20)  # sparse
    assert run(source)[0].rejected == [("huge.png", "524288000 bytes, more than 419430400")]


def test_same_bytes_for_any_number_of_workers(source: Path) -> None:
    put(source, *(f"{number % 3}/{number}.png" for number in range(200)))
    for number in range(0, 200, 7):
        (source / str(number % 3) / f"{number}.png").write_bytes(encoded(number)[: 10 * number])
    packs = []
    for workers in (1, 2, 5):
        seen: list[tuple[int, int]] = []
        out = source.parent / f"pack-{workers}"
        prepare(source, out, 16, workers=workers, progress=lambda *now, seen=seen: seen.append(now))
        assert seen == [(done, 200) for done in range(1, 201)]
        packs.append({file.name: file.read_bytes() for file in out.iterdir()})
    assert packs[0] == packs[1] == packs[2]
    assert Pack.open(out).verify() == []


@pytest.mark.usefixtures("misbehaving")
def test_a_file_that_crashes_the_decoder(source: Path, started: list[subprocess.Popen]) -> None:
    put(source, *(f"{number}.png" for number in range(9)))
    with open(source / "4.png", "ab") as file:
        file.write(b"CRASH")
    with open(source / "6.png", "ab") as file:
        file.write(b"EAT")
    done, pack = run(source)
    assert done.rejected == [
        ("4.png", "crashes the decoder (signal 6)"),
        ("6.png", "takes more than 1.5 GiB to decode"),
    ]
    assert len(pack) == 7
    np.testing.assert_array_equal(pack.read([4])[0], np.asarray(Image.open(io.BytesIO(encoded(5)))))
    assert [process.returncode for process in started] == [-signal.SIGABRT, -signal.SIGABRT, 0]


def test_a_decoder_that_does_not_start(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(source, "1.png", "2.png")
    monkeypatch.setattr(module, "DECODER", "no.such.module")
    with pytest.raises(RunError, match=r"does not start \(exit code 1\); 'python -m no.such.module 64' says why"):
        run(source)
    assert [one.name for one in source.parent.iterdir()] == ["source"]


def test_nothing_is_left_after_an_error(
    source: Path, started: list[subprocess.Popen], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(source, *(f"{number}.png" for number in range(100)))

    def full(*_: object) -> None:
        raise UserError("the disk is full")

    monkeypatch.setattr(PackWriter, "append", full)
    before = set(threading.enumerate())  # another test may have left one, which may end meanwhile
    with pytest.raises(UserError, match="the disk is full"):
        run(source, workers=2)
    assert started
    assert all(process.returncode is not None for process in started)
    assert not set(threading.enumerate()) - before
    assert [one.name for one in source.parent.iterdir()] == ["source"]


def test_the_users_folder_is_not_imported_from(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(source, "1.png")
    (source / "PIL.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(source)
    assert prepare(Path("."), Path("../pack"), 8).images == 1


def test_refused(source: Path) -> None:
    out = source.parent / "pack"
    with pytest.raises(UserError, match=r"SOURCE '.*/source': the folder is empty; give a folder with images"):
        prepare(source, out, 8)
    (source / "notes.txt").write_text("hello")
    with pytest.raises(UserError, match=r"none of its 1 files is a readable image \(notes.txt: not an image"):
        prepare(source, out, 8)
    with pytest.raises(UserError, match=r"SOURCE '.*/none': no such folder"):
        prepare(source / "none", out, 8)
    with pytest.raises(UserError, match=r"SOURCE '.*/notes.txt': not a folder"):
        prepare(source / "notes.txt", out, 8)
    for size in (7, 1025, 0, -64):
        with pytest.raises(UserError, match=f"--size {size}: out of range; give 8 to 1024 pixels"):
            prepare(source, out, size)
    put(source, "1.png")
    with pytest.raises(UserError, match=r"notes.txt/pack': cannot write it: Not a directory"):
        prepare(source, source / "notes.txt" / "pack", 8)
    out.mkdir()
    with pytest.raises(UserError, match="pack': exists already; give another name or remove it"):
        prepare(source, out, 8)
    assert list(out.iterdir()) == []
