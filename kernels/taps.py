"""Filter weights for resampling one axis: which input samples each output sample takes, and how much of each.

A table of taps is one int32 array, so that compiled code can fill and pass it without allocating: a header (TAPS
to SIGNED), then for each output sample the index of its first input sample, then for each its TAPS weights as int16.
"""

import math

import numpy as np

from gen_dist.kernels.jit import kernel
from gen_dist.kernels.trigonometry import sin_cos_kernel

NEAREST, BOX, BILINEAR, BICUBIC, LANCZOS, HAMMING = range(6)
FILTERS = {
    "nearest": NEAREST,
    "box": BOX,
    "bilinear": BILINEAR,
    "hamming": HAMMING,
    "bicubic": BICUBIC,
    "lanczos": LANCZOS,
}

TAPS = 0  # taps of every output sample
BITS = 1  # the weights of a sample add up to 2**BITS, nearly or exactly
LOW, HIGH = 2, 3  # the input samples taken by any output sample are those in [LOW, HIGH)
SIZE = 4  # output samples
SIGNED = 5  # whether weights may be negative
HEADER = 6

MOST_BITS = 22  # 255 * 2**22 and the overshoot of a filter stay below 2**31
FEW_BITS = 18  # enough for FEW_TAPS weights none of which is negative
_FEW_TAPS = 512
_WHOLE_BITS = 14  # a weight of 1 is below 2**15
_LIMIT = 1 << 15
_QUARTER_TURN = math.pi / 2.0


@kernel(fastmath=False)
def taps_length(in_size: int, out_size: int, start: float, stop: float, code: int) -> int:
    """How many int32 `fill_taps` needs for these arguments, its working space included."""
    most = min(in_size, 2 * math.ceil(_radius(code) * _stretch(out_size, start, stop)) + 1)
    return HEADER + out_size + (out_size & 1) + 2 * out_size * most


@kernel(fastmath=False)
def fill_taps(table: np.ndarray, in_size: int, out_size: int, start: float, stop: float, code: int) -> None:
    """Fill a table of taps.

    Output sample i is centred on start + (i + 0.5) * (stop - start) / out_size, where input sample j covers [j, j + 1).
    The filter is widened by that ratio where it is above 1 and clipped at the ends of the input, not of [start, stop);
    what is left of it is scaled to the sum 1. start and stop are rounded to float32. All this is as in Pillow, and so
    are the weights of BICUBIC and LANCZOS, to the bit but for an occasional rounding of a sine: as many bits, up to 22,
    as keep the largest weight of the table below 2**15.

    Args:
        table: int32, at least `taps_length` of the other arguments.
        in_size, out_size: lengths of the axis, 1 and more.
        start, stop: the part of the input, in samples, to become the output; 0 <= start < stop <= in_size.
        code: NEAREST, BOX, BILINEAR, BICUBIC, LANCZOS or HAMMING.
    """
    start, stop = float(np.float32(start)), float(np.float32(stop))
    step = float(np.float32(stop - start)) / out_size
    table[SIZE], table[SIGNED] = out_size, 0
    copied = step == 1.0 and start == math.floor(start)
    if code == NEAREST or copied:
        _fill_nearest(table, in_size, out_size, start, step)
        return
    widening = max(step, 1.0)
    radius = _radius(code) * widening
    taps = _fill_first(table, in_size, out_size, start, step, radius)
    table[TAPS] = taps
    behind = HEADER + out_size + (out_size & 1)
    work = table[behind : behind + 2 * out_size * taps].view(np.float64)
    largest = 0.0
    for i in range(out_size):
        centre = start + (i + 0.5) * step
        low, high = _reach(in_size, centre, radius)
        first = min(low, table[HIGH] - taps)
        table[HEADER + i] = first
        weights = work[i * taps : (i + 1) * taps]
        _evaluate(weights, first - centre + 0.5, 1.0 / widening, code)
        weights[: low - first] = 0.0
        weights[high - first :] = 0.0
        largest = max(largest, _normalise(weights))
    signed = code in (BICUBIC, LANCZOS)
    most_bits = FEW_BITS if not signed and taps <= _FEW_TAPS else MOST_BITS
    bits = 0
    while bits < most_bits and int(0.5 + largest * (1 << (bits + 1))) < _LIMIT:
        bits += 1
    table[BITS], table[SIGNED] = bits, signed
    if signed:
        _round_each(weights_in(table), work, bits)
    else:
        _round_sums(weights_in(table), work, bits, taps)


@kernel(fastmath=False)
def weights_in(table: np.ndarray) -> np.ndarray:
    """The weights, int16: those of output sample i are the TAPS from i * TAPS on. What follows is not theirs."""
    size = table[SIZE]
    return table[HEADER + size + (size & 1) :].view(np.int16)


@kernel(fastmath=False)
def _radius(code: int) -> float:
    """Half the width of the filter, in samples."""
    if code == BOX:
        return 0.5
    if code in (BILINEAR, HAMMING):
        return 1.0
    if code == BICUBIC:
        return 2.0
    return 3.0 if code == LANCZOS else 0.0


@kernel(fastmath=False)
def _stretch(out_size: int, start: float, stop: float) -> float:
    return max(float(np.float32(np.float32(stop) - np.float32(start))) / out_size, 1.0)


