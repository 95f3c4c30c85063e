"""A zip or a tar of a folder of images, read without unpacking it: the items of the folder itself."""

import hashlib
import os
import stat
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np

from gen_dist.data.pack_meta import printable
from gen_dist.errors import UserError
from gen_dist.sources.inflating import BZIP2, GZIP, XZ, inflate
from gen_dist.sources.members import DamagedError, Members
from gen_dist.sources.signature import check_image
from gen_dist.sources.source import Item, RejectedError
from gen_dist.sources.tar_archive import BLOCK, TarReader, begins_as_tar
from gen_dist.sources.zip_archive import ZipReader

MOST_INFLATED = 1 << 40  # bytes
_ZIP = (b"PK\3\4", b"PK\5\6")  # with members, without any


class Reader(Protocol):
    """What `ZipReader` and `TarReader` have in common; a member is a row of numbers."""

    def members(self) -> Members: ...

    def stamp(self, numbers: np.ndarray) -> str: ...

    def size(self, numbers: np.ndarray) -> np.ndarray: ...

    def load(self, numbers: np.ndarray, check: Callable[[bytes], None]) -> bytes: ...


def open_archive(
    path: Path,
    most_bytes: int,
    name: str = "SOURCE",
    most_inflated: int = MOST_INFLATED,
    temporary: Path | None = None,
) -> "ArchiveSource":
    """The images in a zip, a tar, or a tar compressed with gzip, bzip2 or xz, known by content.

    Items are those that a folder of the unpacked archive would give: sorted by the bytes of their names, without
    hidden members and `__MACOSX`. As long as the archive has a single entry at its top and that is a folder, the names
    begin inside that folder. The top-level folders of what is left are the classes. Names that no unpacked file could
    have, links, encrypted members and such are rejected. Of members of one name the last is read.

    The archive is looked through when it is first asked for an item, its total or what it rejects; all these raise
    UserError if it is damaged. A compressed tar is then inflated once, into a temporary file without a name: disk
    space of its inflated size is needed. `stamp` does neither.

    Args:
        most_bytes: of a member, stored and inflated; longer ones are rejected.
        name: what errors call the archive.
        most_inflated: bytes of a compressed tar; a larger one is refused.
        temporary: the folder of that temporary file; None is where temporary files go (TMPDIR).

    Raises:
        UserError: no such file, or neither a zip nor a tar.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise UserError(f"{name} '{path}': not a regular file; give a zip or a tar of images")
        file = open(path, "rb")  # noqa: SIM115 - closed by the source
    except OSError as error:
        raise UserError(f"{name} '{path}': {error.strerror}; give a zip or a tar of images") from error
    start = os.pread(file.fileno(), BLOCK, 0)
    if start.startswith(_ZIP):
        return ArchiveSource(path, name, file, lambda: (file, ZipReader(file, most_bytes)))
    if begins_as_tar(start):
        return ArchiveSource(path, name, file, lambda: (file, TarReader(file, most_bytes)))
    if start.startswith((GZIP, BZIP2, XZ)):

        def inflated() -> tuple[BinaryIO, Reader]:
            file.seek(0)
            plain = inflate(file, most_inflated, temporary)
            return plain, TarReader(plain, most_bytes)

        return ArchiveSource(path, name, file, inflated)
    file.close()
    allowed = "give a zip, or a tar, plain or compressed with gzip, bzip2 or xz"
    raise UserError(f"{name} '{path}': neither a zip nor a tar, or cut short; {allowed}")


class ArchiveSource:
    """A `Source`. `open_reader` gives the file that members are read from, which is closed with the source."""

    class_names = None
    consecutive = False

    def __init__(
        self, path: Path, name: str, file: BinaryIO, open_reader: Callable[[], tuple[BinaryIO, Reader]]
    ) -> None:
        self.description = printable(os.path.abspath(path))
        self._path, self._name, self._files, self._open_reader = path, name, [file], open_reader
        self._lock = threading.Lock()
        self._listed: tuple[Reader, Members] | None = None

    @property
    def total(self) -> int:
        return len(self._look_through()[1].names)

    @property
    def total_bytes(self) -> int:
        """Of the members, inflated."""
        reader, members = self._look_through()
        return int(reader.size(members.numbers).sum())

    @property
    def rejected(self) -> Sequence[tuple[str, str]]:
        return self._look_through()[1].rejected

    def stamp(self) -> str:
        about = os.fstat(self._files[0].fileno())
        return hashlib.sha256(f"archive {about.st_size} {about.st_mtime_ns}".encode()).hexdigest()

    def items(self) -> Iterator[Item]:
        reader, members = self._look_through()
        for name, numbers in zip(members.names, members.numbers, strict=True):
            folder, _, _ = name.rpartition(b"/")
            top, slash, _ = name.partition(b"/")
            yield Item(
                name=os.fsdecode(name),
                stamp=reader.stamp(numbers),
                load=partial(_load, reader, numbers, check_image),
                class_name=os.fsdecode(top) if slash else None,
                block=os.fsdecode(folder),
            )

    def blocks(self) -> Mapping[str, int]:
        return Counter(os.fsdecode(name.rpartition(b"/")[0]) for name in self._look_through()[1].names)

    def names(self) -> list[str]:
        """Of the items, in their order."""
        return [os.fsdecode(name) for name in self._look_through()[1].names]

    def read(self, name: str) -> bytes:
        """The content of an item, be it an image or not. Raises RejectedError, ValueError if there is no such item."""
        reader, members = self._look_through()
        return _load(reader, members.numbers[members.names.index(os.fsencode(name))], _accept)

    def close(self) -> None:
        for file in self._files:
            file.close()

    def _look_through(self) -> tuple[Reader, Members]:
        with self._lock:
            if self._listed is None:
                try:
                    file, reader = self._open_reader()
                    self._files.append(file)
                    self._listed = reader, reader.members()
                except DamagedError as error:
                    raise self._refused(str(error)) from error
                except OSError as error:
                    raise self._refused(error.strerror or "cannot be read") from error
            return self._listed

    def _refused(self, why: str) -> UserError:
        return UserError(f"{self._name} '{self._path}': {why}; copy or download the archive again, or unpack it")


def _load(reader: Reader, numbers: np.ndarray, check: Callable[[bytes], None]) -> bytes:
    try:
        return reader.load(numbers, check)
    except OSError as error:
        raise RejectedError(error.strerror or "cannot be read") from error


def _accept(start: bytes) -> None:
    """A content of any kind."""
