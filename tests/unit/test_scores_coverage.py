"""Precision and recall: by hand, on clouds that overlap as known, and on planted failures."""

import numpy as np
import pytest

from gen_dist.scores import coverage
from gen_dist.scores.coverage import Coverage, precision_recall


def cloud(count: int, seed: int, center: float = 0.0, spread: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(center, spread, (count, 4))


def test_worked_by_hand():
    real = np.array([[0.0], [1.0], [3.0]])  # balls of radius 1, 1 and 2
    generated = np.array([[-1.0], [5.0], [5.5], [9.0]])  # balls of radius 6, 0.5, 0.5 and 3.5
    found = precision_recall(generated, real, neighbours=1)
    assert found == Coverage(precision=2 / 4, recall=3 / 3)


def test_the_same_items_are_all_real_and_all_there():
    items = cloud(50, 0)
    assert precision_recall(items, items) == Coverage(1.0, 1.0)


def test_far_away_nothing_is_real_or_there():
    assert precision_recall(cloud(50, 0), cloud(50, 1, center=100)) == Coverage(0.0, 0.0)


def test_a_generator_that_repeats_itself_has_precision_and_no_recall():
    real = cloud(500, 0)
    one_mode, scattered = cloud(500, 1, spread=0.1), cloud(500, 1, spread=4)
    usual = precision_recall(cloud(500, 2), real)
    assert min(usual.precision, usual.recall) > 0.7
    few = precision_recall(one_mode, real)
    assert few.precision > 0.95
    assert few.recall < 0.1
    wide = precision_recall(scattered, real)
    assert wide.precision < 0.4
    assert wide.recall > usual.recall - 0.1


def test_blocks_change_nothing(monkeypatch):
    sets = cloud(40, 0), cloud(30, 1)
    whole = precision_recall(*sets)
    monkeypatch.setattr(coverage, "_BLOCK_BYTES", 8 * 40 * 3)
    assert precision_recall(*sets) == whole


@pytest.mark.parametrize(
    ("generated", "real", "options", "message"),
    [
        (cloud(3, 0), cloud(9, 0), {}, "generated: 3 rows; give at least 4"),
        (cloud(9, 0), cloud(3, 0), {}, "real: 3 rows; give at least 4"),
        (cloud(9, 0), cloud(9, 0)[:, :2], {}, "shapes differ"),
        (cloud(9, 0) * np.nan, cloud(9, 0), {}, "not finite"),
        (cloud(9, 0), cloud(9, 0), {"neighbours": 0}, "neighbours 0: must be at least 1"),
    ],
)
def test_refused(generated, real, options, message):
    with pytest.raises(ValueError, match=message):
        precision_recall(generated, real, **options)