@kernel(fastmath=False)
def _reach(in_size: int, centre: float, radius: float) -> tuple[int, int]:
    """The samples [low, high), one at least, that a filter around `centre` takes."""
    low = min(max(int(centre - radius + 0.5), 0), in_size - 1)
    return low, max(min(int(centre + radius + 0.5), in_size), low + 1)


@kernel(fastmath=False)
def _fill_nearest(table: np.ndarray, in_size: int, out_size: int, start: float, step: float) -> None:
    """One tap each: the sample in which the centre lies."""
    table[TAPS], table[BITS] = 1, _WHOLE_BITS
    weights = weights_in(table)
    centre = start + step * 0.5
    for i in range(out_size):
        table[HEADER + i] = min(int(centre), in_size - 1)
        weights[i] = 1 << _WHOLE_BITS
        centre += step  # adding up, as Pillow does: the same roundings
    table[LOW], table[HIGH] = table[HEADER], table[HEADER + out_size - 1] + 1


@kernel(fastmath=False)
def _fill_first(table: np.ndarray, in_size: int, out_size: int, start: float, step: float, radius: float) -> int:
    """How many taps the output sample with the most of them has; the samples taken by any."""
    taps = 1
    for i in range(out_size):
        low, high = _reach(in_size, start + (i + 0.5) * step, radius)
        taps = max(taps, high - low)
    low = _reach(in_size, start + 0.5 * step, radius)[0]
    high = _reach(in_size, start + (out_size - 0.5) * step, radius)[1]
    table[LOW] = min(low, in_size - taps)
    table[HIGH] = max(high, table[LOW] + taps)
    return taps


@kernel(fastmath=False)
def _evaluate(weights: np.ndarray, offset: float, narrowing: float, code: int) -> None:
    """weights[k] = filter((offset + k) * narrowing)."""
    if code == BOX:
        for k in range(weights.size):
            x = (offset + k) * narrowing
            weights[k] = 1.0 if -0.5 < x <= 0.5 else 0.0
    elif code == BILINEAR:
        for k in range(weights.size):
            weights[k] = max(1.0 - abs((offset + k) * narrowing), 0.0)
    elif code == HAMMING:
        for k in range(weights.size):
            weights[k] = _hamming(abs((offset + k) * narrowing))
    elif code == BICUBIC:
        for k in range(weights.size):
            weights[k] = _cubic(abs((offset + k) * narrowing))
    else:
        for k in range(weights.size):
            weights[k] = _lanczos(abs((offset + k) * narrowing))


@kernel(fastmath=False)
def _cubic(x: float) -> float:
    """R. Keys, Cubic convolution interpolation for digital image processing, 1981, with a = -1/2; x >= 0."""
    inner = (1.5 * x - 2.5) * x * x + 1.0
    outer = (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5
    return inner if x < 1.0 else (outer if x < 2.0 else 0.0)


@kernel(fastmath=False)
def _lanczos(x: float) -> float:
    """sinc(x) sinc(x / 3) for 0 <= x < 3, where sinc(x) = sin(pi x) / (pi x); without branches, so that it vectorises.

    With s = sin(pi x / 3), sin(pi x) is 3s - 4s**3; and s is the sine of a doubled angle below pi/4.
    """
    third = min(x / 3.0, 1.0)
    sine, cosine = sin_cos_kernel(_QUARTER_TURN * min(third, 1.0 - third))
    s = 2.0 * sine * cosine
    angle = math.pi * third
    value = s * s * (3.0 - 4.0 * s * s) / (3.0 * angle * angle)
    return value if x > 0.0 else 1.0


@kernel(fastmath=False)
def _hamming(x: float) -> float:
    """sinc(x) (0.54 + 0.46 cos(pi x)) for 0 <= x < 1, from the sine of a quarter of the angle."""
    sine, cosine = sin_cos_kernel(0.5 * _QUARTER_TURN * min(x, 1.0))
    s = 2.0 * sine * cosine
    sine, cosine = 2.0 * s * (1.0 - 2.0 * sine * sine), 1.0 - 2.0 * s * s
    value = sine / (math.pi * x) * (0.54 + 0.46 * cosine)
    return (value if x > 0.0 else 1.0) if x < 1.0 else 0.0


@kernel(fastmath=False)
def _normalise(weights: np.ndarray) -> float:
    """Scale the weights to the sum 1; returns the largest."""
    total = 0.0
    for k in range(weights.size):
        total += weights[k]
    largest = 0.0
    for k in range(weights.size):
        weights[k] = weights[k] / total if total != 0.0 else 0.0
        largest = max(largest, weights[k])
    return largest


@kernel(fastmath=False)
def _round_each(weights: np.ndarray, work: np.ndarray, bits: int) -> None:
    """Each weight to the nearest; `work` may lie behind the first of `weights` in the same memory."""
    scale = float(1 << bits)
    for j in range(work.size):
        scaled = work[j] * scale
        weights[j] = int(scaled - 0.5) if scaled < 0.0 else int(scaled + 0.5)


@kernel(fastmath=False)
def _round_sums(weights: np.ndarray, work: np.ndarray, bits: int, taps: int) -> None:
    """Differences of the rounded running sum, so that the weights of a sample add up to 2**bits exactly."""
    scale = float(1 << bits)
    for begin in range(0, work.size, taps):
        total, before = 0.0, 0
        for j in range(begin, begin + taps):
            total += work[j]
            after = int(total * scale + 0.5)
            weights[j] = after - before
            before = after
