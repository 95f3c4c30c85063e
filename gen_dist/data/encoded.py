"""Images of a pack that keeps JPEGs: decoded when they are wanted, whole files or parts of them, to one size.

Shapes: n images in the pack, m of them wanted, S x S x C (C = 3, or 1 for the luma) as training gets them.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from gen_dist.data.pack_index import read_index
from gen_dist.data.pack_meta import META, Meta, damaged
from gen_dist.errors import RunError
from gen_dist.kernels.jpeg import Scratch, decode_batch, error_for, make_scratch
from gen_dist.kernels.limits import Limits
from gen_dist.kernels.taps import FILTERS

_CROP = re.compile(r"center|stretch|box:([0-9]{1,5}),([0-9]{1,5}),([0-9]{1,5}),([0-9]{1,5})")


class EncodedImages:
    """Decodes any of a pack's JPEGs, with the window and the filter that the pack was prepared with.

    Args:
        path: the pack, for errors.
        meta: what it says of itself.
        parts: uint8, 1-D, files one behind the other.
        offsets: int64, n + 1; where the files begin and end, over all parts together.
        sizes: int32, n x 2, width and height of each.

    Any number of threads may decode at once, each with a scratch of its own. Raises UserError for a window, a filter
    or channels that there are not.
    """

    def __init__(
        self, path: Path, meta: Meta, parts: Sequence[np.ndarray], offsets: np.ndarray, sizes: np.ndarray
    ) -> None:
        self.path, self.shape, self.sizes = path, meta.shape, sizes
        self.mode, self.box = _window(path, meta)
        self.filter = str(meta.settings.get("data.prepare.filter", "lanczos"))
        if self.filter not in FILTERS:
            raise damaged(path, META, f"data.prepare.filter '{self.filter}' is none of {', '.join(FILTERS)}")
        if meta.shape[2] not in (1, 3):
            raise damaged(path, META, f"JPEGs of {meta.shape[2]} channels; there are 1 and 3")
        self._parts = [np.asarray(part) for part in parts]
        self._ends = np.cumsum([part.images for part in meta.parts])
        # Of each part its own, counted from its begin: eight bytes an image, copied for all parts but the first.
        edges = pairwise([0, *self._ends.tolist()])
        self._offsets = [_from_zero(np.asarray(offsets[first : end + 1])) for first, end in edges]
        # What claims to be larger than all that was prepared is damaged: no memory is taken for it.
        self._limits = Limits(
            pixels=int(sizes.astype(np.int64).prod(axis=1).max()),
            side=int(sizes.max()),
            file_bytes=int(np.diff(offsets).max()),
        )

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def shown(self) -> str:
        """All that decides what is made of the files."""
        return f"{self.shape} {self.mode} {self.box} {self.filter}"

    def make_scratch(self) -> Scratch:
        """For one thread at a time."""
        return make_scratch()

    def regions(self, samples: np.ndarray) -> np.ndarray:
        """What random crops of `samples` are parts of: the whole images, or the box they were prepared with.

        Float64, m x 4: left, top, right, bottom.
        """
        return _whole(self.sizes[samples]) if self.box is None else self.boxes(samples)

    def boxes(self, samples: np.ndarray) -> np.ndarray:
        """The windows of `samples` (int64, m): float64, m x 4, left, top, right, bottom; as `cropping.window` says."""
        if self.box is not None:
            left, top, width, height = self.box
            return np.tile(np.array([left, top, left + width, top + height], np.float64), (len(samples), 1))
        if self.mode == "stretch":
            return _whole(self.sizes[samples])
        return _central(self.sizes[samples].astype(np.int64), *self.shape[:2])

    def decode(
        self,
        out: np.ndarray,
        samples: np.ndarray,
        boxes: np.ndarray | None = None,
        scratch: Scratch | None = None,
    ) -> None:
        """Write the images `samples` (int64, m, in any order) to `out` (uint8, m x S x S x C).

        Args:
            boxes: float64, m x 4: the part of each, left, top, right, bottom; None for the pack's window.
            scratch: from `make_scratch`; made anew if None.

        Raises RunError naming the first image that is damaged.
        """
        boxes = self.boxes(samples) if boxes is None else boxes
        if len(self._parts) == 1:
            self._decode(out, 0, samples, boxes, scratch)
            return
        part_of = np.searchsorted(self._ends, samples, side="right")
        for number in np.unique(part_of):
            rows = np.flatnonzero(part_of == number)
            some = np.empty((len(rows), *self.shape), np.uint8)
            self._decode(some, number, samples[rows], boxes[rows], scratch)
            out[rows] = some

    def _decode(
        self, out: np.ndarray, number: int, samples: np.ndarray, boxes: np.ndarray, scratch: Scratch | None
    ) -> None:
        """Of one part."""
        statuses = np.empty(len(samples), np.int32)
        decode_batch(
            out,
            self._parts[number],
            self._offsets[number],
            statuses,
            indices=samples - (self._ends[number - 1] if number else 0),
            boxes=boxes,
            filter=self.filter,
            limits=self._limits,
            scratch=scratch,
        )
        if statuses.any():
            first = np.flatnonzero(statuses)[0]
            raise self._damaged(int(samples[first]), str(error_for(statuses[first])))

    def _damaged(self, index: int, reason: str) -> RunError:
        name = self._name(index)
        what = f"image {index}, '{name}'" if name else f"image {index}"
        return RunError(
            f"pack '{self.path}': {what}: {reason}; it was whole when it was prepared, so the pack is damaged: "
            f"run 'gen-dist verify {self.path}'"
        )

    def _name(self, index: int) -> str:
        """Of the item that image `index` was made of; "" where the index does not say."""
        images = 0
        for entry in read_index(self.path):
            images += entry.images
            if images > index:
                return entry.name
        return ""


def _window(path: Path, meta: Meta) -> tuple[str, tuple[int, ...] | None]:
    """(mode, box) as of `cropping.window`."""
    crop = str(meta.settings.get("data.prepare.crop", "center"))
    match = _CROP.fullmatch(crop)
    if match is None:
        raise damaged(
            path, META, f"data.prepare.crop '{crop}' is not a window for JPEGs: center, stretch or box:X,Y,W,H"
        )
    mode, _, _ = crop.partition(":")
    return mode, tuple(map(int, match.groups())) if mode == "box" else None


def _from_zero(offsets: np.ndarray) -> np.ndarray:
    return offsets if offsets[0] == 0 else offsets - offsets[0]


def _whole(sizes: np.ndarray) -> np.ndarray:
    boxes = np.zeros((len(sizes), 4))
    boxes[:, 2:] = sizes
    return boxes


def _central(sizes: np.ndarray, out_height: int, out_width: int) -> np.ndarray:
    """The largest central parts with the aspect out_width : out_height of images of `sizes` (int64, m x 2)."""
    width, height = sizes.T
    narrow = out_width * height >= out_height * width  # as wide as the image
    crop = np.empty_like(sizes)
    crop[:, 0] = np.where(narrow, width, np.maximum(1, (2 * out_width * height + out_height) // (2 * out_height)))
    crop[:, 1] = np.where(narrow, np.maximum(1, (2 * out_height * width + out_width) // (2 * out_width)), height)
    corner = (sizes - crop) // 2
    return np.concatenate((corner, corner + crop), axis=1).astype(np.float64)
