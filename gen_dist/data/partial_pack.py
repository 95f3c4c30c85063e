"""A pack of which only the beginning has arrived."""

import os
import shutil
import stat
from pathlib import Path

import numpy as np

from gen_dist.atomic import write_atomic
from gen_dist.data.pack import Pack
from gen_dist.data.pack_bytes import PackLayout, extents
from gen_dist.data.pack_meta import META
from gen_dist.data.pack_writer import publish
from gen_dist.errors import UserError

_SYNC_BYTES = 64 << 20


class PartialPack:
    """Writes a stream (see `pack_bytes`) into `folder`, from `position` on: after what an earlier writer left there.

    Bytes are written in order, so the lengths of the files say how far it came. What is there is not believed until
    `fault` has read all of it. Raises OSError.
    """

    def __init__(self, folder: Path, layout: PackLayout) -> None:
        self.folder, self.layout = folder, layout
        self.position = self.taken_over = position_in(folder, layout)
        self._file: int | None = None  # the one that the next byte belongs to
        self._unsynced = 0

    def append(self, data: np.ndarray) -> None:
        """The next bytes, uint8 (n,). They are brought to the disk on the way, so that the end need not wait long."""
        if not self.position:
            self._begin()
        view = np.ascontiguousarray(data).data
        for extent in extents(self.layout.lengths, self.position, self.position + len(data)):
            if self._file is None:
                self._file = _writable(self.folder / extent.file)
                os.ftruncate(self._file, extent.start)
            count = extent.stop - extent.start
            _write(self._file, view[:count], extent.start)
            self.position, view = self.position + count, view[count:]
            self._unsynced += count
            if extent.is_end or self._unsynced >= _SYNC_BYTES:
                os.fsync(self._file)
                self._unsynced = 0
            if extent.is_end:
                self.close()

    def fault(self, content_hash: str) -> str:
        """After the last byte: read everything; returns what is wrong, "" if it is the pack of this content hash."""
        if self.position != self.layout.total:
            return f"{self.position} of {self.layout.total} bytes are there"
        for length in self.layout.lengths:
            if not length.bytes:  # no byte was ever appended to it
                os.close(_writable(self.folder / length.file))
        try:
            pack = Pack.open(self.folder)
            if pack.content_hash != content_hash:
                return f"its content hash is {pack.content_hash} in place of {content_hash}"
            bad = pack.verify()
        except UserError as error:
            return str(error)
        return f"{len(bad)} of {len(pack)} images are damaged" if bad else ""

    def _begin(self) -> None:
        remove(self.folder)
        self.folder.mkdir()
        write_atomic(self.folder / META, self.layout.meta)

    def publish(self, path: Path) -> None:
        """Give it its name, where a reader finds all of it."""
        publish(self.folder, path)

    def remove(self) -> None:
        self.close()
        remove(self.folder)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def position_in(folder: Path, layout: PackLayout) -> int:
    """How many bytes of the stream `folder` holds, counted from its beginning; 0 where anything in it is odd."""
    if not stat.S_ISDIR(_mode(folder)):
        return 0
    position = 0
    for length in layout.lengths:
        path = folder / length.file
        if not stat.S_ISREG(_mode(path)):
            return position if not _mode(path) else 0
        found = path.stat().st_size
        if found > length.bytes:
            return 0
        position += found
        if found < length.bytes:
            return position
    return position


def remove(path: Path) -> None:
    """Whatever is there: a link, a file, a folder, nothing. Raises OSError."""
    if stat.S_ISDIR(_mode(path)):
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _mode(path: Path) -> int:
    """Of what is at `path` itself, not where a link leads; 0 for nothing."""
    try:
        return os.lstat(path).st_mode
    except FileNotFoundError:
        return 0


def _writable(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)


def _write(file: int, view: memoryview, at: int) -> None:
    while view:
        count = os.pwrite(file, view, at)
        view, at = view[count:], at + count
