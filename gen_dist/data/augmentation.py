"""What is done to the image at a place of the stream: settings and seed in, the kernel's parameters out."""

from typing import NamedTuple, Protocol

import numpy as np

from gen_dist.draws import subkey
from gen_dist.kernels import random_crops
from gen_dist.kernels.affine import matrices
from gen_dist.kernels.philox import fill_uniform


class Augment(Protocol):
    """Which random changes are made to images: RunConfig's `data.augment`."""

    @property
    def crop_scale(self) -> float: ...
    @property
    def crop_ratio(self) -> float: ...
    @property
    def horizontal_flip(self) -> bool: ...
    @property
    def vertical_flip(self) -> bool: ...
    @property
    def crop_padding(self) -> int: ...
    @property
    def rotation(self) -> float: ...
    @property
    def width_shift(self) -> float: ...
    @property
    def height_shift(self) -> float: ...
    @property
    def shear(self) -> float: ...
    @property
    def zoom(self) -> float: ...
    @property
    def fill_mode(self) -> str: ...
    @property
    def fill_value(self) -> int: ...
    @property
    def brightness(self) -> float: ...
    @property
    def contrast(self) -> float: ...
    @property
    def saturation(self) -> float: ...


class Changes(NamedTuple):
    """Parameters of `kernels.augment` for m images; None where the settings ask for no such change."""

    crops: np.ndarray | None  # int64, m x 2
    flips: np.ndarray | None  # bool, m x 2
    matrices: np.ndarray | None  # float64, m x 2 x 3
    colors: np.ndarray | None  # float32, m x 3

    def of(self, chosen: np.ndarray | slice) -> "Changes":
        """Those of some of the images."""
        return Changes(*(None if values is None else values[chosen] for values in self))


# Which number of a position's draws decides what. New changes come after these, so that old runs stay as they were.
_FLIPS = slice(0, 2)  # horizontal, vertical
_CROPS = slice(2, 4)  # row, column
_ROTATION, _ROW_SHIFT, _COLUMN_SHIFT, _SHEAR, _ZOOM_ROWS, _ZOOM_COLUMNS = range(4, 10)
_COLORS = slice(10, 13)
_NUMBERS = 13
_BOXES = slice(_NUMBERS, _NUMBERS + random_crops.NUMBERS)  # of the image; drawn only where they are asked for


class Augmentation:
    """Draws the changes for images of `height` x `width` from the seed, per stream position."""

    def __init__(self, seed: int, settings: Augment, height: int, width: int) -> None:
        self._key = subkey(seed, "augment")
        self._settings = settings
        self._height, self._width = height, width
        self._spans = np.array([settings.brightness, settings.contrast, settings.saturation], np.float32)
        moves = settings.rotation, settings.width_shift, settings.height_shift, settings.shear, settings.zoom
        self._moved = any(moves)
        self._flipped = np.array([settings.horizontal_flip, settings.vertical_flip])
        self._any = bool(self._moved or self._flipped.any() or settings.crop_padding or self._spans.any())

    def at(self, positions: np.ndarray) -> Changes:
        """The changes of the images at `positions` (int64, m)."""
        if not self._any:
            return Changes(None, None, None, None)
        numbers = np.empty((len(positions), _NUMBERS), np.float32)
        fill_uniform(numbers, *self._key, positions)
        return Changes(self._crops(numbers), self._flips(numbers), self._matrices(numbers), self._colors(numbers))

    def boxes(self, positions: np.ndarray, regions: np.ndarray) -> np.ndarray:
        """Random parts of the images at `positions`, by the rule of `random_crops.draw_crops`.

        `regions`: float64, m x 4, the left, top, right and bottom of what they are taken from; returned alike.
        """
        numbers, boxes = np.empty((len(positions), _BOXES.stop), np.float32), np.empty((len(positions), 4))
        fill_uniform(numbers, *self._key, positions)
        drawn = np.ascontiguousarray(numbers[:, _BOXES])
        random_crops.draw_crops(boxes, drawn, regions, self._settings.crop_scale, self._settings.crop_ratio)
        return boxes

    def _crops(self, numbers: np.ndarray) -> np.ndarray | None:
        if not (padding := self._settings.crop_padding):
            return None
        # In float64, where the product of a 24-bit fraction is exact: the last place is never reached by rounding.
        chosen = numbers[:, _CROPS].astype(np.float64) * (2 * padding + 1)
        return np.ascontiguousarray(np.floor(chosen).astype(np.int64) - padding)

    def _flips(self, numbers: np.ndarray) -> np.ndarray | None:
        if not self._flipped.any():
            return None
        return np.ascontiguousarray((numbers[:, _FLIPS] < 0.5) & self._flipped)

    def _matrices(self, numbers: np.ndarray) -> np.ndarray | None:
        if not self._moved:
            return None
        settings, centred = self._settings, numbers.astype(np.float64) * 2 - 1  # in [-1, 1)
        return matrices(
            theta=centred[:, _ROTATION] * settings.rotation,
            row_shift=centred[:, _ROW_SHIFT] * settings.height_shift,
            column_shift=centred[:, _COLUMN_SHIFT] * settings.width_shift,
            shear=centred[:, _SHEAR] * settings.shear,
            zoom_rows=1 + centred[:, _ZOOM_ROWS] * settings.zoom,
            zoom_columns=1 + centred[:, _ZOOM_COLUMNS] * settings.zoom,
            height=self._height,
            width=self._width,
        )

    def _colors(self, numbers: np.ndarray) -> np.ndarray | None:
        if not self._spans.any():
            return None
        return np.ascontiguousarray(1 + (numbers[:, _COLORS] * 2 - 1) * self._spans)
