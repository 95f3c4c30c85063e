"""Philox4x32-10, the counter-based generator, and fills of uniform and normal numbers.

Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).

A number is a pure function of (key, position, element), so it does not matter who draws it, in which order, or
what else is drawn. Words travel as uint64 that hold 32 bits: no product overflows, and LLVM vectorises it.

The fills use only +, -, *, / and sqrt on float64, which IEEE 754 defines to the last bit, and logarithm and sine
are written out below. So vectorised loops, their scalar remainders and any CPU give the same bits; a call to
libm's log or cos would not (they differ between versions, CPUs and vector widths).
"""

import math
from typing import TypeAlias

import numpy as np

from gen_dist.kernels.checks import check_array
from gen_dist.kernels.jit import kernel
from gen_dist.kernels.trigonometry import sin_cos_kernel

Word: TypeAlias = np.uint64  # holds 32 bits

_MULTIPLIER_0 = np.uint64(0xD2511F53)
_MULTIPLIER_1 = np.uint64(0xCD9E8D57)
_WEYL_0 = np.uint64(0x9E3779B9)
_WEYL_1 = np.uint64(0xBB67AE85)
_LOW_WORD = np.uint64(0xFFFFFFFF)
_WORD = np.uint64(32)
_ZERO = np.uint64(0)
_ONE = np.uint64(1)

_TO_UNIFORM = np.float32(2.0**-24)
_EIGHT = np.uint32(8)
_STRIP = 64  # blocks worked on at once: what they need stays in the first-level cache

# Float64 as bits: the mantissa's width and mask, sqrt(1/2), and what lifts sqrt(1/2) to the next exponent.
_MANTISSA_BITS = np.uint64(52)
_MANTISSA = np.uint64(2**52 - 1)
_SQRT_HALF = np.uint64(0x3FE6A09E667F3BCD)
_LIFT = np.uint64(0x3FF0000000000000 - 0x3FE6A09E667F3BCD)
# ln 2 in two parts, the first short enough that its product with an exponent is exact.
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10

_QUADRANT_SHIFT = np.uint64(30)
_HALF_QUADRANT = np.uint64(2**29)
_WITHIN_QUADRANT = np.uint64(2**30 - 1)
_THREE = np.uint64(3)
_TO_ANGLE = 2.0 * math.pi * 2.0**-32


def fill_uniform(out: np.ndarray, key0: int, key1: int, positions: np.ndarray) -> None:
    """Fill `out` (float32, n x k) with uniform numbers in [0, 1), 24 bits each.

    Args:
        out: row i belongs to positions[i]; every element is written.
        key0, key1: the key's words, integers in [0, 2**32).
        positions: int64, n; element e of a row is word e % 4 of the block with counter
            (e // 4, low word of the position, high word, 0), whatever n, k and the other positions are.

    Raises ValueError for other types and shapes.
    """
    _check(out, key0, key1, positions)
    _fill(out, key0, key1, positions, False)


def fill_normal(out: np.ndarray, key0: int, key1: int, positions: np.ndarray) -> None:
    """Fill `out` (float32, n x k) with standard normal numbers; arguments and errors as in `fill_uniform`.

    Box-Muller on the words (a, b) and (c, d) of each block: with u = (a + 1) / 2**32 in (0, 1] and the angle
    t = 2 pi b / 2**32, the pair is sqrt(-2 ln u) times cos t and sin t, computed in float64 and rounded to
    float32 once. The largest magnitude is sqrt(64 ln 2) = 6.66.
    """
    _check(out, key0, key1, positions)
    _fill(out, key0, key1, positions, True)


def _check(out: np.ndarray, key0: int, key1: int, positions: np.ndarray) -> None:
    check_array("positions", positions, np.int64, (None,))
    check_array("out", out, np.float32, (len(positions), None), written=True)
    if not (0 <= key0 < 2**32 and 0 <= key1 < 2**32):
        raise ValueError(f"key words: want integers in [0, 2**32); got {key0}, {key1}")


