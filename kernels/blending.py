"""Weighted sums of rows: what a separable resize does along one axis, while the other axis and the channels lie along
the row, where they vectorise."""

from typing import Any

import numpy as np

from gen_dist.kernels.jit import kernel
from gen_dist.kernels.taps import HEADER, TAPS, weights_in

Rounding = tuple[np.int32, np.int32, np.int32]  # half, places to shift, the most that is left

_ZERO = np.int32(0)
_NOTHING = np.int16(0)


@kernel(fastmath=False)
def blend_rows(
    out: np.ndarray,
    out_start: int,
    out_stride: int,
    source: np.ndarray,
    start: int,
    stride: int,
    table: np.ndarray,
    begin: int,
    end: int,
    shift: int,
    most: int,
    length: int,
    sums: np.ndarray,
) -> None:
    """Row i - begin of out = the source rows that output sample i takes, weighted and summed, for i in [begin, end).

    The exact sum is divided by 2**shift, rounded half up and clipped to [0, most].

    Args:
        out, source: uint8 or int16, flat. Row j is the `length` elements from start + j * stride on; elements of
            source are in [0, 2**15) and the sum must fit in int32.
        table: of taps.
        sums: int32, at least `length`; working space.
    """
    taps, weights = table[TAPS], weights_in(table)
    rounding = np.int32(1 << (shift - 1)), np.int32(shift), np.int32(most)
    for i in range(begin, end):
        at = start + table[HEADER + i] * stride
        into = out_start + (i - begin) * out_stride
        first = i * taps
        if taps <= 2:
            _blend_2(out, into, length, source, at, stride, weights, first, taps, rounding)
        elif taps <= 4:
            _blend_4(out, into, length, source, at, stride, weights, first, taps, rounding)
        elif taps <= 6:
            _blend_6(out, into, length, source, at, stride, weights, first, taps, rounding)
        elif taps <= 8:
            _blend_8(out, into, length, source, at, stride, weights, first, taps, rounding)
        elif taps <= 12:
            _blend_12(out, into, length, source, at, stride, weights, first, taps, rounding)
        elif taps <= 16:
            _blend_16(out, into, length, source, at, stride, weights, first, taps, rounding)
        elif taps <= 20:
            _blend_20(out, into, length, source, at, stride, weights, first, taps, rounding)
        else:
            _blend_many(out, into, length, source, at, stride, weights, first, taps, rounding, sums)


# Products and sums are written so that LLVM sees 32 bits, with factors of 16 (a plain + or >> of Numba's widens to 64):
# it then multiplies and adds with one instruction. A function for n taps also takes fewer: the row of a missing tap is
# the first, its weight 0.


@kernel(fastmath=False)
def _product(element: Any, weight: Any) -> np.int32:
    return np.int32(np.bitwise_and(np.int32(element), np.int32(0x7FFF)) * np.int32(weight))


@kernel(fastmath=False)
def _narrowed(total: np.int32, rounding: Rounding) -> np.int32:
    half, places, top = rounding
    return min(max(np.right_shift(np.int32(total + half), places), _ZERO), top)


@kernel(fastmath=False)
def _tap(at: int, stride: int, weights: np.ndarray, first: int, taps: int, k: int) -> tuple[np.uint64, np.int16]:
    """Where tap k's row begins, and its weight."""
    if k >= taps:
        return np.uint64(at), _NOTHING
    return np.uint64(at + k * stride), weights[first + k]


@kernel(fastmath=False)
def _pair(at: int, stride: int, weights: np.ndarray, first: int, taps: int, k: int) -> Any:
    return _tap(at, stride, weights, first, taps, k), _tap(at, stride, weights, first, taps, k + 1)


@kernel(fastmath=False)
def _four(at: int, stride: int, weights: np.ndarray, first: int, taps: int, k: int) -> Any:
    return _pair(at, stride, weights, first, taps, k), _pair(at, stride, weights, first, taps, k + 2)


@kernel(fastmath=False)
def _sum_2(source: np.ndarray, pair: Any, e: int) -> np.int32:
    (a, wa), (b, wb) = pair
    return np.int32(_product(source[a + np.uint64(e)], wa) + _product(source[b + np.uint64(e)], wb))


@kernel(fastmath=False)
def _sum_4(source: np.ndarray, four: Any, e: int) -> np.int32:
    return np.int32(_sum_2(source, four[0], e) + _sum_2(source, four[1], e))


@kernel(fastmath=False)
def _blend_2(
    out: np.ndarray,
    into: int,
    length: int,
    source: np.ndarray,
    at: int,
    stride: int,
    weights: np.ndarray,
    first: int,
    taps: int,
    rounding: Rounding,
) -> None:
    begin = np.uint64(into)
    some = _pair(at, stride, weights, first, taps, 0)
    for e in range(length):
        out[begin + np.uint64(e)] = _narrowed(_sum_2(source, some, e), rounding)


