"""Runs of pixels on their way to the batch: cut out of the stored image, mirrored, normalised into their place.

A run is one or more rows of an image, channels interleaved, as a flat array: uint8 as stored, or float32 in [0, 255].
"""

import numpy as np

from gen_dist.kernels.affine import CONSTANT, NEAREST, REFLECT
from gen_dist.kernels.jit import kernel
from gen_dist.kernels.shuffle import GROUP, reverse_group

NHWC, NCHW, BYTES = 0, 1, 2  # float32 interleaved, float32 in planes, uint8 interleaved

_RECIPROCAL = np.float32(1 / 255)  # times 255 it is 1 exactly, so that 255 meets the end of the range
_HALF = np.float32(0.5)


@kernel(fastmath=False, noalias=True)
def cut(
    window: np.ndarray,
    image: np.ndarray,
    stored: tuple[int, int],
    corner: tuple[int, int],
    width: int,
    channels: int,
    mode: int,
    fill: np.uint8,
) -> None:
    """Write the window (h * w * C) of an image (H * W * C, stored is (H, W)), whose corner may lie anywhere."""
    (stored_height, stored_width), (top, left) = stored, corner
    size, stored_size = width * channels, stored_width * channels
    first = min(max(-left, 0), width)
    end = min(max(stored_width - left, first), width)
    for y in range(window.size // size):
        line = window[y * size : (y + 1) * size]
        row = _fold_index(top + y, stored_height, mode)
        if row < 0:
            for e in range(size):
                line[e] = fill
            continue
        source = image[row * stored_size : (row + 1) * stored_size]
        part, inner = line[first * channels : end * channels], source[max(left, 0) * channels :]
        for e in range(part.size):
            part[e] = inner[e]
        for x in range(width - (end - first)):
            x += 0 if x < first else end - first
            column = _fold_index(left + x, stored_width, mode)
            for c in range(channels):
                line[x * channels + c] = fill if column < 0 else source[column * channels + c]


@kernel(fastmath=False)
def _fold_index(index: int, size: int, mode: int) -> int:
    """Where numpy.pad takes the pixel from; -1 for the fill value."""
    if 0 <= index < size:
        return index
    if mode == CONSTANT:
        return -1
    if mode == NEAREST:
        return min(max(index, 0), size - 1)
    if mode == REFLECT:
        index %= 2 * size
        return min(index, 2 * size - 1 - index)
    return index % size


@kernel(fastmath=False, noalias=True)
def reverse(target: np.ndarray, line: np.ndarray, channels: int) -> None:
    """Write the pixels of a row in reverse order."""
    last = line.size // channels - 1
    if channels == 3:
        groups = (last + 1) // GROUP
        for g in range(groups):
            reverse_group(target, 3 * GROUP * g, line, line.size - 3 * GROUP * (g + 1))
        for x in range(GROUP * groups, last + 1):
            target[3 * x] = line[3 * (last - x)]
            target[3 * x + 1] = line[3 * (last - x) + 1]
            target[3 * x + 2] = line[3 * (last - x) + 2]
    elif channels == 1:
        for x in range(line.size):
            target[x] = line[last - x]
    else:
        for x in range(line.size // 4):
            target[4 * x] = line[4 * (last - x)]
            target[4 * x + 1] = line[4 * (last - x) + 1]
            target[4 * x + 2] = line[4 * (last - x) + 2]
            target[4 * x + 3] = line[4 * (last - x) + 3]


@kernel(fastmath=False, noalias=True)
def widen(values: np.ndarray, line: np.ndarray) -> None:
    """uint8 to float32, unchanged."""
    for e in range(line.size):
        values[e] = np.float32(line[e])


@kernel(fastmath=False)
def finish(
    floats: np.ndarray,
    whole: np.ndarray,
    kind: int,
    first: int,
    line: np.ndarray,
    channels: int,
    low: np.float32,
    scale: np.float32,
) -> None:
    """Write a run of pixels of either type, that begins with number `first` of an image, into its place in the batch.

    It is `floats`, h * w * C or (NCHW) C * h * w, or as BYTES `whole`, h * w * C.
    """
    begin = first * channels
    if kind == NHWC:
        _normalise(floats[begin : begin + line.size], line, low, scale)
    elif kind == BYTES:
        _round(whole[begin : begin + line.size], line)
    else:
        plane, count = floats.size // channels, line.size // channels
        for c in range(channels):
            begin = c * plane + first
            _normalise_channel(floats[begin : begin + count], line[c:], channels, low, scale)


@kernel(fastmath=False, noalias=True)
def _normalise(target: np.ndarray, line: np.ndarray, low: np.float32, scale: np.float32) -> None:
    for e in range(line.size):
        target[e] = np.float32(line[e]) * _RECIPROCAL * scale + low


@kernel(fastmath=False, noalias=True)
def _normalise_channel(target: np.ndarray, line: np.ndarray, channels: int, low: np.float32, scale: np.float32) -> None:
    if channels == 3:
        for x in range(target.size):
            target[x] = np.float32(line[3 * x]) * _RECIPROCAL * scale + low
    elif channels == 1:
        for x in range(target.size):
            target[x] = np.float32(line[x]) * _RECIPROCAL * scale + low
    else:
        for x in range(target.size):
            target[x] = np.float32(line[4 * x]) * _RECIPROCAL * scale + low


@kernel(fastmath=False, noalias=True)
def _round(target: np.ndarray, line: np.ndarray) -> None:
    for e in range(line.size):
        target[e] = np.uint8(np.int32(np.float32(line[e]) + _HALF))