@kernel(fastmath=False, inline=True)
def philox4x32(c0: Word, c1: Word, c2: Word, c3: Word, k0: Word, k1: Word) -> tuple[Word, Word, Word, Word]:
    """Ten rounds of Philox4x32: counter words c0 to c3 under the key words k0, k1. Four words."""
    # Written out, since LLVM turns a loop over counters into vector code only if there is no loop inside.
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0 + np.uint64(1) * _WEYL_0, k1 + np.uint64(1) * _WEYL_1)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0 + np.uint64(2) * _WEYL_0, k1 + np.uint64(2) * _WEYL_1)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0 + np.uint64(3) * _WEYL_0, k1 + np.uint64(3) * _WEYL_1)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0 + np.uint64(4) * _WEYL_0, k1 + np.uint64(4) * _WEYL_1)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0 + np.uint64(5) * _WEYL_0, k1 + np.uint64(5) * _WEYL_1)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0 + np.uint64(6) * _WEYL_0, k1 + np.uint64(6) * _WEYL_1)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0 + np.uint64(7) * _WEYL_0, k1 + np.uint64(7) * _WEYL_1)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0 + np.uint64(8) * _WEYL_0, k1 + np.uint64(8) * _WEYL_1)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0 + np.uint64(9) * _WEYL_0, k1 + np.uint64(9) * _WEYL_1)
    return c0 & _LOW_WORD, c1 & _LOW_WORD, c2 & _LOW_WORD, c3 & _LOW_WORD


@kernel(fastmath=False, inline=True)
def _round(c0: Word, c1: Word, c2: Word, c3: Word, k0: Word, k1: Word) -> tuple[Word, Word, Word, Word]:
    """One round on words whose upper halves may hold anything: a 32-bit multiplication does not look at them."""
    p0 = _MULTIPLIER_0 * (c0 & _LOW_WORD)
    p1 = _MULTIPLIER_1 * (c2 & _LOW_WORD)
    return (p1 >> _WORD) ^ c1 ^ k0, p1, (p0 >> _WORD) ^ c3 ^ k1, p0


@kernel(fastmath=False)
def _fill(out: np.ndarray, key0: int, key1: int, positions: np.ndarray, normal: bool) -> None:
    """Strip by strip of blocks, which may span rows, so that short rows become vector code as long ones do."""
    k0, k1 = np.uint64(key0), np.uint64(key1)
    width = out.shape[1]
    blocks_a_row = (width + 3) // 4
    total = out.shape[0] * blocks_a_row
    words = np.empty((4, _STRIP), np.uint32)
    numbers = np.empty(4 * _STRIP, np.float32)
    row, block = 0, 0  # where the strip begins
    for start in range(0, total, _STRIP):
        count = min(_STRIP, total - start)
        w0, w1, w2, w3 = words[0, :count], words[1, :count], words[2, :count], words[3, :count]
        _count_blocks(w0, w1, w2, positions, row, block, blocks_a_row)
        _scramble(w0, w1, w2, w3, k0, k1)
        if normal:
            _to_normal(numbers, w0, w1, w2, w3)
        else:
            _to_uniform(numbers, w0, w1, w2, w3)
        taken = 0
        while taken < count:
            here = min(blocks_a_row - block, count - taken)
            into = out[row, 4 * block : min(4 * (block + here), width)]
            given = numbers[4 * taken : 4 * taken + into.size]
            for e in range(into.size):
                into[e] = given[e]
            taken, block = taken + here, block + here
            if block == blocks_a_row:
                row, block = row + 1, 0


@kernel(fastmath=False)
def _count_blocks(
    w0: np.ndarray,
    w1: np.ndarray,
    w2: np.ndarray,
    positions: np.ndarray,
    row: int,
    block: int,
    blocks_a_row: int,
) -> None:
    """The counters of the next blocks, from `block` of `row` on."""
    filled = 0
    while filled < w0.size:
        here = min(blocks_a_row - block, w0.size - filled)
        low, high = np.uint32(positions[row]), np.uint32(np.uint64(positions[row]) >> _WORD)
        for j in range(here):
            w0[filled + j], w1[filled + j], w2[filled + j] = np.uint32(block + j), low, high
        filled, row, block = filled + here, row + 1, 0


