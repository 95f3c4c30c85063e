"""A folder of image files into one array of squares, as people do it with Pillow: a pool of processes, a DataLoader.

Both write the array to disk. Pool and workers are started once, before anything is timed.
"""

import multiprocessing
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.peers.inputs import BATCH, SIDE, Inputs, Run

CHUNK = 64  # files that a process of the pool takes at a time


def square(path: Path) -> np.ndarray:
    """The central square, Lanczos to SIDE, as `img2dataset` with center_crop and Pillow in place of OpenCV."""
    with Image.open(path) as file:
        image = file.convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = image.crop((left, top, left + side, top + side))
    return np.array(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def _write(work: tuple[Path, int, Sequence[Path]]) -> int:
    """Squares into their place in the shared array; how many."""
    out, first, paths = work
    images = np.load(out, mmap_mode="r+")
    for number, path in enumerate(paths, start=first):
        images[number] = square(path)
    return len(paths)


def pool(inputs: Inputs) -> Run:
    paths, out = sorted((inputs.folder / "files").iterdir()), inputs.folder / "pool.npy"
    work = [(out, first, paths[first : first + CHUNK]) for first in range(0, len(paths), CHUNK)]
    processes = multiprocessing.get_context("spawn").Pool(inputs.threads)

    def run() -> Iterator[np.ndarray]:
        _array(out, len(paths)).flush()
        assert sum(processes.imap_unordered(_write, work)) == len(paths)
        yield np.load(out, mmap_mode="r")

    return run


class Folder:
    """What a DataLoader wants of a dataset."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:
        return square(self.paths[index])


def loader(inputs: Inputs) -> Run:
    from torch.utils.data import DataLoader

    data, out = Folder(sorted((inputs.folder / "files").iterdir())), inputs.folder / "loader.npy"
    batches = DataLoader(data, BATCH, num_workers=inputs.threads, persistent_workers=True)  # type: ignore[arg-type]

    def run() -> Iterator[np.ndarray]:
        images, done = _array(out, len(data)), 0
        for batch in batches:
            images[done : done + len(batch)] = batch
            done += len(batch)
        images.flush()
        yield images

    return run


def _array(out: Path, count: int) -> np.memmap:
    return np.lib.format.open_memmap(out, "w+", np.uint8, (count, SIDE, SIDE, 3))
