"""A figure and how sure it is: means with their 95 % intervals (Student 1908)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# The 97.5 % quantiles of Student's t distribution with 1, 2, … 9 degrees of freedom, and of the normal one.
_STUDENT = (12.70620, 4.30265, 3.18245, 2.77645, 2.57058, 2.44691, 2.36462, 2.30600, 2.26216)
_NORMAL = 1.95996
MOST_PARTS = len(_STUDENT) + 1


@dataclass(frozen=True)
class Estimate:
    """`value` and the ends of its interval, None where one number says nothing of its spread."""

    value: float
    low: float | None = None
    high: float | None = None


def of_parts(values: Sequence[float]) -> Estimate:
    """The mean of a figure that was taken on disjoint parts of as many items each, 1 to 10. Raises ValueError."""
    if not 1 <= len(values) <= MOST_PARTS:
        raise ValueError(f"{len(values)} parts: give 1 to {MOST_PARTS}")
    if len(values) == 1:
        return Estimate(float(values[0]))
    return _around(np.asarray(values, np.float64))


def of_items(values: np.ndarray) -> Estimate:
    """The mean of figures of single items (n,), as if these were normal."""
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"values {values.shape}: give one number an item, at least 1")
    return Estimate(float(values[0])) if len(values) == 1 else _around(values.astype(np.float64))


def of_jackknife(whole: float, without: Sequence[float]) -> Estimate:
    """A figure of everything, and of everything without each of 2 to 10 disjoint parts (Tukey 1958), or without none:
    for one that means something else of a part. Raises ValueError."""
    parts = len(without)
    if parts == 0:
        return Estimate(whole)
    if not 2 <= parts <= MOST_PARTS:
        raise ValueError(f"{parts} parts: give 2 to {MOST_PARTS}, or none")
    half = _quantile(parts - 1) * math.sqrt(parts - 1) * float(np.std(np.asarray(without, np.float64)))
    return Estimate(whole, whole - half, whole + half)


def _quantile(freedom: int) -> float:
    if freedom <= len(_STUDENT):
        return _STUDENT[freedom - 1]
    z = _NORMAL  # and the first terms of the expansion in 1 / freedom (Fisher 1926)
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def _around(values: np.ndarray) -> Estimate:
    mean, half = float(values.mean()), _quantile(len(values) - 1) * float(values.std(ddof=1)) / math.sqrt(len(values))
    return Estimate(mean, mean - half, mean + half)


def number_text(value: float) -> str:
    """Four digits, as tables show a figure."""
    return f"{value:,.0f}" if abs(value) >= 10_000 or float(value).is_integer() else f"{value:.4g}"
