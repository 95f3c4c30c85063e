"""A pack's files as one stream of bytes, so that it can be sent in pieces, and gone on with where it was cut off.

The stream is the content of all files but `meta.json`, one behind the other; `meta.json` says which files those are.
"""

import math
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import numpy as np

from gen_dist.data.pack_files import CHECKSUMS, LABELS, OFFSETS, SIZES
from gen_dist.data.pack_index import INDEX
from gen_dist.data.pack_meta import META, Meta, damaged, parse_meta, read_meta

_LONGEST_HEADER = 10 + 65535  # of an .npy file of format 1.0


@dataclass(frozen=True)
class Length:
    """A file of a pack, and how many bytes it has."""

    file: str
    bytes: int


@dataclass(frozen=True)
class PackLayout:
    """What a stream consists of: the pack's `meta.json`, and the lengths of its other files in their order."""

    meta: bytes
    lengths: tuple[Length, ...]

    @property
    def total(self) -> int:
        return sum(length.bytes for length in self.lengths)


@dataclass(frozen=True)
class Extent:
    """A stretch of the stream within one file: bytes `start` … `stop` - 1 of `file`."""

    file: str
    start: int
    stop: int
    is_end: bool  # whether the file ends there


class PackBytes:
    """The stream of the pack at `path`. Raises UserError for a pack or a file of it that cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        meta = read_meta(path)
        try:
            text = (path / META).read_bytes()
        except OSError as error:
            raise damaged(path, META, f"cannot read it: {error.strerror}") from error
        self.layout = PackLayout(text, tuple(Length(file, self._length(file)) for file in _arrays(meta)))
        check_layout(path, self.layout)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Bytes `start` … `stop` - 1 of the stream: uint8 (stop - start,). Raises UserError if they cannot be read."""
        data, at = np.empty(stop - start, np.uint8), 0
        for extent in extents(self.layout.lengths, start, stop):
            count = extent.stop - extent.start
            try:
                with open(self.path / extent.file, "rb", buffering=0) as file:
                    file.seek(extent.start)
                    _fill(file, data[at : at + count])
            except OSError as error:
                raise damaged(self.path, extent.file, f"cannot read it: {error.strerror}") from error
            except EOFError:
                raise damaged(self.path, extent.file, "it became shorter while it was read") from None
            at += count
        return data

    def _length(self, file: str) -> int:
        try:
            found = os.stat(self.path / file)
        except OSError as error:
            raise damaged(self.path, file, f"cannot read it: {error.strerror}") from error
        if not stat.S_ISREG(found.st_mode):
            raise damaged(self.path, file, "not a regular file")
        return found.st_size


def extents(lengths: Sequence[Length], start: int, stop: int) -> Iterator[Extent]:
    """Where bytes `start` … `stop` - 1 of the stream lie, in order; files without any of them are left out."""
    before = 0
    for length in lengths:
        begin, end = max(start - before, 0), min(stop - before, length.bytes)
        if begin < end:
            yield Extent(length.file, begin, end, end == length.bytes)
        before += length.bytes


def check_layout(path: Path, layout: PackLayout) -> None:
    """That the files of the pack at `path` are those that its `meta.json` speaks of, and of lengths that it allows.

    The names in it are plain ones: `..`, a path or another file is refused with the rest. Raises UserError.
    """
    expected = _arrays(parse_meta(path, layout.meta))
    names = [length.file for length in layout.lengths]
    if names != list(expected):
        raise damaged(path, META, f"speaks of the files {', '.join(expected)}, not of {', '.join(names)}")
    for length, due in zip(layout.lengths, expected.values(), strict=True):
        if length.bytes < 0 or (due is not None and not due < length.bytes <= due + _LONGEST_HEADER):
            raise damaged(path, length.file, f"has {length.bytes} bytes, {due or 0} and a header are due")


def _arrays(meta: Meta) -> dict[str, int | None]:
    """The files of the stream in order, and how many bytes each has after its header; None: any number."""
    found: dict[str, int | None] = {part.file: part.bytes for part in meta.parts}
    if meta.kept == "jpeg":
        found |= {OFFSETS: _bytes(np.int64, meta.images + 1), SIZES: _bytes(np.int32, meta.images, 2)}
    if meta.class_names is not None:
        found[LABELS] = _bytes(np.int64, meta.images)
    return found | {CHECKSUMS: _bytes(np.uint32, meta.images), INDEX: None}


def _bytes(dtype: type[np.generic], *shape: int) -> int:
    return int(np.dtype(dtype).itemsize) * math.prod(shape)


def _fill(file: FileIO, data: np.ndarray) -> None:
    view = data.data
    while view:
        count = file.readinto(view)
        if not count:
            raise EOFError
        view = view[count:]
