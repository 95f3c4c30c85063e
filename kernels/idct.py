"""The inverse discrete cosine transform of JPEG blocks, to 8, 4, 2 or 1 pixels a side, many blocks at once.

Loeffler, Ligtenberg, Moschytz: "Practical fast 1-D DCT algorithms with 11 multiplications" (ICASSP 1989), in integers
and with the precision and rounding of libjpeg's accurate transforms, so that the pixels are those of libjpeg.

The blocks of a group lie side by side: coefficient k of block b at k * LANES + b. So every step is the same sum for
neighbouring numbers, which vectorises, and nothing is transposed. A block's row of pixels leaves as one word.
"""

import numpy as np
from numpy import int32

from gen_dist.kernels.jit import kernel
from gen_dist.kernels.jpeg_status import Integer

LANES = 32  # blocks in a group; a row of a group's coefficients is one cache line
BLOCK_ROWS = 64 * LANES  # numbers that a row of blocks takes

_LEVEL = 128
_LEAST, _MOST = int32(0), int32(255)


@kernel(fastmath=False)
def _pixel(total: Integer, shift: Integer) -> np.uint32:
    """A sum, to which half of one and the level have been added, as a pixel.

    Limited first and shifted then, and sums of the first pass shifted when they are loaded: with a shift right behind
    a sum, LLVM would do both in 64 bits.
    """
    return np.uint32(min(max(int32(total), _LEAST), int32((256 << shift) - 1)) >> int32(shift))


@kernel(fastmath=False)
def _eight(
    half: Integer,
    i0: Integer,
    i1: Integer,
    i2: Integer,
    i3: Integer,
    i4: Integer,
    i5: Integer,
    i6: Integer,
    i7: Integer,
) -> tuple[Integer, ...]:
    """One dimension, 8 to 8: sums of products that want rounding by 13 bits."""
    common = int32((i2 + i6) * 4433)
    even3, even2 = int32(common + i2 * 6270), int32(common - i6 * 15137)
    even0, even1 = int32(int32((i0 + i4) << 13) + half), int32(int32((i0 - i4) << 13) + half)
    e0, e3 = int32(even0 + even3), int32(even0 - even3)
    e1, e2 = int32(even1 + even2), int32(even1 - even2)
    z3, z4 = int32(i7 + i3), int32(i5 + i1)
    z5 = int32((z3 + z4) * 9633)
    z1, z2 = int32((i7 + i1) * -7373), int32((i5 + i3) * -20995)
    z3, z4 = int32(z3 * -16069 + z5), int32(z4 * -3196 + z5)
    o0, o1 = int32(i7 * 2446 + z1 + z3), int32(i5 * 16819 + z2 + z4)
    o2, o3 = int32(i3 * 25172 + z2 + z3), int32(i1 * 12299 + z1 + z4)
    return e0 + o3, e1 + o2, e2 + o1, e3 + o0, e3 - o0, e2 - o1, e1 - o2, e0 - o3


@kernel(fastmath=False)
def idct_8(
    pixels: np.ndarray, start: Integer, stride: Integer, coefficients: np.ndarray, work: np.ndarray, count: Integer
) -> None:
    """Blocks to 8 × 8 pixels each.

    Args:
        pixels: uint32, four pixels each; rows of the blocks' pixels begin at `start` and lie `stride` apart.
        coefficients: int16, BLOCK_ROWS.
        work: int32, BLOCK_ROWS.
        count: how many blocks.
    """
    for u in range(8):
        column, target = coefficients[u * LANES :], work[u * LANES :]
        for b in range(count):
            o = _eight(
                1 << 10,
                int32(column[b]),
                int32(column[8 * LANES + b]),
                int32(column[16 * LANES + b]),
                int32(column[24 * LANES + b]),
                int32(column[32 * LANES + b]),
                int32(column[40 * LANES + b]),
                int32(column[48 * LANES + b]),
                int32(column[56 * LANES + b]),
            )
            for y in range(8):
                target[8 * y * LANES + b] = int32(o[y])
    for y in range(8):
        row, line = work[8 * y * LANES :], pixels[start + y * stride :]
        for b in range(count):
            o = _eight(
                (_LEVEL << 18) + (1 << 17),
                int32(row[b] >> 11),
                int32(row[LANES + b] >> 11),
                int32(row[2 * LANES + b] >> 11),
                int32(row[3 * LANES + b] >> 11),
                int32(row[4 * LANES + b] >> 11),
                int32(row[5 * LANES + b] >> 11),
                int32(row[6 * LANES + b] >> 11),
                int32(row[7 * LANES + b] >> 11),
            )
            line[2 * b] = _packed(_pixel(o[0], 18), _pixel(o[1], 18), _pixel(o[2], 18), _pixel(o[3], 18))
            line[2 * b + 1] = _packed(_pixel(o[4], 18), _pixel(o[5], 18), _pixel(o[6], 18), _pixel(o[7], 18))


