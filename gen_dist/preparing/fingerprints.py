"""Fingerprints of the images that stayed in a pack in the making, in a file: an interrupted try is gone on with."""

import os
from pathlib import Path

import numpy as np

from gen_dist.data.npy import sync
from gen_dist.preparing.duplicates import Duplicates, fingerprint_length, is_dropped

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
            self._duplicates.sift(data.reshape(rows, length), start)
        self._file.truncate(count * length)
        self._file.seek(0, os.SEEK_END)

    def sift(self, fingerprints: np.ndarray, drop: str) -> np.ndarray:
        """What images are, in order, each beside those that stayed: see `Duplicates.sift`. Raises OSError."""
        kinds, _ = self._duplicates.sift(fingerprints, self._count, drop)
        kept = fingerprints[~is_dropped(kinds, drop)]
        self._file.write(kept.tobytes())
        self._count += len(kept)
        return kinds

    def sync(self) -> None:
        """Brings what was added to the disk."""
        sync(self._file)

    def close(self) -> None:
        self._file.close()
