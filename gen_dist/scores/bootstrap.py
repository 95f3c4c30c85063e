"""How sure a ratio of means is, from a few runs of each kind: the percentile bootstrap (Efron 1979)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gen_dist.draws import Draws


@dataclass(frozen=True)
class Ratio:
    """mean(numerators) / mean(denominators), and the ends of its interval; `high` may be infinite."""

    ratio: float
    low: float
    high: float
    confidence: float
    resamples: int


def ratio_of_means(
    numerators: Sequence[float],
    denominators: Sequence[float],
    draws: Draws,
    *,
    paired: bool = False,
    confidence: float = 0.95,
    resamples: int = 10_000,
) -> Ratio:
    """The ratio of two means with its bootstrap interval.

    Runs are drawn with repetition as many as there are, of both kinds on their own, or in pairs where number i of both
    belong together (one seed, one split). A few runs give a coarse interval: of three there are ten resamples that
    differ, and an interval that misses the truth more often than its confidence says.

    A resample whose denominators have no positive mean counts as an infinite ratio: never in favour of the numerators.

    Args:
        numerators, denominators: finite numbers, at least one of each, as many of both if paired; for example distances
            above the floor, one a run. The denominators' mean must be positive.
        confidence: of the interval, above 0 and below 1.

    Raises ValueError for anything else.
    """
    tops, bottoms = (np.asarray(values, dtype=np.float64) for values in (numerators, denominators))
    _check(tops, bottoms, paired, confidence, resamples)
    purposes = ("pairs", "pairs") if paired else ("numerators", "denominators")
    top, bottom = (
        _means(values, draws, purpose, resamples) for values, purpose in zip((tops, bottoms), purposes, strict=True)
    )
    ratios = np.divide(top, bottom, out=np.full(resamples, np.inf), where=bottom > 0)
    low, high = (_quantile(np.sort(ratios), q) for q in ((1 - confidence) / 2, (1 + confidence) / 2))
    return Ratio(float(tops.mean() / bottoms.mean()), low, high, confidence, resamples)


def _means(values: np.ndarray, draws: Draws, purpose: str, resamples: int) -> np.ndarray:
    """Of each resample (resamples,): row i of the uniform numbers chooses for resample i."""
    uniform = draws.at(0, 0, np.arange(resamples)).uniform(f"scores/bootstrap/{purpose}", len(values)).numpy()
    return values[(uniform.astype(np.float64) * len(values)).astype(np.int64)].mean(axis=1)


def _quantile(ascending: np.ndarray, q: float) -> float:
    """The nearest rank: interpolating next to an infinite ratio would give none."""
    return float(ascending[max(0, math.ceil(q * len(ascending)) - 1)])


def _check(tops: np.ndarray, bottoms: np.ndarray, paired: bool, confidence: float, resamples: int) -> None:
    for name, values in (("numerators", tops), ("denominators", bottoms)):
        if values.ndim != 1 or len(values) == 0 or not np.isfinite(values).all():
            raise ValueError(f"{name} {values.tolist()}: give finite numbers, at least 1")
    if paired and len(tops) != len(bottoms):
        raise ValueError(f"{len(tops)} numerators, {len(bottoms)} denominators: pairs need as many of both")
    if not 0 < confidence < 1 or resamples < 1:
        raise ValueError(f"confidence {confidence}, resamples {resamples}: above 0 and below 1, and at least 1")
    if bottoms.mean() <= 0:
        raise ValueError(f"denominators of mean {bottoms.mean():g}: no ratio to that; it must be positive")
