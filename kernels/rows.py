"""Rows of one image on their way to the batch: cut out of the stored image, mirrored, normalised into their place.

A row is w pixels of C channels, interleaved: uint8 as stored, or float32 in [0, 255].
"""

import numpy as np

from gen_dist.kernels.affine import CONSTANT, NEAREST, REFLECT
from gen_dist.kernels.jit import kernel

NHWC, NCHW, BYTES = 0, 1, 2  # float32 interleaved, float32 in planes, uint8 interleaved

_RECIPROCAL = np.float32(1 / 255)  # times 255 it is 1 exactly, so that 255 meets the end of the range
_HALF = np.float32(0.5)
_BYTE, _8, _16, _24 = np.uint32(255), np.uint32(8), np.uint32(16), np.uint32(24)


@kernel(fastmath=False)
def cut(line: np.ndarray, image: np.ndarray, row: int, left: int, channels: int, mode: int, fill: np.uint8) -> None:
    """Write the row of an image (H x W * C) that begins at column `left`, any integers, filled outside by the mode."""
    width, stored_width = line.size // channels, image.shape[1] // channels
    row = _fold_index(row, image.shape[0], mode)
    if row < 0:
        for e in range(line.size):
            line[e] = fill
        return
    stored = image[row]
    first = min(max(-left, 0), width)
    end = min(max(stored_width - left, first), width)
    if first < end:
        part = stored[(left + first) * channels : (left + end) * channels]
        target = line[first * channels : end * channels]
        for e in range(part.size):
            target[e] = part[e]
    for x in range(width - (end - first)):
        x += 0 if x < first else end - first
        column = _fold_index(left + x, stored_width, mode)
        for c in range(channels):
            line[x * channels + c] = fill if column < 0 else stored[column * channels + c]


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
        groups = (last + 1) // 4  # of four pixels, three words: LLVM joins the bytes into loads of words
        words = target[: 12 * groups].view(np.uint32)
        for g in range(groups):
            four = line[line.size - 12 * (g + 1) : line.size - 12 * g]
            a, b, c = _word(four[0:4]), _word(four[4:8]), _word(four[8:12])
            words[3 * g] = c >> _8 | (b >> _16 & _BYTE) << _24
            words[3 * g + 1] = b >> _24 | (c & _BYTE) << _8 | (a >> _24) << _16 | b << _24
            words[3 * g + 2] = b >> _8 & _BYTE | a << _8
        for x in range(4 * groups, last + 1):
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


@kernel(fastmath=False, inline=True)
def _word(four: np.ndarray) -> np.uint32:
    """Four bytes, the first the lowest."""
    low, high = np.uint32(four[0]) | np.uint32(four[1]) << _8, np.uint32(four[2]) | np.uint32(four[3]) << _8
    return np.uint32(low | high << _16)


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
    i: int,
    y: int,
    line: np.ndarray,
    channels: int,
    low: np.float32,
    scale: np.float32,
) -> None:
    """Write row y of image i of the batch from a row of either type.

    It goes to `floats`, batch x h x w * C or (NCHW) batch x C * h x w, or as BYTES to `whole`, batch x h x w * C.
    """
    if kind == NHWC:
        _normalise(floats[i, y], line, low, scale)
    elif kind == BYTES:
        _round(whole[i, y], line)
    else:
        height = floats.shape[1] // channels
        for c in range(channels):
            _normalise_channel(floats[i, c * height + y], line[c:], channels, low, scale)


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
