"""Bilinear sampling of a uint8 image from a table of cells, built once an image.

A cell is one uint32 for a pixel and channel: the value, its right neighbour's, and the two below these. So one load
fetches all four taps, the loads of neighbouring pixels become vector gathers, and no tap is checked: the places are in
the table by construction. One more pixel at the end holds the fill value.
"""

import numpy as np

from gen_dist.kernels.jit import kernel

_BYTE = np.uint32(255)
_INDEX = np.uint32(0x7FFFFFFF)  # tells LLVM that a place fits the signed 32-bit index of a gather


@kernel(fastmath=False, noalias=True)
def fill_table(cells: np.ndarray, image: np.ndarray, width: int, channels: int, fill: np.uint8) -> None:
    """Write the cells of an image (uint8, h * w * C): uint32, (h * w + 1) * C.

    The neighbours of a pixel at the right or lower border have weight zero, so what they are does not matter.
    """
    below = width * channels
    inner = max(image.size - below - channels, 0)
    here, right, low = image[:inner], image[channels : channels + inner], image[below : below + inner]
    low_right, target = image[below + channels : below + channels + inner], cells[:inner]
    for e in range(inner):
        upper = np.uint32(here[e]) | np.uint32(right[e]) << 8
        target[e] = upper | (np.uint32(low[e]) | np.uint32(low_right[e]) << 8) << 16
    here, right, target = image[inner : image.size - channels], image[inner + channels :], cells[inner:]
    for e in range(here.size):
        target[e] = np.uint32(here[e]) | np.uint32(right[e]) << 8
    for e in range(image.size - channels, image.size):
        cells[e] = image[e]
    for e in range(inner, image.size - below):  # the last pixel but those of the last row
        cells[e] |= np.uint32(image[e + below]) << 16
    for e in range(image.size, cells.size):
        cells[e] = np.uint32(fill) * np.uint32(0x1010101)


@kernel(fastmath=False, noalias=True)
def sample(
    values: np.ndarray, cells: np.ndarray, places: np.ndarray, down: np.ndarray, right: np.ndarray, channels: int
) -> None:
    """Interpolate a row, float32, w * C, in [0, 255], from the cells at `places`."""
    if channels == 3:
        for j in range(places.size):
            e = np.int64(places[j] & _INDEX)
            values[3 * j] = _bilinear(cells[e], down[j], right[j])
            values[3 * j + 1] = _bilinear(cells[e + 1], down[j], right[j])
            values[3 * j + 2] = _bilinear(cells[e + 2], down[j], right[j])
    elif channels == 1:
        for j in range(places.size):
            values[j] = _bilinear(cells[np.int64(places[j] & _INDEX)], down[j], right[j])
    else:
        for j in range(places.size):
            e = np.int64(places[j] & _INDEX)
            values[4 * j] = _bilinear(cells[e], down[j], right[j])
            values[4 * j + 1] = _bilinear(cells[e + 1], down[j], right[j])
            values[4 * j + 2] = _bilinear(cells[e + 2], down[j], right[j])
            values[4 * j + 3] = _bilinear(cells[e + 3], down[j], right[j])


@kernel(fastmath=False, inline=True)
def _bilinear(cell: np.uint32, down: np.float32, right: np.float32) -> np.float32:
    a = np.float32(np.int32(cell & _BYTE))
    b = np.float32(np.int32(cell >> np.uint32(8) & _BYTE))
    c = np.float32(np.int32(cell >> np.uint32(16) & _BYTE))
    d = np.float32(np.int32(cell >> np.uint32(24)))
    upper = a + (b - a) * right
    lower = c + (d - c) * right
    return upper + (lower - upper) * down
