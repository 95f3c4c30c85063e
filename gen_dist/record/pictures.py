"""Grids of images as PNG files."""

import io
import os
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from gen_dist.atomic import write_atomic
from gen_dist.errors import UserError

_GAP_GREY = 128  # images on white and images on black both stand out from it
_CELL = 96  # pixels; smaller images are enlarged to about this size


def image_grid(images: np.ndarray, columns: int, gap: int = 2, scale: int | Literal["auto"] = "auto") -> np.ndarray:
    """Lay `images` (uint8, n x H x W x C, C = 1 or 3) out row by row, with a grey gap around each.

    Each pixel becomes `scale` x `scale` pixels; `auto` enlarges small images to about 96 pixels. Returns uint8,
    rows * (H * scale + gap) + gap high, columns * (W * scale + gap) + gap wide, with C channels. Free cells are grey.
    Raises ValueError for anything but such images.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape:
        raise ValueError(f"images must be uint8 of shape (n, H, W, 1 or 3), not {images.dtype} {images.shape}")
    if columns < 1 or gap < 0 or (scale != "auto" and scale < 1):
        raise ValueError(f"columns {columns} and scale {scale} must be at least 1, gap {gap} at least 0")
    count, height, width, channels = images.shape
    factor = max(1, _CELL // max(height, width)) if scale == "auto" else scale
    cells = images.repeat(factor, axis=1).repeat(factor, axis=2)
    height, width = height * factor, width * factor
    rows = -(-count // columns)
    grid = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, channels), _GAP_GREY, np.uint8)
    for index, cell in enumerate(cells):
        top = gap + (index // columns) * (height + gap)
        left = gap + (index % columns) * (width + gap)
        grid[top : top + height, left : left + width] = cell
    return grid


def save_png(path: str | os.PathLike[str], array: np.ndarray) -> None:
    """Write `array` (uint8, H x W, H x W x 1 or H x W x 3) as a PNG file, whole or not at all.

    Raises UserError where it cannot be written, ValueError for anything but such an array.
    """
    grey = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 1)
    if array.dtype != np.uint8 or not (grey or (array.ndim == 3 and array.shape[2] == 3)):
        raise ValueError(f"a picture must be uint8 of shape (H, W[, 1 or 3]), not {array.dtype} {array.shape}")
    buffer = io.BytesIO()
    Image.fromarray(array.reshape(array.shape[:2]) if grey else array).save(buffer, format="PNG")
    try:
        write_atomic(Path(path), buffer.getvalue())
    except OSError as error:
        raise UserError(f"picture '{path}': cannot be written ({error.strerror}); check the disk") from error
