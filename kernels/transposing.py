"""Pixels of a matrix transposed: what brings the other axis of an image along the row."""

import numpy as np

from gen_dist.kernels.jit import kernel

_ONE, _TWO, _THREE, _FOUR = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)  # indices that need no sign check


@kernel(fastmath=False)
def transpose(
    out: np.ndarray,
    out_start: int,
    out_stride: int,
    source: np.ndarray,
    start: int,
    stride: int,
    height: int,
    width: int,
    channels: int,
) -> None:
    """Pixel y of out's row x = pixel x of source's row y.

    Args:
        out, source: of one dtype, flat, not overlapping; row j begins at start + j * stride.
        height, width, channels: of source; 1 to 4 channels.
    """
    for x in range(width):
        into, first = np.uint64(out_start + x * out_stride), np.uint64(start + x * channels)
        if channels == 1:
            _gather_1(out, into, source, first, stride, height)
        elif channels == 2:
            _gather_2(out, into, source, first, stride, height)
        elif channels == 4:
            _gather_4(out, into, source, first, stride, height)
        elif x < width - 1:
            _gather_3_and_1(out, into, source, first, stride, height)
        else:
            _gather_3(out, into, source, first, stride, height)


@kernel(fastmath=False)
def _gather_1(out: np.ndarray, into: np.uint64, source: np.ndarray, at: np.uint64, stride: int, height: int) -> None:
    step = np.uint64(stride)
    for y in range(height):
        out[into + np.uint64(y)] = source[at + np.uint64(y) * step]


@kernel(fastmath=False)
def _gather_2(out: np.ndarray, into: np.uint64, source: np.ndarray, at: np.uint64, stride: int, height: int) -> None:
    step = np.uint64(stride)
    for _ in range(height):
        a, b = source[at], source[at + _ONE]
        out[into], out[into + _ONE] = a, b
        at += step
        into += _TWO


@kernel(fastmath=False)
def _gather_3(out: np.ndarray, into: np.uint64, source: np.ndarray, at: np.uint64, stride: int, height: int) -> None:
    step = np.uint64(stride)
    for _ in range(height):
        out[into], out[into + _ONE], out[into + _TWO] = source[at], source[at + _ONE], source[at + _TWO]
        at += step
        into += _THREE


@kernel(fastmath=False)
def _gather_3_and_1(
    out: np.ndarray, into: np.uint64, source: np.ndarray, at: np.uint64, stride: int, height: int
) -> None:
    """The same by four elements, which is one load and one store; the next pixel of the line then mends the fourth."""
    step, last = np.uint64(stride), np.uint64(height - 1)
    for y in range(height - 1):
        i, j = into + np.uint64(y) * _THREE, at + np.uint64(y) * step
        a, b, c, d = source[j], source[j + _ONE], source[j + _TWO], source[j + _THREE]
        out[i], out[i + _ONE], out[i + _TWO], out[i + _THREE] = a, b, c, d
    i, j = into + last * _THREE, at + last * step
    out[i], out[i + _ONE], out[i + _TWO] = source[j], source[j + _ONE], source[j + _TWO]


@kernel(fastmath=False)
def _gather_4(out: np.ndarray, into: np.uint64, source: np.ndarray, at: np.uint64, stride: int, height: int) -> None:
    step = np.uint64(stride)
    for _ in range(height):
        a, b, c, d = source[at], source[at + _ONE], source[at + _TWO], source[at + _THREE]
        out[into], out[into + _ONE], out[into + _TWO], out[into + _THREE] = a, b, c, d
        at += step
        into += _FOUR
