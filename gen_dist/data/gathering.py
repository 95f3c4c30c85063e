"""Places of the stream to finished images: which sample, which changes, one call of the kernel into the batch."""

import threading
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from gen_dist.data.augmentation import Augment, Augmentation, Changes
from gen_dist.data.stream import Stream
from gen_dist.kernels.augment import Scratch, augment, make_scratch


class Images(Protocol):
    """What is needed of a Pack: `parts` are uint8 arrays n x H x W x C, `shape` is (H, W, C)."""

    @property
    def parts(self) -> Sequence[np.ndarray]: ...
    @property
    def shape(self) -> tuple[int, int, int]: ...
    def __len__(self) -> int: ...


class Gatherer:
    """Fills batches with the images at places of the stream; any number of threads may do so at once.

    What it writes depends on (pack, seed, augment, pixel_range, position) only. Raises ValueError for a pack whose
    parts do not hold as many images as it says.
    """

    def __init__(self, pack: Images, seed: int, augment: Augment, pixel_range: tuple[float, float]) -> None:
        self.stream = Stream(seed, len(pack))
        self.augmentation = Augmentation(seed, augment, *pack.shape[:2])
        self._shape = pack.shape
        self._fill = augment.fill_mode, augment.fill_value
        self._low, self._high = pixel_range
        self._parts = [np.asarray(part) for part in pack.parts]
        self._ends = np.cumsum([len(part) for part in self._parts])
        self._of_thread = threading.local()  # its scratch memory, kept as long as the thread
        if self._ends[-1] != len(pack):
            raise ValueError(f"a pack of {len(pack)} images whose parts hold {self._ends[-1]}")

    def read(self, positions: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Fill `out` (float32, n x H x W x C) with the images at `positions` (int64, n); return their samples."""
        samples = self.stream.indices(positions)
        changes = self.augmentation.at(positions)
        if len(self._parts) == 1:
            self._write(out, self._parts[0], samples, np.arange(len(samples)), changes)
            return samples
        part_of = np.searchsorted(self._ends, samples, side="right")
        for number in np.unique(part_of):
            part, rows = self._parts[number], np.flatnonzero(part_of == number)
            indices = samples[rows] - (self._ends[number] - len(part))
            some = Changes(*(None if values is None else values[rows] for values in changes))
            self._write(out, part, indices, rows, some)
        return samples

    def _write(
        self, out: np.ndarray, part: np.ndarray, indices: np.ndarray, rows: np.ndarray, changes: Changes
    ) -> None:
        mode, value = self._fill
        augment(
            out,
            part,
            indices,
            rows,
            **changes._asdict(),
            fill_mode=mode,
            fill_value=value,
            low=self._low,
            high=self._high,
            scratch=self._scratch(),
        )

    def _scratch(self) -> Scratch:
        if not hasattr(self._of_thread, "scratch"):
            self._of_thread.scratch = make_scratch(*self._shape)
        scratch: Scratch = self._of_thread.scratch
        return scratch
