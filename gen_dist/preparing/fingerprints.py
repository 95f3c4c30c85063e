"""Fingerprints and names of the images that stayed in a pack in the making, in files: what a killed process leaves."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import numpy as np

from gen_dist.data.npy import sync
from gen_dist.preparing.duplicates import Duplicates, Names, fingerprint_length, is_dropped

_ROWS = 4096  # read at a time
_END = b"\0"  # of a name, in which no such byte can be


class FingerprintFiles:
    """`Duplicates`, kept in the files `fingerprints` and `names` of `folder`; the first `count` images are taken up.

    Raises OSError, and ValueError if the files hold fewer.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self._duplicates, self._names = Duplicates("near"), Names()
        mode = "r+b" if count else "w+b"
        with ExitStack() as stack:  # which closes them if anything is missing
            self._prints: IO[bytes] = stack.enter_context(open(folder / "fingerprints", mode))
            self._listed: IO[bytes] = stack.enter_context(open(folder / "names", mode))
            self._take_up(count)
            stack.pop_all()

    def sift(self, fingerprints: np.ndarray, names: Sequence[str], drop: str) -> tuple[np.ndarray, list[str]]:
        """What images are, in order, each beside those that stayed, as `Duplicates.sift` has it; and whom each is like.

        names: of the images' items. Raises OSError.
        """
        kinds, numbers = self._duplicates.sift(fingerprints, len(self._names), drop)
        stays = ~is_dropped(kinds, drop)
        self._prints.write(fingerprints[stays].tobytes())
        for name, kept in zip(names, stays.tolist(), strict=True):
            if kept:
                self._names.append(name)
                self._listed.write(os.fsencode(name) + _END)
        return kinds, [self._names[number] if number >= 0 else "" for number in numbers.tolist()]

    def sync(self) -> None:
        """Brings what was added to the disk."""
        sync(self._prints)
        sync(self._listed)

    def close(self) -> None:
        self._prints.close()
        self._listed.close()

    def _take_up(self, count: int) -> None:
        length = fingerprint_length("near")
        for start in range(0, count, _ROWS):
            rows = min(_ROWS, count - start)
            data = np.frombuffer(self._prints.read(rows * length), np.uint8)
            self._duplicates.sift(data.reshape(rows, length), start)
        self._read_names(count)
        for file in (self._prints, self._listed):
            file.truncate(file.tell())
            file.seek(0, os.SEEK_END)

    def _read_names(self, count: int) -> None:
        rest, position = b"", 0
        while len(self._names) < count:
            block = self._listed.read(1 << 16)
            if not block:
                raise ValueError(f"'{self._listed.name}' has fewer than {count} names")
            *names, rest = (rest + block).split(_END)
            for name in names[: count - len(self._names)]:
                self._names.append(os.fsdecode(name))
                position += len(name) + len(_END)
        self._listed.seek(position)