@kernel(fastmath=False)
def _blend_4(
    out: np.ndarray,
    into: int,
    length: int,
    source: np.ndarray,
    at: int,
    stride: int,
    weights: np.ndarray,
    first: int,
    taps: int,
    rounding: Rounding,
) -> None:
    begin = np.uint64(into)
    some = _four(at, stride, weights, first, taps, 0)
    for e in range(length):
        out[begin + np.uint64(e)] = _narrowed(_sum_4(source, some, e), rounding)


@kernel(fastmath=False)
def _blend_6(
    out: np.ndarray,
    into: int,
    length: int,
    source: np.ndarray,
    at: int,
    stride: int,
    weights: np.ndarray,
    first: int,
    taps: int,
    rounding: Rounding,
) -> None:
    begin = np.uint64(into)
    some = _four(at, stride, weights, first, taps, 0)
    more = _pair(at, stride, weights, first, taps, 4)
    for e in range(length):
        out[begin + np.uint64(e)] = _narrowed(np.int32(_sum_4(source, some, e) + _sum_2(source, more, e)), rounding)


@kernel(fastmath=False)
def _blend_8(
    out: np.ndarray,
    into: int,
    length: int,
    source: np.ndarray,
    at: int,
    stride: int,
    weights: np.ndarray,
    first: int,
    taps: int,
    rounding: Rounding,
) -> None:
    begin = np.uint64(into)
    some = _four(at, stride, weights, first, taps, 0)
    more = _four(at, stride, weights, first, taps, 4)
    for e in range(length):
        out[begin + np.uint64(e)] = _narrowed(np.int32(_sum_4(source, some, e) + _sum_4(source, more, e)), rounding)


@kernel(fastmath=False)
def _blend_12(
    out: np.ndarray,
    into: int,
    length: int,
    source: np.ndarray,
    at: int,
    stride: int,
    weights: np.ndarray,
    first: int,
    taps: int,
    rounding: Rounding,
) -> None:
    begin = np.uint64(into)
    a = _four(at, stride, weights, first, taps, 0)
    b = _four(at, stride, weights, first, taps, 4)
    c = _four(at, stride, weights, first, taps, 8)
    for e in range(length):
        total = np.int32(_sum_4(source, a, e) + _sum_4(source, b, e))
        out[begin + np.uint64(e)] = _narrowed(np.int32(total + _sum_4(source, c, e)), rounding)


@kernel(fastmath=False)
def _blend_16(
    out: np.ndarray,
    into: int,
    length: int,
    source: np.ndarray,
    at: int,
    stride: int,
    weights: np.ndarray,
    first: int,
    taps: int,
    rounding: Rounding,
) -> None:
    begin = np.uint64(into)
    a = _four(at, stride, weights, first, taps, 0)
    b = _four(at, stride, weights, first, taps, 4)
    c = _four(at, stride, weights, first, taps, 8)
    d = _four(at, stride, weights, first, taps, 12)
    for e in range(length):
        total = np.int32(_sum_4(source, a, e) + _sum_4(source, b, e))
        out[begin + np.uint64(e)] = _narrowed(
            np.int32(total + np.int32(_sum_4(source, c, e) + _sum_4(source, d, e))), rounding
        )


@kernel(fastmath=False)
def _blend_20(
    out: np.ndarray,
    into: int,
    length: int,
    source: np.ndarray,
    at: int,
    stride: int,
    weights: np.ndarray,
    first: int,
    taps: int,
    rounding: Rounding,
) -> None:
    begin = np.uint64(into)
    a = _four(at, stride, weights, first, taps, 0)
    b = _four(at, stride, weights, first, taps, 4)
    c = _four(at, stride, weights, first, taps, 8)
    d = _four(at, stride, weights, first, taps, 12)
    f = _four(at, stride, weights, first, taps, 16)
    for e in range(length):
        total = np.int32(_sum_4(source, a, e) + _sum_4(source, b, e))
        total = np.int32(total + np.int32(_sum_4(source, c, e) + _sum_4(source, d, e)))
        out[begin + np.uint64(e)] = _narrowed(np.int32(total + _sum_4(source, f, e)), rounding)


@kernel(fastmath=False)
def _blend_many(
    out: np.ndarray,
    into: int,
    length: int,
    source: np.ndarray,
    at: int,
    stride: int,
    weights: np.ndarray,
    first: int,
    taps: int,
    rounding: Rounding,
    sums: np.ndarray,
) -> None:
    begin = np.uint64(into)
    for e in range(length):
        sums[e] = 0
    for k in range(0, taps, 8):
        some = _four(at, stride, weights, first, taps, k)
        more = _four(at, stride, weights, first, taps, k + 4)
        for e in range(length):
            sums[e] += np.int32(_sum_4(source, some, e) + _sum_4(source, more, e))
    for e in range(length):
        out[begin + np.uint64(e)] = _narrowed(sums[e], rounding)
