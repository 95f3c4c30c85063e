"""The bootstrap interval of a ratio of means: against counting all resamples, and against known truths."""

import itertools
import math

import numpy as np
import pytest

from gen_dist.draws import Draws
from gen_dist.scores.bootstrap import ratio_of_means


def test_constants_have_no_interval():
    found = ratio_of_means([3.0, 3.0], [6.0, 6.0, 6.0], Draws(0))
    assert (found.ratio, found.low, found.high) == (0.5, 0.5, 0.5)
    assert ratio_of_means([2.0], [4.0], Draws(0)).high == 0.5


@pytest.mark.parametrize("paired", [False, True])
def test_the_interval_is_that_of_all_resamples(paired):
    a, b = np.array([1.0, 2.0, 4.0]), np.array([5.0, 6.0, 10.0])
    triples = list(itertools.product(range(3), repeat=3))
    both = [(i, i) for i in triples] if paired else itertools.product(triples, triples)
    ratios = np.sort([a[list(i)].mean() / b[list(j)].mean() for i, j in both])
    found = ratio_of_means(a, b, Draws(1), paired=paired, confidence=0.8, resamples=20_000)
    assert found.ratio == pytest.approx(7 / 21)
    # Ratios are few and far apart, so the quantile is one of those around the exact rank.
    for end, q in ((found.low, 0.1), (found.high, 0.9)):
        rank = q * len(ratios)
        low, high = ratios[math.floor(0.93 * rank)], ratios[min(len(ratios) - 1, math.ceil(1.07 * rank))]
        assert low - 1e-12 <= end <= high + 1e-12


def test_pairs_that_go_together_have_a_narrow_interval():
    b = np.array([1.0, 3.0, 9.0, 4.0])
    paired = ratio_of_means(0.5 * b, b, Draws(0), paired=True)
    alone = ratio_of_means(0.5 * b, b, Draws(0))
    assert (paired.low, paired.high) == pytest.approx((0.5, 0.5))
    assert alone.low < 0.4 < 0.6 < alone.high


def test_more_confidence_is_wider_and_the_seed_decides():
    a, b = np.random.default_rng(2).uniform(5, 10, (2, 12))
    wide, narrow = (ratio_of_means(a, b, Draws(0), confidence=c, resamples=2000) for c in (0.99, 0.5))
    assert wide.low < narrow.low < narrow.ratio < narrow.high < wide.high
    again, other = (ratio_of_means(a, b, Draws(seed), confidence=0.5, resamples=2000) for seed in (0, 1))
    assert again == narrow
    assert other != narrow


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    generator, covered = np.random.default_rng(0), 0
    for seed in range(200):
        a, b = generator.normal(3, 1, 25), generator.normal(5, 1, 25)
        found = ratio_of_means(a, b, Draws(seed), confidence=0.9, resamples=400)
        covered += found.low <= 0.6 <= found.high
    assert 0.82 < covered / 200 < 0.96


def test_denominators_that_may_have_no_positive_mean_leave_the_interval_open():
    found = ratio_of_means([1.0, 1.1], [2.0, -1.0], Draws(0))
    assert found.ratio == pytest.approx(2.1)
    assert found.high == math.inf
    assert 0.4 < found.low < 0.6


def test_numerators_below_the_floor_are_taken_as_they_are():
    found = ratio_of_means([-1.0, -1.0], [2.0, 2.0], Draws(0))
    assert (found.ratio, found.low, found.high) == (-0.5, -0.5, -0.5)


@pytest.mark.parametrize(
    ("a", "b", "settings", "message"),
    [
        ([], [1.0], {}, r"numerators \[\]: give finite numbers, at least 1"),
        ([1.0], [], {}, "denominators"),
        ([math.nan], [1.0], {}, "give finite numbers"),
        ([[1.0]], [1.0], {}, "give finite numbers"),
        ([1.0, 2.0], [1.0], {"paired": True}, "2 numerators, 1 denominators: pairs need as many of both"),
        ([1.0], [0.0], {}, "denominators of mean 0: no ratio to that"),
        ([1.0], [-2.0], {}, "it must be positive"),
        ([1.0], [1.0], {"confidence": 1.0}, "above 0 and below 1"),
        ([1.0], [1.0], {"resamples": 0}, "at least 1"),
    ],
)
def test_bad_input_is_refused(a, b, settings, message):
    with pytest.raises(ValueError, match=message):
        ratio_of_means(a, b, Draws(0), **settings)
