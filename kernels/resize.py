"""Antialiased resize of uint8 images, as Pillow's: any size, a crop box, centre crop, fit, stretch and pad."""

import functools
import math
from collections.abc import Sequence

import numpy as np

from gen_dist.kernels.checks import check_array
from gen_dist.kernels.cropping import window
from gen_dist.kernels.resampling import resample, resample_scratch
from gen_dist.kernels.taps import FILTERS, fill_taps, taps_length


def scratch_length(out: np.ndarray, image: np.ndarray) -> int:
    """Bytes of scratch that `resize` of `image` to `out` may need, whatever the filter and the box."""
    return int(resample_scratch(image.shape[2], image.shape[1], image.shape[0], out.shape[1]))


def resize(
    out: np.ndarray,
    image: np.ndarray,
    *,
    filter: str,
    box: Sequence[float] | None = None,
    scratch: np.ndarray | None = None,
) -> None:
    """Resize `image`, or a part of it, to the size of `out`.

    The filter is stretched when the image shrinks, and applied along each axis in fixed point. Equal to Pillow's
    `resize(size, filter, box)` within 1 of 255. Channels are independent: alpha is not multiplied in, which Pillow does
    for RGBA. The same bits on every machine.

    Args:
        out: uint8, h x w x C, contiguous; not overlapping with image.
        image: uint8, H x W x C, contiguous; C is 1 to 4.
        filter: "nearest", "box", "bilinear", "hamming", "bicubic" (Keys, a = -1/2) or "lanczos" (three lobes).
        box: x0, y0, x1, y1 in pixels and fractions of them: the part that becomes `out`. Filters read past its
            edges where the image goes on. The whole image by default.
        scratch: uint8, one axis, at least `scratch_length(out, image)`; by default it is allocated.

    Raises ValueError naming what is wanted and what came for arrays, a filter or a box that are not so.
    """
    _check_images(out, image, filter)
    height, width = image.shape[:2]
    x0, y0, x1, y1 = (0.0, 0.0, float(width), float(height)) if box is None else _checked_box(box, width, height)
    columns = _table(width, out.shape[1], x0, x1, filter)
    rows = _table(height, out.shape[0], y0, y1, filter)
    _resample(out, 0, image, 0, columns, rows, scratch)


def resize_cropped(
    out: np.ndarray,
    image: np.ndarray,
    *,
    mode: str,
    filter: str,
    box: Sequence[int] | None = None,
    fill: int | Sequence[int] = 0,
    scratch: np.ndarray | None = None,
) -> None:
    """Crop `image` to whole pixels, resize the crop into `out` and fill what is left of `out`.

    As in Pillow's `crop` and then `resize`, the filter reads nothing outside of the crop.

    Args:
        out, image, filter, scratch: as for `resize`.
        mode, box: as for `gen_dist.kernels.cropping.window`.
        fill: 0 to 255, for all channels or for each; the border, which the modes "fit" and "pad" leave.

    Raises ValueError as `resize` and `window` do, and for a fill out of range.
    """
    _check_images(out, image, filter)
    channels = image.shape[2]
    colour = _checked_fill(fill, channels)
    found = window(image.shape[1], image.shape[0], out.shape[1], out.shape[0], mode, box)
    scratch = _scratch(scratch, out, image)
    (left, top, width, height), (out_left, out_top, out_width, out_height) = found.crop, found.placed
    if (out_height, out_width) != out.shape[:2]:
        out[:out_top] = out[out_top + out_height :] = colour
        out[:, :out_left] = out[:, out_left + out_width :] = colour
    columns = _table(width, out_width, 0.0, float(width), filter)
    rows = _table(height, out_height, 0.0, float(height), filter)
    out_start = (out_top * out.shape[1] + out_left) * channels
    start = (top * image.shape[1] + left) * channels
    _resample(out, out_start, image, start, columns, rows, scratch)


def _resample(
    out: np.ndarray,
    out_start: int,
    image: np.ndarray,
    start: int,
    columns: np.ndarray,
    rows: np.ndarray,
    scratch: np.ndarray | None,
) -> None:
    channels = image.shape[2]
    source = image.reshape(-1)
    source.flags.writeable = False  # as memory maps are: one compiled version for both
    out_stride, stride = out.shape[1] * channels, image.shape[1] * channels
    scratch = _scratch(scratch, out, image)
    resample(out.reshape(-1), out_start, out_stride, source, start, stride, channels, columns, rows, scratch)


@functools.lru_cache(maxsize=16)
def _table(in_size: int, out_size: int, start: float, stop: float, filter: str) -> np.ndarray:
    """A table of taps; not to be written to."""
    code = FILTERS[filter]
    table = np.empty(taps_length(in_size, out_size, start, stop, code), np.int32)
    fill_taps(table, in_size, out_size, start, stop, code)
    return table


def _check_images(out: np.ndarray, image: np.ndarray, filter: str) -> None:
    if filter not in FILTERS:
        raise ValueError(f"filter: {filter!r}; must be one of {', '.join(FILTERS)}")
    check_array("image", image, np.uint8, (None, None, None))
    check_array("out", out, np.uint8, (None, None, image.shape[2]), written=True)
    if not 1 <= image.shape[2] <= 4:
        raise ValueError(f"image: wants 1 to 4 channels; got {image.shape[2]}")
    if not image.size or not out.size:
        sizes = " to ".join(f"{array.shape[0]} × {array.shape[1]}" for array in (image, out))
        raise ValueError(f"image, out: want sides of at least one pixel; got {sizes}")
    if np.may_share_memory(out, image):
        raise ValueError("out: wants memory of its own; got memory that it shares with image")


def _checked_box(box: Sequence[float], width: int, height: int) -> tuple[float, float, float, float]:
    if len(box) != 4 or not all(math.isfinite(number) for number in box):
        raise ValueError(f"box: {box!r}; must be four numbers x0, y0, x1, y1")
    x0, y0, x1, y1 = (float(np.float32(number)) for number in box)  # rounded as the tables round
    if not (0.0 <= x0 < x1 <= width and 0.0 <= y0 < y1 <= height):
        raise ValueError(
            f"box: {tuple(box)} is empty or not within the image of {width}×{height} pixels;"
            f" must have 0 <= x0 < x1 <= {width} and 0 <= y0 < y1 <= {height}"
        )
    return x0, y0, x1, y1


def _checked_fill(fill: int | Sequence[int], channels: int) -> np.ndarray:
    colour = np.atleast_1d(np.asarray(fill))
    if (
        colour.dtype.kind not in "iu"
        or colour.shape not in ((1,), (channels,))
        or not ((colour >= 0) & (colour <= 255)).all()
    ):
        raise ValueError(f"fill: {fill!r}; must be a whole number of 0 to 255, or one for each of {channels} channels")
    return colour.astype(np.uint8)


def _scratch(scratch: np.ndarray | None, out: np.ndarray, image: np.ndarray) -> np.ndarray:
    """The caller's scratch, checked, or a new one."""
    length = scratch_length(out, image)
    if scratch is None:
        return np.empty(length, np.uint8)
    check_array("scratch", scratch, np.uint8, (None,), written=True)
    if scratch.size < length:
        raise ValueError(f"scratch: wants at least {length} bytes; got {scratch.size}")
    return scratch
