"""Fingerprints of the images that stayed in a pack in the making, in a file: an interrupted try is gone on with."""

import os
from pathlib import Path

import numpy as np

from gen_dist.data.npy import sync
from gen_dist.preparing.duplicates import Duplicates, fingerprint_length

_ROWS = 4096  # read at a time


class FingerprintFile:
    """`Duplicates`, whose fingerprints are kept in the file at `path`; the first `count` of those in it are taken up.

    Raises OSError, and ValueError if the file holds fewer.
    """

    def __init__(self, path: Path, count: int) -> None:
        self._duplicates = Duplicates("near")
        self._count = count
        length = fingerprint_length("near")
        self._file = open(path, "r+b" if count else "w+b")  # noqa: SIM115 - closed by close
        for start in range(0, count, _ROWS):
            rows = min(_ROWS, count - start)
            data = np.frombuffer(self._file.read(rows * length), np.uint8)
            for number, fingerprint in enumerate(data.reshape(rows, length), start):
                self._duplicates.add(fingerprint, number)
        self._file.truncate(count * length)
        self._file.seek(0, os.SEEK_END)

    def match(self, fingerprint: np.ndarray) -> str | None:
        """ "exact" or "near" if such an image is there."""
        found = self._duplicates.check(fingerprint)
        return None if found is None else found.kind

    def add(self, fingerprint: np.ndarray) -> None:
        """Of an image that stays. Raises OSError."""
        self._duplicates.add(fingerprint, self._count)
        self._file.write(fingerprint.data)
        self._count += 1

    def sync(self) -> None:
        """Brings what was added to the disk."""
        sync(self._file)

    def close(self) -> None:
        self._file.close()
