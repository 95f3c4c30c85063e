"""From a JPEG's planes to pixels: colours, and chroma at full size, with the integers and roundings of libjpeg."""

from typing import TypeAlias

import numpy as np
from numpy import int32

from gen_dist.kernels.jit import kernel
from gen_dist.kernels.jpeg_status import Integer

_LEAST, _MOST = int32(0), int32(255)
Bool: TypeAlias = bool | np.bool_

_RECIPROCAL = np.float32(1 / 255)


@kernel(fastmath=False)
def _byte(value: Integer) -> np.uint8:
    return np.uint8(min(max(int32(value), _LEAST), _MOST))


@kernel(fastmath=False)
def mix_rgb(out: np.ndarray, y: np.ndarray, cb: np.ndarray, cr: np.ndarray) -> None:
    """YCbCr (JFIF: ITU-R BT.601, full range) to RGB; uint8, n × 3 flat, from n each."""
    for i in range(y.size):
        luma, blue, red = int32(y[i]), int32(int32(cb[i]) - 128), int32(int32(cr[i]) - 128)
        out[3 * i] = _byte(luma + int32(int32(red * 91881 + 32768) >> int32(16)))
        out[3 * i + 1] = _byte(luma + int32(int32(blue * -22554 + red * -46802 + 32768) >> int32(16)))
        out[3 * i + 2] = _byte(luma + int32(int32(blue * 116130 + 32768) >> int32(16)))


@kernel(fastmath=False)
def interleave(out: np.ndarray, first: np.ndarray, second: np.ndarray, third: np.ndarray) -> None:
    """Three planes to pixels; uint8, n × 3 flat, from n each."""
    for i in range(first.size):
        out[3 * i], out[3 * i + 1], out[3 * i + 2] = first[i], second[i], third[i]


@kernel(fastmath=False)
def mix_grey(out: np.ndarray, red: np.ndarray, green: np.ndarray, blue: np.ndarray) -> None:
    """RGB to luma (ITU-R BT.601); uint8, n each."""
    for i in range(out.size):
        out[i] = np.uint8(int32(int32(red[i]) * 19595 + int32(green[i]) * 38470 + int32(blue[i]) * 7471 + 32768) >> 16)


@kernel(fastmath=False)
def normalise(out: np.ndarray, pixels: np.ndarray, low: np.float32, high: np.float32) -> None:
    """Each pixel as `kernels.augment` writes it: (pixel * (1 / 255)) * (high - low) + low; float32 from uint8, flat."""
    scale = np.float32(high - low)
    for i in range(pixels.size):
        out[i] = np.float32(pixels[i]) * _RECIPROCAL * scale + low


@kernel(fastmath=False)
def widen_row(out: np.ndarray, near: np.ndarray, far: np.ndarray, doubled: Bool, weighted: Bool, lift: Integer) -> None:
    """A row of chroma at full size: libjpeg's triangle filter, 3/4 of the nearer and 1/4 of the further sample.

    Args:
        out: uint8, the row; `near.size` long, or if `doubled` twice that or one less.
        near, far: uint8, the row of samples in which it lies, and the next nearest; used only if `weighted`.
        doubled: whether the samples are half as many as the pixels across.
        weighted: whether they are down.
        lift: 1 or 2, what libjpeg adds to round a quotient of 4 where only rows are mixed.
    """
    last = near.size - 1
    if not doubled:
        for x in range(out.size):
            out[x] = np.uint8((3 * int32(near[x]) + int32(far[x]) + lift) >> 2) if weighted else near[x]
        return
    if last < 2:  # libjpeg does not filter so few
        for x in range(out.size):
            out[x] = near[x >> 1]
        return
    for x in range(out.size):
        i = x >> 1
        beside = min(max(i - 1 + 2 * (x & 1), 0), last)
        if weighted:
            here, there = 3 * int32(near[i]) + int32(far[i]), 3 * int32(near[beside]) + int32(far[beside])
            out[x] = np.uint8((3 * here + there + 8 - (x & 1)) >> 4)
        else:
            out[x] = np.uint8((3 * int32(near[i]) + int32(near[beside]) + 1 + (x & 1)) >> 2)
