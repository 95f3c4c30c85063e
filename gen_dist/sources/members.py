"""What an archive lists, judged by name alone: hidden members are left out, names that point elsewhere are rejected.

Nothing is ever unpacked to a disk. But a name that would leave the folder it is unpacked into means that somebody
meant harm, and one that is another file on another system would make a pack depend on where it was made.
"""

import os
import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

MOST_MEMBERS = 10_000_000
_MOST_NAME = 4096  # bytes; longer ones no file system takes
_SHOWN_NAME = 200
_DRIVE = re.compile(rb"[A-Za-z]:")
_PLAIN = re.compile(rb"(?:[^/.\\\0:_][^/\\\0:]*/)*[^/.\\\0:_][^/\\\0:]*")  # nothing to judge: nearly every name
TWICE = "occurs again later in the archive, where it is read"


class DamagedError(Exception):
    """Why nothing can be read from an archive or a file of arrays, in a few words for the user."""


@dataclass(frozen=True)
class Members:
    """What can be read of an archive.

    Args:
        names: sorted, no two alike, "/" between their parts, without the folders that hold everything.
        numbers: int64, n x k: where each member is, and what else its reader knows of it.
        rejected: (name, reason), sorted by the names' bytes, which stand in them as `os.fsdecode` leaves them.
    """

    names: list[bytes]
    numbers: np.ndarray
    rejected: list[tuple[str, str]]


def read_at(file: BinaryIO, length: int, offset: int) -> bytes:
    """`length` bytes from `offset`, less only where the file ends; from any thread. One pread gives 2 GB at most."""
    data = os.pread(file.fileno(), length, offset)
    while len(data) < length and (more := os.pread(file.fileno(), length - len(data), offset + len(data))):
        data += more
    return data


class Gathering:
    """Members as an archive's reader comes upon them, each with `columns` numbers below 2^63."""

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._names: list[bytes] = []
        self._numbers = array("q")
        self._rejected: list[tuple[bytes, str]] = []  # could be read, had they another content
        self._misnamed: list[tuple[bytes, str]] = []

    def add(self, name: bytes, numbers: Sequence[int], reason: str = "") -> None:
        """A member as the archive names it; one with a reason is rejected. Raises DamagedError for one too many."""
        if len(self._names) + len(self._rejected) + len(self._misnamed) >= MOST_MEMBERS:
            raise DamagedError(f"more than {MOST_MEMBERS} members")
        clean = name
        if len(name) > _MOST_NAME or not _PLAIN.fullmatch(name):
            if why := _misnamed(name):
                self._misnamed.append((name[:_SHOWN_NAME], why))
                return
            parts = [part for part in name.split(b"/") if part not in (b"", b".")]
            if any(part.startswith(b".") for part in parts) or parts[0] == b"__MACOSX":
                return
            clean = b"/".join(parts)
        if reason:
            self._rejected.append((clean, reason))
        else:
            self._names.append(clean)
            self._numbers.extend(numbers)

    def finish(self) -> Members:
        """The members, the last of each name, as unzip and tar do, without the folders that hold everything."""
        skipped = len(common_folder([*self._names, *(name for name, _ in self._rejected)]))
        names = self._names = [name[skipped:] for name in self._names] if skipped else self._names
        rejected = [(name[skipped:], why) for name, why in self._rejected] + self._misnamed
        order = sorted(range(len(names)), key=names.__getitem__)  # stable: the last of one name stays the last
        kept: list[int] = []
        for i in order:
            if kept and names[kept[-1]] == names[i]:
                rejected.append((names[kept.pop()], TWICE))
            kept.append(i)
        numbers = np.frombuffer(self._numbers, np.int64).reshape(-1, self._columns)
        rejected.sort()
        return Members([names[i] for i in kept], numbers[kept], [(os.fsdecode(name), why) for name, why in rejected])


def common_folder(names: Sequence[bytes]) -> bytes:
    """What all names begin with, "a/b/": as long as there is one entry only at the top and it is a folder, we go in."""
    if not names:
        return b""
    first, last = min(names), max(names)
    shared = 0
    # Between the first and the last in order, every name has what those two share.
    for end in (i + 1 for i, byte in enumerate(first) if byte == ord("/")):
        if last[:end] != first[:end]:
            break
        shared = end
    return first[:shared]


def _misnamed(name: bytes) -> str:
    """Why a name is not accepted, "" if it is."""
    if len(name) > _MOST_NAME:
        return f"a name of {len(name)} bytes, more than {_MOST_NAME}"
    if b"\0" in name or b"\\" in name:
        return "a name with a NUL or a backslash in it"
    if name.startswith(b"/") or _DRIVE.match(name):
        return "an absolute name"
    parts = name.split(b"/")
    if b".." in parts:
        return "a name that leads out of its folder"
    if all(part in (b"", b".") for part in parts):
        return "no name"
    return ""
