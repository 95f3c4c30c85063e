"""From values to places along an axis, and where its ticks are. Pure."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

STEPS = (1, 2, 5, 10)  # between ticks, times a power of ten
MOST_TICKS = 6


@dataclass(frozen=True)
class Axis:
    """From `low` to `high`, `low` below `high`; both above 0 where it is logarithmic."""

    low: float
    high: float
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """0 at `low`, 1 at `high`."""
        low, high, at = map(self._scaled, (self.low, self.high, value))
        return (at - low) / (high - low)

    def ticks(self) -> list[float]:
        return logarithmic_ticks(self.low, self.high) if self.logarithmic else linear_ticks(self.low, self.high)

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.logarithmic else value


def can_be_shown(value: float, logarithmic: bool) -> bool:
    return math.isfinite(value) and (value > 0 or not logarithmic)


def axis_of(values: Iterable[float], logarithmic: bool = False, from_zero: bool = False) -> Axis:
    """The axis that shows all finite values (above 0 where it is logarithmic), from one tick to another.

    `from_zero`: it shows 0 too, as amounts should.
    """
    shown = [value for value in values if can_be_shown(value, logarithmic)]
    if not shown:
        return Axis(1.0, 10.0, True) if logarithmic else Axis(0.0, 1.0)
    low, high = min(shown), max(shown)
    if logarithmic:
        low, high = 10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(high))
        return Axis(low, high if high > low else 10 * low, True)
    if from_zero:
        low, high = min(low, 0.0), max(high, 0.0)
    size = max(abs(low), abs(high))
    if high - low <= 1e-9 * size:  # all alike, but for rounding
        low, high = low - max(1.0, size) / 2, high + max(1.0, size) / 2
    step = tick_step(low, high)
    while True:
        low, high = step * math.floor(low / step + 1e-9), step * math.ceil(high / step - 1e-9)
        if (wider := tick_step(low, high)) == step:
            return Axis(low, high)
        step = wider


def tick_step(low: float, high: float) -> float:
    """The smallest round distance between at most MOST_TICKS ticks."""
    least = (high - low) / (MOST_TICKS - 1)
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (*STEPS, 20) if factor * power >= least * (1 - 1e-9))


def linear_ticks(low: float, high: float) -> list[float]:
    step = tick_step(low, high)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def logarithmic_ticks(low: float, high: float) -> list[float]:
    """Powers of ten, every one or every so many; where there are fewer than two, both ends."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    if last <= first:
        return [low, high]
    every = -(-(last - first + 1) // MOST_TICKS)
    return [10.0**power for power in range(first, last + 1, every)]


def tick_text(value: float) -> str:
    """Short: 0.25, 1,000, 2.5M, 1e-05."""
    size = abs(value)
    if size >= 1e15 or 0 < size < 1e-3:
        return f"{value:.0e}"
    for unit, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if size >= unit:
            return f"{value / unit:g}{letter}"
    return f"{value:,.10g}" if size >= 1 else f"{value:.4g}"
