"""Where the pixels of a pack's images come from: the memory map itself, or memory in which they are made.

Shapes: n images in the pack, m of them wanted, H x W x C each.
"""

import threading
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from gen_dist.data.augmentation import Augment
from gen_dist.data.encoded import EncodedImages
from gen_dist.kernels.resize_batch import resize_batch


class Images(Protocol):
    """What is needed of a Pack: `parts` are uint8 arrays n x H x W x C, `shape` is (H, W, C).

    Where there is an `encoded`, it makes the images, and `parts` are not looked at.
    """

    @property
    def parts(self) -> Sequence[np.ndarray]: ...
    @property
    def shape(self) -> tuple[int, int, int]: ...
    @property
    def encoded(self) -> EncodedImages | None: ...
    def __len__(self) -> int: ...


class Found(NamedTuple):
    """Images that lie in one array: the wanted ones `rows` are images[indices]."""

    images: np.ndarray  # uint8, n x H x W x C
    indices: np.ndarray  # int64, k
    rows: np.ndarray  # int64, k, in [0, m)


class Pixels(Protocol):
    """Finds images; any number of threads may do so at once."""

    def regions(self, samples: np.ndarray) -> np.ndarray:
        """What random parts of `samples` (int64, m) are taken from: float64, m x 4, left, top, right, bottom."""

    def find(self, samples: np.ndarray, boxes: np.ndarray | None) -> Iterator[Found]:
        """All of `samples`, or their parts `boxes`. What was found is void when the next is asked for."""


class Maker(Protocol):
    """Makes images: `make` writes `samples`, or their parts `boxes`, to `out` (uint8, m x H x W x C)."""

    def regions(self, samples: np.ndarray) -> np.ndarray: ...
    def make_scratch(self) -> Any: ...
    def decode(self, out: np.ndarray, samples: np.ndarray, boxes: np.ndarray | None, scratch: Any) -> None: ...


def pixels_of(pack: Images, augment: Augment) -> Pixels:
    """Raises ValueError for a pack whose parts do not hold as many images as it says."""
    if pack.encoded is not None:
        return Made(pack.shape, pack.encoded)
    stored = Stored(pack)
    return Made(pack.shape, Resized(stored, pack.shape)) if augment.crop_scale < 1 else stored


def kernels_used(pack: Images, augment: Augment) -> tuple[str, ...]:
    """The parts of `kernels.warm_up` that training with such images takes."""
    made = pack.encoded is not None or augment.crop_scale < 1
    return ("training", "decoding") if made else ("training",)


class Stored:
    """Pixels as they lie in the parts of a pack; always all of an image."""

    def __init__(self, pack: Images) -> None:
        self._parts = [np.asarray(part) for part in pack.parts]
        self._ends = np.cumsum([len(part) for part in self._parts])
        self._shape = pack.shape
        if self._ends[-1] != len(pack):
            raise ValueError(f"a pack of {len(pack)} images whose parts hold {self._ends[-1]}")

    def regions(self, samples: np.ndarray) -> np.ndarray:
        height, width, _ = self._shape
        return np.tile(np.array([0.0, 0.0, width, height]), (len(samples), 1))

    def find(self, samples: np.ndarray, boxes: np.ndarray | None) -> Iterator[Found]:
        if len(self._parts) == 1:
            yield Found(self._parts[0], samples, np.arange(len(samples)))
            return
        part_of = np.searchsorted(self._ends, samples, side="right")
        for number in np.unique(part_of):
            part, rows = self._parts[number], np.flatnonzero(part_of == number)
            yield Found(part, samples[rows] - (self._ends[number] - len(part)), rows)


class Resized:
    """Makes parts of stored images as large as the images, bilinear whatever filter they were prepared with."""

    def __init__(self, stored: Stored, shape: tuple[int, int, int]) -> None:
        self._stored, self._shape = stored, shape

    def regions(self, samples: np.ndarray) -> np.ndarray:
        return self._stored.regions(samples)

    def make_scratch(self) -> None:
        return None

    def decode(self, out: np.ndarray, samples: np.ndarray, boxes: np.ndarray | None, scratch: None) -> None:
        boxes = self.regions(samples) if boxes is None else boxes
        for images, indices, rows in self._stored.find(samples, None):
            resize_batch(out, images, indices, rows, boxes[rows])


class Made:
    """Images made anew each time, in memory of the thread that asks."""

    def __init__(self, shape: tuple[int, int, int], maker: Maker) -> None:
        self._shape, self._maker = shape, maker
        self._of_thread = threading.local()  # memory for images and the maker's scratch, kept as long as the thread

    def regions(self, samples: np.ndarray) -> np.ndarray:
        return self._maker.regions(samples)

    def find(self, samples: np.ndarray, boxes: np.ndarray | None) -> Iterator[Found]:
        count, mine = len(samples), self._of_thread
        if len(getattr(mine, "images", ())) < count:
            mine.images = np.empty((count, *self._shape), np.uint8)
        if not hasattr(mine, "scratch"):
            mine.scratch = self._maker.make_scratch()
        self._maker.decode(mine.images[:count], samples, boxes, mine.scratch)
        everything = np.arange(count)
        yield Found(mine.images[:count], everything, everything)
