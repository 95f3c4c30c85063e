"""Inflated PNG rows to pixels: each row's filter undone and its transparency laid on a background in one pass.

PNG (Portable Network Graphics), third edition, W3C 2025, clause 9: a row is a filter number and as many bytes as its
pixels take; a filter predicts each byte from the bytes before it in the row, above it, or both.
"""

import numpy as np

from gen_dist.kernels.borrow import borrowed
from gen_dist.kernels.jit import kernel

# What the bytes of a pixel are, and what becomes of them.
OPAQUE, INDEXED, KEYED_GREY, KEYED_RGB, GREY_ALPHA, RGB_ALPHA = range(6)
FINE, BAD_FILTER, BAD_INDEX = range(3)  # what `unpack` returns

_NONE, _SUB, _UP, _AVERAGE, _PAETH = range(5)
_BYTE = np.int32(255)
_ONE, _THREE, _EIGHT, _HALF = np.int32(1), np.int32(3), np.int32(8), np.int32(128)
_U1, _U2, _U3, _U4 = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)


@kernel(fastmath=False)
def unpack(
    out: np.ndarray,
    inflated: np.ndarray,
    layout: int,
    palette: np.ndarray,
    transparency: np.ndarray,
    background: np.ndarray,
    scratch: np.ndarray,
) -> int:
    """Write the pixels; returns FINE, or BAD_FILTER or BAD_INDEX with the rest of `out` unwritten.

    Args:
        out: uint8, H x W x C; for OPAQUE of any C, else of C = 3.
        inflated: uint8, H rows of 1 + W x step bytes, where step is the bytes of a pixel as stored: C for OPAQUE, else
            1 for INDEXED and KEYED_GREY, 3 for KEYED_RGB, 2 for GREY_ALPHA, 4 for RGB_ALPHA.
        layout: one of these six.
        palette: uint8, 3 x k: what INDEXED pixels stand for; others need none.
        transparency: uint8; the tRNS chunk: alpha of the first palette entries, or, as big-endian 16-bit values, the
            one grey or colour that is transparent.
        background: uint8, 3; what shows through.
        scratch: uint8, 3 x (W x step), zero; working space.
    """
    height, width, channels = out.shape
    out, inflated, scratch = borrowed(out), borrowed(inflated), borrowed(scratch)
    length = scratch.shape[1]
    step = length // width
    table = np.empty((256, 3), np.uint8)
    entries = _fill_table(table, layout, palette, transparency, background)
    above = scratch[2]
    for y in range(height):
        start = y * (length + 1)
        line = out[y].reshape(width * channels)
        row = line if layout == OPAQUE else scratch[y & 1]
        if not _undo(row, above, inflated[start], inflated[start + 1 : start + 1 + length], step):
            return BAD_FILTER
        above = row
        if layout in (INDEXED, KEYED_GREY):
            if _look_up(line, row, table) >= entries:
                return BAD_INDEX
        elif layout == KEYED_RGB:
            _replace_key(line, row, transparency, background)
        elif layout in (GREY_ALPHA, RGB_ALPHA):
            _blend(line, row, step, background)
    return FINE


