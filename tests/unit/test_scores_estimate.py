"""Intervals of means: against scipy's, and how often they hold the truth."""

import numpy as np
import pytest
from scipy import stats

from gen_dist.scores.active_units import active_units
from gen_dist.scores.estimate import MOST_PARTS, Estimate, of_items, of_jackknife, of_parts


@pytest.mark.parametrize("count", range(2, MOST_PARTS + 1))
def test_the_interval_of_parts_is_students(count):
    values = np.random.default_rng(count).normal(3, 2, count)
    found = of_parts(values.tolist())
    low, high = stats.t.interval(0.95, count - 1, loc=values.mean(), scale=stats.sem(values))
    assert (found.value, found.low, found.high) == pytest.approx((values.mean(), low, high), rel=1e-4)


def test_the_interval_of_items_is_the_normal_one():
    values = np.random.default_rng(0).exponential(1, 400)
    found = of_items(values)
    low, high = stats.norm.interval(0.95, loc=values.mean(), scale=stats.sem(values))
    assert (found.value, found.low, found.high) == pytest.approx((values.mean(), low, high), rel=1e-3)


def test_the_truth_is_inside_nineteen_times_of_twenty():
    generator = np.random.default_rng(1)
    found = [of_parts(generator.normal(5, 1, 4).tolist()) for _ in range(2000)]
    assert np.mean([one.low < 5 < one.high for one in found]) == pytest.approx(0.95, abs=0.015)


def test_one_number_has_no_interval():
    assert (of_parts([2.0]).low, of_items(np.array([2.0])).high) == (None, None)


@pytest.mark.parametrize("count", [0, MOST_PARTS + 1])
def test_other_numbers_of_parts_are_refused(count):
    with pytest.raises(ValueError, match="give 1 to 10"):
        of_parts([1.0] * count)
    with pytest.raises(ValueError, match="at least 1"):
        of_items(np.empty(0))


def test_active_units_are_those_whose_means_vary():
    generator = np.random.default_rng(2)
    means = generator.normal(0, 1, (500, 4)) * [1.0, 0.2, 0.05, 0.0] + 3
    assert active_units(means) == 2


@pytest.mark.parametrize("means", [np.zeros((1, 3)), np.zeros(3), np.full((5, 2), np.nan)])
def test_other_means_are_refused(means):
    with pytest.raises(ValueError, match="at least 2 images"):
        active_units(means)


@pytest.mark.parametrize("count", [2, 5, MOST_PARTS])
def test_a_jackknife_of_a_mean_is_the_mean_of_parts(count):
    values = np.random.default_rng(0).normal(5, 1, count)
    without = [float(np.delete(values, part).mean()) for part in range(count)]
    found, wanted = of_jackknife(float(values.mean()), without), of_parts(values.tolist())
    assert (found.value, found.low, found.high) == pytest.approx((wanted.value, wanted.low, wanted.high))


def test_a_jackknife_of_one_part_has_no_interval():
    assert of_jackknife(3.0, []) == Estimate(3.0)
    for count in (1, MOST_PARTS + 1):
        with pytest.raises(ValueError, match="give 2 to 10, or none"):
            of_jackknife(1.0, [1.0] * count)