@kernel(fastmath=False)
def _packed(a: np.uint32, b: np.uint32, c: np.uint32, d: np.uint32) -> np.uint32:
    """Four pixels in one word, in the order that they have in memory (little-endian machines only)."""
    return np.uint32(a | b << np.uint32(8) | c << np.uint32(16) | d << np.uint32(24))


@kernel(fastmath=False)
def _four(
    half: Integer, i0: Integer, i1: Integer, i2: Integer, i3: Integer, i5: Integer, i6: Integer, i7: Integer
) -> tuple[Integer, ...]:
    """One dimension, 8 to 4: sums of products that want rounding by 14 bits."""
    even, odd = int32(int32(i0 << 14) + half), int32(i2 * 15137 - i6 * 6270)
    e0, e1 = int32(even + odd), int32(even - odd)
    o0 = int32(i7 * -1730 + i5 * 11893 + i3 * -17799 + i1 * 8697)
    o1 = int32(i7 * -4176 + i5 * -4926 + i3 * 7373 + i1 * 20995)
    return e0 + o1, e1 + o0, e1 - o0, e0 - o1


@kernel(fastmath=False)
def idct_4(
    pixels: np.ndarray, start: Integer, stride: Integer, coefficients: np.ndarray, work: np.ndarray, count: Integer
) -> None:
    """Blocks to 4 × 4 pixels each; arguments as of `idct_8`."""
    for u in range(8):
        if u == 4:
            continue
        column, target = coefficients[u * LANES :], work[u * LANES :]
        for b in range(count):
            o = _four(
                1 << 11,
                int32(column[b]),
                int32(column[8 * LANES + b]),
                int32(column[16 * LANES + b]),
                int32(column[24 * LANES + b]),
                int32(column[40 * LANES + b]),
                int32(column[48 * LANES + b]),
                int32(column[56 * LANES + b]),
            )
            for y in range(4):
                target[8 * y * LANES + b] = int32(o[y])
    for y in range(4):
        row, line = work[8 * y * LANES :], pixels[start + y * stride :]
        for b in range(count):
            o = _four(
                (_LEVEL << 19) + (1 << 18),
                int32(row[b] >> 12),
                int32(row[LANES + b] >> 12),
                int32(row[2 * LANES + b] >> 12),
                int32(row[3 * LANES + b] >> 12),
                int32(row[5 * LANES + b] >> 12),
                int32(row[6 * LANES + b] >> 12),
                int32(row[7 * LANES + b] >> 12),
            )
            line[b] = _packed(_pixel(o[0], 19), _pixel(o[1], 19), _pixel(o[2], 19), _pixel(o[3], 19))


@kernel(fastmath=False)
def _two(half: Integer, i0: Integer, i1: Integer, i3: Integer, i5: Integer, i7: Integer) -> tuple[Integer, Integer]:
    """One dimension, 8 to 2: sums of products that want rounding by 15 bits."""
    even, odd = int32(int32(i0 << 15) + half), int32(i7 * -5906 + i5 * 6967 + i3 * -10426 + i1 * 29692)
    return even + odd, even - odd


@kernel(fastmath=False)
def idct_2(
    pixels: np.ndarray, start: Integer, stride: Integer, coefficients: np.ndarray, work: np.ndarray, count: Integer
) -> None:
    """Blocks to 2 × 2 pixels each; arguments as of `idct_8`, but `pixels` uint16, two pixels each."""
    for u in (0, 1, 3, 5, 7):
        column, target = coefficients[u * LANES :], work[u * LANES :]
        for b in range(count):
            o = _two(
                1 << 12,
                int32(column[b]),
                int32(column[8 * LANES + b]),
                int32(column[24 * LANES + b]),
                int32(column[40 * LANES + b]),
                int32(column[56 * LANES + b]),
            )
            target[b] = int32(o[0])
            target[8 * LANES + b] = int32(o[1])
    for y in range(2):
        row, line = work[8 * y * LANES :], pixels[start + y * stride :]
        for b in range(count):
            o = _two(
                (_LEVEL << 20) + (1 << 19),
                int32(row[b] >> 13),
                int32(row[LANES + b] >> 13),
                int32(row[3 * LANES + b] >> 13),
                int32(row[5 * LANES + b] >> 13),
                int32(row[7 * LANES + b] >> 13),
            )
            line[b] = np.uint16(_pixel(o[0], 20) | _pixel(o[1], 20) << np.uint32(8))


@kernel(fastmath=False)
def idct_1(pixels: np.ndarray, start: Integer, coefficients: np.ndarray, count: Integer) -> None:
    """Blocks to one pixel each; arguments as of `idct_8`, but `pixels` uint8."""
    line = pixels[start:]
    for b in range(count):
        line[b] = np.uint8(_pixel(coefficients[b] + (_LEVEL << 3) + 4, 3))
