"""What kind of source a file is, by its first bytes. Extensions are not asked: people rename files."""

import os
import stat
import zlib
from pathlib import Path
from typing import Literal

from gen_dist.sources.cifar_arrays import batches
from gen_dist.sources.inflating import BZIP2, GZIP, XZ
from gen_dist.sources.npy_header import MAGIC
from gen_dist.sources.signature import check_image
from gen_dist.sources.source import RejectedError
from gen_dist.sources.tar_archive import BLOCK, begins_as_tar

Kind = Literal["zip", "tar", "compressed tar", "idx", "npy", "npz", "cifar", "video", "image"]
START_BYTES = 512  # decide
_IDX_TYPES = (0x08, 0x09, 0x0B, 0x0C, 0x0D, 0x0E)
_MOST_IDX_AXES = 4
_CIFAR_RECORDS = (3073, 3074)  # bytes, with one label and with two
_PICTURES = (b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1", b"jxl ", b"crx ")
_VIDEOS = (b"\x1a\x45\xdf\xa3", b"\0\0\1\xba", b"\0\0\1\xb3", b"FLV\1", b"OggS", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11")
_TRANSPORT = ((188, 0), (192, 4))  # (bytes of a packet, before its mark): MPEG-TS, and with times on a disc


def probe(path: Path) -> Kind | None:
    """The kind of a file; None for other files, and what is no regular file or cannot be read."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return None
        with open(path, "rb") as file:
            return kind_of(path.name, file.read(START_BYTES), os.fstat(file.fileno()).st_size)
    except OSError:
        return None


def kind_of(name: str, start: bytes, length: int) -> Kind | None:
    """The kind of a file of `length` bytes that begins with `start`, its first `START_BYTES` or all.

    Only CIFAR, whose files have no signature, is known by its name too.
    """
    if begins_as_tar(start):  # first: a tar begins with a name, which may be "BMW" or "GIF8"
        return "tar"
    if start.startswith((b"PK\3\4", b"PK\5\6")):
        name_length = int.from_bytes(start[26:28], "little")
        return "npz" if start[30 : 30 + name_length].endswith(b".npy") else "zip"
    if batches([name]) and length and any(length % record == 0 for record in _CIFAR_RECORDS):
        return "cifar"
    if start.startswith(MAGIC):
        return "npy"
    if start.startswith(GZIP):
        return _in_gzip(start)
    if start.startswith((BZIP2, XZ)):
        return "compressed tar"
    if _is_image(start):
        return "image"
    if _is_video(start):
        return "video"
    return "idx" if _is_idx(start) else None


def _in_gzip(start: bytes) -> Kind | None:
    """By the first bytes inflated; a tar where they are too few to tell."""
    try:
        inside = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(start, BLOCK)
    except zlib.error:
        return None
    if _is_idx(inside):
        return "idx"
    return "compressed tar" if len(inside) < BLOCK <= len(start) or begins_as_tar(inside) else None


def _is_idx(start: bytes) -> bool:
    return len(start) >= 4 and start[:2] == b"\0\0" and start[2] in _IDX_TYPES and 1 <= start[3] <= _MOST_IDX_AXES


def _is_image(start: bytes) -> bool:
    try:
        check_image(start)
    except RejectedError:
        return False
    return True


def _is_video(start: bytes) -> bool:
    if start[4:8] == b"ftyp":
        return start[8:12] not in _PICTURES
    if start[4:8] in (b"moov", b"mdat", b"wide"):  # QuickTime before it had a signature
        return True
    if start.startswith(_VIDEOS) or (start.startswith(b"RIFF") and start[8:12] == b"AVI "):
        return True
    return any(
        len(start) > before + size and all(byte == 0x47 for byte in start[before::size]) for size, before in _TRANSPORT
    )
