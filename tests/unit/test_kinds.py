"""Kinds of sources by their first bytes, whatever the files are called."""

import bz2
import gzip
import io
import lzma
import os
import random
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from gen_dist.sources.kinds import START_BYTES, kind_of, probe


def zipped(name: str, content: bytes = b"x") -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr(name, content)
    return held.getvalue()


def tarred(name: str, format: int = tarfile.PAX_FORMAT) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w", format=format) as archive:
        member = tarfile.TarInfo(name)
        member.size = 2000
        archive.addfile(member, io.BytesIO(random.Random(0).randbytes(2000)))
    return held.getvalue()


def saved(**arrays: np.ndarray) -> bytes:
    held = io.BytesIO()
    np.savez(held, **arrays)
    return held.getvalue()


def npy() -> bytes:
    held = io.BytesIO()
    np.save(held, np.zeros(3))
    return held.getvalue()


IDX = struct.pack(">HBB3I", 0, 8, 3, 10, 28, 28) + random.Random(0).randbytes(7840)
NOISE = random.Random(1).randbytes(4000)
V7 = tarred("BMW/1.png", tarfile.USTAR_FORMAT)[:257] + bytes(255)
V7 = V7[:148] + b"%06o\0 " % (sum(V7[:148]) + sum(V7[156:]) + 256) + V7[156:]

FILES = [
    (zipped("faces/1.png"), "zip"),
    (b"PK\5\6" + bytes(18), "zip"),
    (zipped("x_train.npy"), "npz"),
    (saved(images=np.zeros((2, 8, 8))), "npz"),
    (tarred("1.png"), "tar"),
    (tarred("é" * 90), "tar"),
    (tarred("BMW/1.png"), "tar"),  # begins like a BMP
    (tarred("GIF8/1.png", tarfile.GNU_FORMAT), "tar"),
    (V7, "tar"),
    (gzip.compress(tarred("1.png"), mtime=0), "compressed tar"),
    (bz2.compress(tarred("1.png")), "compressed tar"),
    (lzma.compress(tarred("1.png")), "compressed tar"),
    (gzip.compress(b"x" * 5000, mtime=0), None),
    (gzip.compress(b"short", mtime=0), None),
    (gzip.compress(NOISE, mtime=0), "compressed tar"),  # nothing can be said yet
    (b"\x1f\x8b\x09 no gzip", None),
    (IDX, "idx"),
    (gzip.compress(IDX, mtime=0), "idx"),
    (struct.pack(">HBBI", 0, 8, 1, 10) + bytes(10), "idx"),
    (struct.pack(">HBBI", 0, 0x0D, 1, 10) + bytes(40), "idx"),  # whose reader says that floats are not read
    (b"\0\0\x08", None),
    (b"\0\0\x08\0", None),
    (b"\0\0\1\0\1\0", None),  # an icon
    (npy(), "npy"),
    (b"\xff\xd8\xff\xe0", "image"),
    (b"\x89PNG\r\n\x1a\n", "image"),
    (b"GIF89a", "image"),
    (b"RIFF\0\0\0\0WEBP", "image"),
    (b"RIFF\0\0\0\0WAVE", None),
    (b"RIFF\0\0\0\0AVI LIST", "video"),
    (b"\0\0\0\x18ftypisom", "video"),
    (b"\0\0\x08\x01ftypqt  ", "video"),  # not an IDX file
    (b"\0\0\0\x08wide", "video"),
    (b"\0\0\0\x18ftypheic", None),
    (b"\x1a\x45\xdf\xa3 matroska", "video"),
    (b"\0\0\1\xba", "video"),
    (b"\0\0\1\xb3", "video"),
    (b"FLV\1", "video"),
    (b"OggS", "video"),
    ((b"G" + bytes(187)) * 3, "video"),
    ((bytes(4) + b"G" + bytes(187)) * 3, "video"),
    (b"G" + bytes(600), None),
    (b"G", None),
    (b"", None),
    (bytes(10240), None),
    (b"<svg", None),
    (NOISE, None),
]


@pytest.mark.parametrize(("data", "kind"), FILES, ids=[str(kind) + str(i) for i, (_, kind) in enumerate(FILES)])
def test_kind_is_known_by_content(tmp_path: Path, data: bytes, kind: str | None) -> None:
    for name in ("file", "file.png", "x.tar.gz"):
        assert kind_of(name, data[:START_BYTES], len(data)) == kind
    (tmp_path / "file.jpg").write_bytes(data)
    assert probe(tmp_path / "file.jpg") == kind


@pytest.mark.parametrize(
    ("name", "length", "kind"),
    [
        ("data_batch_1.bin", 3073 * 10, "cifar"),
        ("test_batch.bin", 3073, "cifar"),
        ("train.bin", 3074 * 7, "cifar"),
        ("data_batch_1.bin", 3073 * 10 + 1, None),
        ("data_batch_1.bin", 0, None),
        ("data.bin", 3073 * 10, None),
    ],
)
def test_cifar_is_known_by_name_and_length(name: str, length: int, kind: str | None) -> None:
    assert kind_of(name, bytes(min(length, START_BYTES)), length) == kind


def test_what_cannot_be_read_is_of_no_kind(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert [probe(tmp_path), probe(tmp_path / "pipe"), probe(tmp_path / "nothing")] == [None] * 3


def test_every_start_has_an_answer() -> None:
    draw = random.Random(0)
    for data, _ in FILES:
        for _ in range(30):
            start = bytearray(data[: draw.choice((3, 4, 20, 300, 512))])
            for _ in range(draw.randint(0, 3)):
                if start:
                    start[draw.randrange(len(start))] = draw.randrange(256)
            kind_of("file", bytes(start), draw.randrange(10_000))
