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

from gen_dist.kernels.jit import kernel

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
_EIGHT = np.uint64(8)

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


@kernel(fastmath=False)
def philox4x32(c0: Word, c1: Word, c2: Word, c3: Word, k0: Word, k1: Word) -> tuple[Word, Word, Word, Word]:
    """Ten rounds of Philox4x32: counter words c0 to c3 under the key words k0, k1. Four words."""
    for _ in range(10):
        p0 = _MULTIPLIER_0 * c0
        p1 = _MULTIPLIER_1 * c2
        c0, c1, c2, c3 = (p1 >> _WORD) ^ c1 ^ k0, p1 & _LOW_WORD, (p0 >> _WORD) ^ c3 ^ k1, p0 & _LOW_WORD
        k0 = (k0 + _WEYL_0) & _LOW_WORD
        k1 = (k1 + _WEYL_1) & _LOW_WORD
    return c0, c1, c2, c3


@kernel(fastmath=False)
def fill_uniform(out: np.ndarray, key0: int, key1: int, positions: np.ndarray) -> None:
    """Fill `out` (float32, n x k) with uniform numbers in [0, 1), 24 bits each.

    Args:
        out: row i belongs to positions[i]; every element is written.
        key0, key1: the key's words, integers in [0, 2**32).
        positions: int64, n; element e of a row is word e % 4 of the block with counter
            (e // 4, low word of the position, high word, 0), whatever n, k and the other positions are.
    """
    k0, k1 = np.uint64(key0), np.uint64(key1)
    blocks = out.shape[1] // 4
    for i in range(out.shape[0]):
        row = out[i]
        low, high = np.uint64(positions[i]) & _LOW_WORD, np.uint64(positions[i]) >> _WORD
        for b in range(blocks):
            w0, w1, w2, w3 = philox4x32(np.uint64(b), low, high, _ZERO, k0, k1)
            row[4 * b] = np.float32(w0 >> _EIGHT) * _TO_UNIFORM
            row[4 * b + 1] = np.float32(w1 >> _EIGHT) * _TO_UNIFORM
            row[4 * b + 2] = np.float32(w2 >> _EIGHT) * _TO_UNIFORM
            row[4 * b + 3] = np.float32(w3 >> _EIGHT) * _TO_UNIFORM
        if 4 * blocks < out.shape[1]:
            words = philox4x32(np.uint64(blocks), low, high, _ZERO, k0, k1)
            for e in range(4 * blocks, out.shape[1]):
                row[e] = np.float32(words[e - 4 * blocks] >> _EIGHT) * _TO_UNIFORM


@kernel(fastmath=False)
def fill_normal(out: np.ndarray, key0: int, key1: int, positions: np.ndarray) -> None:
    """Fill `out` (float32, n x k) with standard normal numbers; arguments as in `fill_uniform`.

    Box-Muller on the words (a, b) and (c, d) of each block: with u = (a + 1) / 2**32 in (0, 1] and the angle
    t = 2 pi b / 2**32, the pair is sqrt(-2 ln u) times cos t and sin t, computed in float64 and rounded to
    float32 once. The largest magnitude is sqrt(64 ln 2) = 6.66.
    """
    k0, k1 = np.uint64(key0), np.uint64(key1)
    blocks = out.shape[1] // 4
    for i in range(out.shape[0]):
        row = out[i]
        low, high = np.uint64(positions[i]) & _LOW_WORD, np.uint64(positions[i]) >> _WORD
        for b in range(blocks):
            w0, w1, w2, w3 = philox4x32(np.uint64(b), low, high, _ZERO, k0, k1)
            row[4 * b], row[4 * b + 1] = _normal_pair(w0, w1)
            row[4 * b + 2], row[4 * b + 3] = _normal_pair(w2, w3)
        if 4 * blocks < out.shape[1]:
            w0, w1, w2, w3 = philox4x32(np.uint64(blocks), low, high, _ZERO, k0, k1)
            normals = _normal_pair(w0, w1) + _normal_pair(w2, w3)
            for e in range(4 * blocks, out.shape[1]):
                row[e] = normals[e - 4 * blocks]


@kernel(fastmath=False)
def _normal_pair(a: Word, b: Word) -> tuple[np.float32, np.float32]:
    """Two independent standard normals (float32) from two words."""
    radius = math.sqrt(-2.0 * _log_word(a + _ONE))
    cosine, sine = _cos_sin_word(b)
    return np.float32(radius * cosine), np.float32(radius * sine)


@kernel(fastmath=False)
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


@kernel(fastmath=False)
def _cos_sin_word(word: Word) -> tuple[np.float64, np.float64]:
    """Cosine and sine of 2 pi word / 2**32, as float64; the polynomials of fdlibm's kernels on [-pi/4, pi/4].

    The nearest multiple of pi/2 is taken off in integers, so the reduction is exact.
    """
    shifted = word + _HALF_QUADRANT
    quadrant = (shifted >> _QUADRANT_SHIFT) & _THREE
    x = (np.float64(shifted & _WITHIN_QUADRANT) - np.float64(2**29)) * _TO_ANGLE
    z = x * x
    s = -2.50507602534068634195e-08 + z * 1.58969099521155010221e-10
    s = -1.98412698298579493134e-04 + z * (2.75573137070700676789e-06 + z * s)
    s = x + x * z * (-1.66666666666666324348e-01 + z * (8.33333333332248946124e-03 + z * s))
    c = 2.08757232129817482790e-09 + z * -1.13596475577881948265e-11
    c = 2.48015872894767294178e-05 + z * (-2.75573143513906633035e-07 + z * c)
    c = 1.0 - z * (0.5 - z * (4.16666666666666019037e-02 + z * (-1.38888888888741095749e-03 + z * c)))
    swap = (quadrant & _ONE) != _ZERO
    cosine, sine = (s, c) if swap else (c, s)
    cosine = -cosine if quadrant == _ONE or quadrant == np.uint64(2) else cosine
    sine = -sine if quadrant >= np.uint64(2) else sine
    return cosine, sine