@kernel(fastmath=False, inline=True)
def _scramble(w0: np.ndarray, w1: np.ndarray, w2: np.ndarray, w3: np.ndarray, k0: Word, k1: Word) -> None:
    for j in range(w0.size):
        a, b, c, d = philox4x32(np.uint64(w0[j]), np.uint64(w1[j]), np.uint64(w2[j]), _ZERO, k0, k1)
        w0[j], w1[j], w2[j], w3[j] = np.uint32(a), np.uint32(b), np.uint32(c), np.uint32(d)


@kernel(fastmath=False, inline=True)
def _to_uniform(numbers: np.ndarray, w0: np.ndarray, w1: np.ndarray, w2: np.ndarray, w3: np.ndarray) -> None:
    for j in range(w0.size):
        numbers[4 * j] = np.float32(w0[j] >> _EIGHT) * _TO_UNIFORM
        numbers[4 * j + 1] = np.float32(w1[j] >> _EIGHT) * _TO_UNIFORM
        numbers[4 * j + 2] = np.float32(w2[j] >> _EIGHT) * _TO_UNIFORM
        numbers[4 * j + 3] = np.float32(w3[j] >> _EIGHT) * _TO_UNIFORM


@kernel(fastmath=False, inline=True)
def _to_normal(numbers: np.ndarray, w0: np.ndarray, w1: np.ndarray, w2: np.ndarray, w3: np.ndarray) -> None:
    for j in range(w0.size):
        numbers[4 * j], numbers[4 * j + 1] = _normal_pair(np.uint64(w0[j]), np.uint64(w1[j]))
        numbers[4 * j + 2], numbers[4 * j + 3] = _normal_pair(np.uint64(w2[j]), np.uint64(w3[j]))


@kernel(fastmath=False, inline=True)
def _normal_pair(a: Word, b: Word) -> tuple[np.float32, np.float32]:
    """Two independent standard normals (float32) from two words."""
    radius = math.sqrt(-2.0 * _log_word(a + _ONE))
    cosine, sine = _cos_sin_word(b)
    return np.float32(radius * cosine), np.float32(radius * sine)


@kernel(fastmath=False, inline=True)
def _log_word(word: Word) -> np.float64:
    """ln(word / 2**32) for a word in [1, 2**32], as float64; the method and coefficients of fdlibm's log.

    word = 2**e m with m in [sqrt(1/2), sqrt(2)); with s = (m - 1) / (m + 1), ln m = 2 s + s R(s**2).
    """
    lifted = np.float64(word).view(np.uint64) + _LIFT
    exponent = np.float64(lifted >> _MANTISSA_BITS) - 1055.0  # the bias 1023, and 32 for the division
    f = np.uint64((lifted & _MANTISSA) + _SQRT_HALF).view(np.float64) - 1.0
    s = f / (2.0 + f)
    z = s * s
    r = 1.531383769920937332e-01 + z * 1.479819860511658591e-01
    r = 2.222219843214978396e-01 + z * (1.818357216161805012e-01 + z * r)
    r = z * (6.666666666666735130e-01 + z * (3.999999999940941908e-01 + z * (2.857142874366239149e-01 + z * r)))
    half = 0.5 * f * f
    return exponent * _LN2_HIGH - ((half - (s * (half + r) + exponent * _LN2_LOW)) - f)


@kernel(fastmath=False, inline=True)
def _cos_sin_word(word: Word) -> tuple[float, float]:
    """Cosine and sine of 2 pi word / 2**32, as float64.

    The nearest multiple of pi/2 is taken off in integers, so the reduction is exact.
    """
    shifted = word + _HALF_QUADRANT
    quadrant = (shifted >> _QUADRANT_SHIFT) & _THREE
    x = (np.float64(shifted & _WITHIN_QUADRANT) - np.float64(2**29)) * _TO_ANGLE
    s, c = sin_cos_kernel(x)
    swap = (quadrant & _ONE) != _ZERO
    cosine, sine = (s, c) if swap else (c, s)
    cosine = -cosine if quadrant == _ONE or quadrant == np.uint64(2) else cosine
    sine = -sine if quadrant >= np.uint64(2) else sine
    return cosine, sine
