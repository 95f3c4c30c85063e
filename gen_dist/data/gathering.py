"""Places of the stream to finished images: which sample, which changes, one call of the kernel into the batch."""

import threading
import time
from typing import NamedTuple

import numpy as np

from gen_dist.data.augmentation import Augment, Augmentation, Changes
from gen_dist.data.pixels import Images, pixels_of
from gen_dist.data.stream import Stream
from gen_dist.kernels.augment import Scratch, augment, make_scratch


class Plan(NamedTuple):
    """Which images come, and what is done to each."""

    positions: np.ndarray  # int64, n: places in the stream
    samples: np.ndarray  # int64, n: indices in the pack
    boxes: np.ndarray | None  # float64, n x 4: left, top, right, bottom; None for all of each image
    changes: Changes

    def of(self, chunk: slice) -> "Plan":
        boxes = None if self.boxes is None else self.boxes[chunk]
        return Plan(self.positions[chunk], self.samples[chunk], boxes, self.changes.of(chunk))


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
        self._pixels = pixels_of(pack, augment)
        self._crops_parts = augment.crop_scale < 1
        self._shape = pack.shape
        self._fill = augment.fill_mode, augment.fill_value
        self._low, self._high = pixel_range
        self._of_thread = threading.local()  # its scratch memory, kept as long as the thread

    def plan(self, positions: np.ndarray) -> "Plan":
        """What belongs at `positions` (int64, n). Costs a few hundredths of a millisecond, whatever n is."""
        samples, boxes = self.stream.indices(positions), None
        if self._crops_parts:
            boxes = self.augmentation.boxes(positions, self._pixels.regions(samples))
        return Plan(positions, samples, boxes, self.augmentation.at(positions))

    def fill(self, out: np.ndarray, plan: "Plan") -> tuple[float, float]:
        """Write the images of the plan into `out` (float32, n x H x W x C).

        Returns the processor's seconds of making the images, where they are not there as they are, and of augmenting
        them into `out`; seconds of waiting for a disk are in neither.

        Raises RunError for an image that is damaged, as far as that shows.
        """
        started = time.thread_time()
        augmenting = 0.0
        for images, indices, rows in self._pixels.find(plan.samples, plan.boxes):
            found = time.thread_time()
            everything = len(rows) == len(plan.samples)
            self._write(out, images, indices, rows, plan.changes if everything else plan.changes.of(rows))
            augmenting += time.thread_time() - found
        return time.thread_time() - started - augmenting, augmenting

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
