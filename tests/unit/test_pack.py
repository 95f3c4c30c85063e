"""Packs: what is written is read back, and nothing that is wrong in one gets past opening or verifying it."""

import hashlib
import json
import os
import pickle
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gen_dist.data.pack import Pack
from gen_dist.data.pack_files import About
from gen_dist.data.pack_meta import printable
from gen_dist.data.pack_writer import PackWriter
from gen_dist.errors import UserError

SHAPE = (4, 5, 3)


def pictures(n: int = 7) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (n, *SHAPE), dtype=np.uint8)


def write(path: Path, images: np.ndarray, labelled: bool = True, part_bytes: int = 3 * 60) -> Path:
    with PackWriter(path, SHAPE, part_bytes) as writer:
        for number, image in enumerate(images):
            writer.append(image, number % 2 if labelled else None)
        writer.finish(
            About("somewhere", {"files": len(images) + 1}, ["a", "b"] if labelled else None, [("x", "too blue")])
        )
    return path


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return write(tmp_path / "pack", pictures())


@pytest.mark.parametrize("part_bytes", [1, 60, 180, 420, 1 << 30])
def test_reads_back_what_was_written(tmp_path: Path, part_bytes: int) -> None:
    images = pictures()
    pack = Pack.open(write(tmp_path / "pack", images, part_bytes=part_bytes))
    assert len(pack) == 7
    assert pack.shape == SHAPE
    assert len(pack.parts) == -(-7 // max(1, part_bytes // 60))
    np.testing.assert_array_equal(np.concatenate(pack.parts), images)
    assert pack.labels is not None
    assert pack.labels.tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert pack.class_names == ("a", "b")
    assert pack.meta.source == "somewhere"
    assert pack.meta.counts == {"files": 8}
    assert [(one.name, one.reason) for one in pack.meta.rejected] == [("x", "too blue")]
    assert pack.verify() == []
    wanted = [6, 0, 3, 3, 5]
    np.testing.assert_array_equal(pack.read(wanted), images[wanted])
    assert pack.read([]).shape == (0, *SHAPE)


def test_files_are_plain_numpy(pack: Path) -> None:
    images = np.concatenate([np.load(file, allow_pickle=False) for file in sorted(pack.glob("images-*.npy"))])
    labels, sums = np.load(pack / "labels.npy", allow_pickle=False), np.load(pack / "checksums.npy", allow_pickle=False)
    assert images.dtype == np.uint8
    assert labels.dtype == np.int64
    assert sums.dtype == np.uint32
    np.testing.assert_array_equal(images, pictures())
    assert sums.tolist() == [zlib.crc32(image.tobytes()) for image in images]
    digest = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    assert json.loads((pack / "meta.json").read_text())["content_hash"] == digest


def test_what_numpy_writes_is_accepted(pack: Path) -> None:
    """Another header length, as of other NumPy versions, is no damage."""
    np.save(pack / "labels.npy", np.load(pack / "labels.npy"))
    text = b"{'descr': '<u4', 'fortran_order': False, 'shape': (7,), }".ljust(500) + b"\n"
    sums = np.load(pack / "checksums.npy").tobytes()
    (pack / "checksums.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + sums)
    assert Pack.open(pack).verify() == []


def test_hash_is_of_images_and_labels_only(tmp_path: Path) -> None:
    hashes = [Pack.open(write(tmp_path / str(size), pictures(), part_bytes=size)).content_hash for size in (60, 180)]
    assert hashes[0] == hashes[1]
    assert Pack.open(write(tmp_path / "unlabelled", pictures(), labelled=False)).content_hash != hashes[0]
    assert Pack.open(write(tmp_path / "others", pictures()[::-1])).content_hash != hashes[0]


def test_labels_without_names_are_dropped(tmp_path: Path) -> None:
    with PackWriter(tmp_path / "pack", SHAPE) as writer:
        writer.append(pictures(1)[0], 1)
        writer.append(pictures(1)[0])
        with pytest.raises(ValueError, match="1 of 2 images have no label"):
            writer.finish(About("", {}, ["a", "b"], []))
        writer.finish(About("", {}, None, []))
    assert Pack.open(tmp_path / "pack").labels is None
    assert sorted(os.listdir(tmp_path / "pack")) == ["checksums.npy", "images-00000.npy", "index.jsonl", "meta.json"]


def test_names_that_are_not_text(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    assert printable(name) == "caf\\xe9.png"
    assert printable("café\n.png") == "café\n.png"
    with PackWriter(tmp_path / "pack", SHAPE) as writer:
        writer.append(pictures(1)[0], 0)
        writer.finish(About(name, {}, [name], [(name, name)]))
    meta = Pack.open(tmp_path / "pack").meta
    assert (meta.source, *meta.class_names, meta.rejected[0].name) == ("caf\\xe9.png",) * 3


def test_only_a_finished_pack_has_a_name(tmp_path: Path) -> None:
    def interrupted() -> None:
        with PackWriter(tmp_path / "new" / "pack", SHAPE) as writer:
            writer.append(pictures(1)[0])
            assert not (tmp_path / "new" / "pack").exists()
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert list((tmp_path / "new").iterdir()) == []


def test_writer_refuses(tmp_path: Path, pack: Path) -> None:
    before = (pack / "meta.json").read_bytes()
    with pytest.raises(UserError, match="exists already"):
        PackWriter(pack, SHAPE)
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(UserError, match="exists already"):
        PackWriter(tmp_path / "dangling", SHAPE)
    assert (pack / "meta.json").read_bytes() == before
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file/pack': cannot write it: Not a directory"):
        PackWriter(tmp_path / "file" / "pack", SHAPE)
    with PackWriter(tmp_path / "bad", SHAPE) as writer:
        for wrong in (pictures(1)[0].astype(np.float32), pictures(1)[0][:, :4], pictures(1)):
            with pytest.raises(ValueError, match="the pack holds uint8"):
                writer.append(wrong)
        with pytest.raises(UserError, match="no image to put in it"):
            writer.finish(About("", {}, None, []))
    assert sorted(one.name for one in tmp_path.iterdir()) == ["dangling", "file", "pack"]


def test_a_name_taken_meanwhile_is_left_alone(tmp_path: Path) -> None:
    with PackWriter(tmp_path / "pack", SHAPE) as writer:
        writer.append(pictures(1)[0])
        write(tmp_path / "pack", pictures())
        with pytest.raises(UserError, match="cannot write it"):
            writer.finish(About("", {}, None, []))
    assert Pack.open(tmp_path / "pack").verify() == []
    assert [one.name for one in tmp_path.iterdir()] == ["pack"]


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with PackWriter(tmp_path / "pack", SHAPE) as writer:
        writer.append(pictures(1)[0])
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(UserError, match=r"pack '.*pack': cannot write it: No space left on device"):
            writer.finish(About("", {}, None, []))
    assert list(tmp_path.iterdir()) == []


def test_read_outside(pack: Path) -> None:
    for wrong in ([7], [0, -1]):
        with pytest.raises(IndexError, match="of a pack of 7"):
            Pack.open(pack).read(wrong)


def edit(**changes: object) -> Callable[[Path], None]:
    def change(pack: Path) -> None:
        meta = json.loads((pack / "meta.json").read_text())
        (pack / "meta.json").write_text(json.dumps({**meta, **changes}))

    return change


def replace(file: str, content: bytes | np.ndarray) -> Callable[[Path], None]:
    def change(pack: Path) -> None:
        if isinstance(content, bytes):
            (pack / file).write_bytes(content)
        else:
            np.save(pack / file, content)

    return change


def cut(file: str, by: int) -> Callable[[Path], None]:
    return lambda pack: os.truncate(pack / file, (pack / file).stat().st_size - by)


def blank(file: str) -> Callable[[Path], None]:
    """One flipped bit: a space of the header's padding becomes one that does not break."""

    def change(pack: Path) -> None:
        content = bytearray((pack / file).read_bytes())
        assert content[100] == ord(" ")
        content[100] ^= 0x80
        (pack / file).write_bytes(content)

    return change


def pickled(pack: Path) -> None:
    np.save(pack / "labels.npy", np.array([{}] * 7, dtype=object), allow_pickle=True)


def pipe(file: str) -> Callable[[Path], None]:
    def change(pack: Path) -> None:
        (pack / file).unlink()
        os.mkfifo(pack / file)

    return change


PARTS = [{"file": f"images-{part:05d}.npy", "images": n, "bytes": 60 * n} for part, n in enumerate((3, 3, 1))]
FAULTS = {
    "no meta": (lambda pack: (pack / "meta.json").unlink(), "no file meta.json in it"),
    "meta is a pipe": (pipe("meta.json"), "no file meta.json in it"),
    "meta empty": (replace("meta.json", b""), "meta.json: Invalid JSON"),
    "meta cut": (cut("meta.json", 20), "meta.json: Invalid JSON"),
    "meta not UTF-8": (replace("meta.json", b"\xff\xfe{}"), "meta.json: Invalid JSON"),
    "meta deeply nested": (replace("meta.json", b"[" * 100_000), "meta.json: Invalid JSON"),
    "meta a list": (replace("meta.json", b"[]"), "meta.json: Input should be an object"),
    "meta of another program": (edit(format="npz"), "meta.json: format: Input should be 'gen-dist pack'"),
    "later version": (edit(version=3), "meta.json: pack version 3, this gen-dist reads version 2"),
    "earlier version": (edit(version=1), "meta.json: pack version 1, this gen-dist reads version 2"),
    "version no number": (edit(version="1"), "meta.json: version: Input should be a valid integer"),
    "unknown key": (edit(extra=1), "meta.json: extra: Extra inputs are not permitted"),
    "key on two lines": (edit(**{"a\nb": 1}), "meta.json: a b: Extra inputs"),
    "wrong count": (edit(images=8), "meta.json: the parts' images do not add up to 8"),
    "count no number": (edit(images=True), "meta.json: images: Input should be a valid integer"),
    "count zero": (edit(images=0), "meta.json: images: Input should be greater"),
    "no parts": (edit(parts=[]), "meta.json: parts: Tuple should have at least 1 item"),
    "absurd shape": (edit(shape=[4, 1 << 40, 3]), "meta.json: shape.1: Input should be less"),
    "other shape": (edit(shape=[5, 4, 3]), "images-00000.npy: its header says"),
    "absurd part": (
        edit(images=10**30, parts=[{"file": "images-00000.npy", "images": 10**30, "bytes": 60 * 10**30}]),
        "images-00000.npy: its header says",
    ),
    "part outside": (
        edit(parts=[*PARTS[:2], {"file": "../images-00002.npy", "images": 1, "bytes": 60}]),
        "meta.json: parts.2.file",
    ),
    "part absolute": (
        edit(parts=[*PARTS[:2], {"file": "/etc/passwd", "images": 1, "bytes": 60}]),
        "meta.json: parts.2.file",
    ),
    "hash no hash": (edit(content_hash="abc"), "meta.json: content_hash"),
    "too few classes": (edit(class_names=["a"]), "labels.npy: labels outside 0 … 0"),
    "classes, no labels": (lambda pack: (pack / "labels.npy").unlink(), "labels.npy: cannot read it: No such file"),
    "negative labels": (replace("labels.npy", np.full(7, -1)), "labels.npy: labels outside 0 … 1"),
    "labels padded with another blank": (blank("labels.npy"), "labels.npy: its header says"),
    "labels of another type": (replace("labels.npy", np.zeros(7, np.int32)), "labels.npy: its header says"),
    "too many labels": (replace("labels.npy", np.zeros(8, np.int64)), "labels.npy: its header says"),
    "pickled labels": (pickled, "labels.npy: its header says"),
    "a bare pickle": (replace("labels.npy", pickle.dumps([0] * 7)), "labels.npy: not a NumPy array"),
    "big-endian labels": (replace("labels.npy", np.zeros(7, ">i8")), "labels.npy: its header says"),
    "Fortran order": (
        replace("images-00000.npy", np.asfortranarray(pictures()[:3])),
        r"images-00000.npy: its header says .*'fortran_order': True",
    ),
    "header bomb": (replace("labels.npy", b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535), "labels.npy: its header says"),
    "missing part": (
        lambda pack: (pack / "images-00001.npy").unlink(),
        "images-00001.npy: cannot read it: No such file",
    ),
    "part is a pipe": (pipe("images-00001.npy"), "images-00001.npy: not a regular file"),
    "part empty": (replace("images-00001.npy", b""), "images-00001.npy: not a NumPy array"),
    "part cut": (cut("images-00001.npy", 1), "images-00001.npy: has 307 bytes, 308 are due"),
    "part too long": (lambda pack: os.truncate(pack / "images-00002.npy", 500), "images-00002.npy: has 500 bytes"),
    "checksums cut": (cut("checksums.npy", 4), "checksums.npy: has 152 bytes, 156 are due"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_open_refuses(pack: Path, fault: str) -> None:
    damage, message = FAULTS[fault]
    damage(pack)
    with pytest.raises(UserError, match=f"^pack '.*/pack': {message}") as caught:
        Pack.open(pack)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_open_refuses_what_is_no_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", Path(__file__), Path("x" * 300), Path("nul\0")):
        with pytest.raises(UserError, match="no such folder; make a pack with"):
            Pack.open(path)


def flip(file: Path, byte: int) -> None:
    content = bytearray(file.read_bytes())
    content[byte] ^= 1
    file.write_bytes(content)


def test_verify_names_every_damaged_image(pack: Path) -> None:
    flip(pack / "images-00000.npy", -1)
    flip(pack / "images-00002.npy", 128)
    assert Pack.open(pack).verify() == [2, 6]


@pytest.mark.parametrize(
    ("file", "message"),
    [("labels.npy", "labels.npy: the content hash"), ("checksums.npy", "checksums.npy: 1 checksums are wrong")],
)
def test_verify_names_other_damaged_files(pack: Path, file: str, message: str) -> None:
    flip(pack / file, 128)  # the first value: label 0 becomes 1
    with pytest.raises(UserError, match=message):
        Pack.open(pack).verify()


def test_verify_without_labels_blames_meta(tmp_path: Path) -> None:
    path = write(tmp_path / "pack", pictures(), labelled=False)
    edit(content_hash="0" * 64)(path)
    with pytest.raises(UserError, match=r"meta\.json: does not match its own hash"):
        Pack.open(path).verify()
