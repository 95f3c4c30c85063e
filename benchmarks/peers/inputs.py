"""What a way is given: the arrays and files of its row's folder. Imported in every environment, so NumPy alone."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

BATCH = 128
SIDE = 64  # of what comes out

# One repeat: hands out finished batches, each of which may be overwritten when the next is asked for.
Run = Callable[[], Iterator[np.ndarray]]


@dataclass(frozen=True)
class Inputs:
    """`threads`: what a way that has them may use; it is pinned to as many cores."""

    folder: Path
    threads: int

    def __getitem__(self, name: str) -> np.ndarray:
        return np.asarray(np.load(self.folder / f"{name}.npy", mmap_mode="r"))

    def files(self) -> list[bytes]:
        """The contents of the folder `files`, in the order of their names."""
        return [Path(entry).read_bytes() for entry in sorted(os.scandir(self.folder / "files"), key=lambda e: e.name)]


def batches(count: int) -> list[slice]:
    return [slice(start, min(start + BATCH, count)) for start in range(0, count, BATCH)]


def buffer() -> np.ndarray:
    """For a batch of what comes out: float32, BATCH x SIDE x SIDE x 3."""
    return np.zeros((BATCH, SIDE, SIDE, 3), np.float32)


def normalise(pixels: np.ndarray, out: np.ndarray) -> None:
    """uint8 into float32 [-1, 1], in two vectorised passes over `out`."""
    np.multiply(pixels, np.float32(2 / 255), out=out, dtype=np.float32)
    np.subtract(out, np.float32(1), out=out)
