"""Places of the stream to finished images: which sample, which changes, one call of the kernel into the batch."""

import threading
from collections.abc import Sequence
from typing import NamedTuple, Protocol

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


class Plan(NamedTuple):
    """Which images come, and what is done to each."""

    positions: np.ndarray  # int64, n: places in the stream
    samples: np.ndarray  # int64, n: indices in the pack
    changes: Changes

    def of(self, chunk: slice) -> "Plan":
        return Plan(self.positions[chunk], self.samples[chunk], self.changes.of(chunk))


class Gatherer:
    """Fills batches with the images at places of the stream; any number of threads may do so at once.

    A plan is made once for a batch, then its chunks are filled. A chunk costs little more than one call of a kernel,
    during which other threads may use Python. What is written depends on (pack, seed, augment, pixel_range, position)
    only.

    Raises ValueError for a pack whose parts do not hold as many images as it says.
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

    def plan(self, positions: np.ndarray) -> "Plan":
        """What belongs at `positions` (int64, n). Costs a few hundredths of a millisecond, whatever n is."""
        return Plan(positions, self.stream.indices(positions), self.augmentation.at(positions))

    def fill(self, out: np.ndarray, plan: "Plan") -> None:
        """Write the images of the plan into `out` (float32, n x H x W x C)."""
        if len(self._parts) == 1:
            self._write(out, self._parts[0], plan.samples, np.arange(len(out)), plan.changes)
            return
        part_of = np.searchsorted(self._ends, plan.samples, side="right")
        for number in np.unique(part_of):
            part, rows = self._parts[number], np.flatnonzero(part_of == number)
            indices = plan.samples[rows] - (self._ends[number] - len(part))
            self._write(out, part, indices, rows, plan.changes.of(rows))

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