@kernel(fastmath=False)
def _fill_table(
    table: np.ndarray, layout: int, palette: np.ndarray, transparency: np.ndarray, background: np.ndarray
) -> int:
    """What each value of a one-byte pixel becomes; returns how many values there are."""
    if layout == KEYED_GREY:
        for value in range(256):
            for c in range(3):
                table[value, c] = background[c] if value == transparency[1] else value
        return 256
    if layout != INDEXED:
        return 0
    for i in range(palette.size // 3):
        alpha = np.int32(transparency[i]) if i < transparency.size else _BYTE
        for c in range(3):
            table[i, c] = _over(np.int32(palette[3 * i + c]), alpha, np.int32(background[c]))
    return palette.size // 3


@kernel(fastmath=False)
def _undo(row: np.ndarray, above: np.ndarray, number: int, stored: np.ndarray, step: int) -> bool:
    """Undo filter `number` of the `stored` bytes into `row`; False if there is no such filter."""
    if number == _NONE:
        for i in range(row.size):  # twice as fast as an assignment of the slice
            row[i] = stored[i]
    elif number == _SUB:
        _undo_sub(row, stored, step)
    elif number == _UP:
        for i in range(row.size):
            row[i] = (np.int32(stored[i]) + np.int32(above[i])) & _BYTE
    elif number == _AVERAGE:
        _undo_average(row, above, stored, step)
    elif number == _PAETH:
        _undo_paeth(row, above, stored, step)
    else:
        return False
    return True


# The next three keep the pixel to the left in registers, a channel each: reading it back from the row takes longer than
# the arithmetic. The tests of `s` do not change within a row, so LLVM makes a loop for each size of pixel.


@kernel(fastmath=False)
def _undo_sub(row: np.ndarray, stored: np.ndarray, step: int) -> None:
    a0 = a1 = a2 = a3 = np.int32(0)
    i, s = np.uint64(0), np.uint64(step)
    for _ in range(row.size // step):
        a0 = (np.int32(stored[i]) + a0) & _BYTE
        row[i] = a0
        if s > _U1:
            a1 = (np.int32(stored[i + _U1]) + a1) & _BYTE
            row[i + _U1] = a1
        if s > _U2:
            a2 = (np.int32(stored[i + _U2]) + a2) & _BYTE
            row[i + _U2] = a2
        if s > _U3:
            a3 = (np.int32(stored[i + _U3]) + a3) & _BYTE
            row[i + _U3] = a3
        i += s


@kernel(fastmath=False)
def _undo_average(row: np.ndarray, above: np.ndarray, stored: np.ndarray, step: int) -> None:
    a0 = a1 = a2 = a3 = np.int32(0)
    i, s = np.uint64(0), np.uint64(step)
    for _ in range(row.size // step):
        a0 = (np.int32(stored[i]) + ((a0 + np.int32(above[i])) >> _ONE)) & _BYTE
        row[i] = a0
        if s > _U1:
            a1 = (np.int32(stored[i + _U1]) + ((a1 + np.int32(above[i + _U1])) >> _ONE)) & _BYTE
            row[i + _U1] = a1
        if s > _U2:
            a2 = (np.int32(stored[i + _U2]) + ((a2 + np.int32(above[i + _U2])) >> _ONE)) & _BYTE
            row[i + _U2] = a2
        if s > _U3:
            a3 = (np.int32(stored[i + _U3]) + ((a3 + np.int32(above[i + _U3])) >> _ONE)) & _BYTE
            row[i + _U3] = a3
        i += s


@kernel(fastmath=False)
def _undo_paeth(row: np.ndarray, above: np.ndarray, stored: np.ndarray, step: int) -> None:
    a0 = a1 = a2 = a3 = c0 = c1 = c2 = c3 = np.int32(0)
    i, s = np.uint64(0), np.uint64(step)
    for _ in range(row.size // step):
        b0 = np.int32(above[i])
        a0 = (np.int32(stored[i]) + _paeth(a0, b0, c0)) & _BYTE
        c0 = b0
        row[i] = a0
        if s > _U1:
            b1 = np.int32(above[i + _U1])
            a1 = (np.int32(stored[i + _U1]) + _paeth(a1, b1, c1)) & _BYTE
            c1 = b1
            row[i + _U1] = a1
        if s > _U2:
            b2 = np.int32(above[i + _U2])
            a2 = (np.int32(stored[i + _U2]) + _paeth(a2, b2, c2)) & _BYTE
            c2 = b2
            row[i + _U2] = a2
        if s > _U3:
            b3 = np.int32(above[i + _U3])
            a3 = (np.int32(stored[i + _U3]) + _paeth(a3, b3, c3)) & _BYTE
            c3 = b3
            row[i + _U3] = a3
        i += s


@kernel(fastmath=False)
def _paeth(left: np.int32, up: np.int32, corner: np.int32) -> np.int32:
    """Of the three the nearest to left + up - corner; in a tie left, then up.

    Where the corner lies between the others it is itself the nearest unless one of them is as near; outside, the one
    further from it is. Both cases are comparisons of 3 corner - (left + up) with the smaller and the larger: no
    branches, and a short way from `left` to the result, which the next pixel waits for.
    """
    low, high = min(left, up), max(left, up)
    middle = _THREE * corner - (left + up)
    nearest = low if high <= middle else corner
    return high if middle <= low else nearest


@kernel(fastmath=False)
def _look_up(line: np.ndarray, row: np.ndarray, table: np.ndarray) -> int:
    """Returns the largest value in `row`."""
    largest = np.uint8(0)
    i = np.uint64(0)
    for x in range(row.size):
        value = row[x]
        largest = max(largest, value)
        line[i] = table[value, 0]
        line[i + _U1] = table[value, 1]
        line[i + _U2] = table[value, 2]
        i += _U3
    return int(largest)


@kernel(fastmath=False)
def _replace_key(line: np.ndarray, row: np.ndarray, transparency: np.ndarray, background: np.ndarray) -> None:
    red, green, blue = transparency[1], transparency[3], transparency[5]
    i = np.uint64(0)
    for _ in range(row.size // 3):
        r, g, b = row[i], row[i + _U1], row[i + _U2]
        hidden = r == red and g == green and b == blue
        line[i] = background[0] if hidden else r
        line[i + _U1] = background[1] if hidden else g
        line[i + _U2] = background[2] if hidden else b
        i += _U3


@kernel(fastmath=False)
def _blend(line: np.ndarray, row: np.ndarray, step: int, background: np.ndarray) -> None:
    """`row` holds grey and alpha (step 2), or RGB and alpha (step 4)."""
    b0, b1, b2 = np.int32(background[0]), np.int32(background[1]), np.int32(background[2])
    i = k = np.uint64(0)
    s, colours = np.uint64(step), step == 4
    for _ in range(row.size // step):
        alpha = np.int32(row[i + s - _U1])
        line[k] = _over(np.int32(row[i]), alpha, b0)
        line[k + _U1] = _over(np.int32(row[i + _U1 if colours else i]), alpha, b1)
        line[k + _U2] = _over(np.int32(row[i + _U2 if colours else i]), alpha, b2)
        i += s
        k += _U3


@kernel(fastmath=False)
def _over(value: np.int32, alpha: np.int32, behind: np.int32) -> np.int32:
    """(value x alpha + behind x (255 - alpha)) / 255, rounded to nearest without a division."""
    total = value * alpha + behind * (_BYTE - alpha) + _HALF
    return (total + (total >> _EIGHT)) >> _EIGHT
