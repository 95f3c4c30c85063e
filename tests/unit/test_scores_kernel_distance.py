"""Kernel and Fréchet distance: against plain twins and closed forms, and what they are to notice."""

import numpy as np
import pytest
import scipy.linalg
import torch
from torchmetrics.image.kid import poly_mmd

from gen_dist.draws import Draws
from gen_dist.scores.kernel_distance import frechet_distance, kernel_distance, squared_mmd

pytestmark = pytest.mark.usefixtures("one_thread")


def normal(n: int, width: int, seed: int, mean: float = 0.0, std: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, std, (n, width))


def naive_mmd(a: np.ndarray, b: np.ndarray) -> float:
    def k(x, y):
        return (sum(p * q for p, q in zip(x, y, strict=True)) / len(x) + 1) ** 3

    n, m = len(a), len(b)
    within_a = sum(k(a[i], a[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    within_b = sum(k(b[i], b[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return within_a + within_b - 2 * sum(k(x, y) for x in a for y in b) / (n * m)


@pytest.mark.parametrize(("n", "m", "width"), [(2, 2, 1), (5, 9, 3), (12, 7, 20)])
def test_the_estimate_is_that_of_a_double_loop(n, m, width):
    a, b = normal(n, width, seed=n), normal(m, width, seed=m, mean=0.5)
    assert squared_mmd(a, b) == pytest.approx(naive_mmd(a, b), rel=1e-9)


def test_gaussians_against_the_closed_form():
    # (xy + 1)^3 compares the first three moments: 3 (dm1)^2 + 3 (dm2)^2 + (dm3)^2 = 3 + 3 + 16 for N(0, 1) and N(1, 1).
    a, b = normal(4000, 1, seed=1), normal(3000, 1, seed=2, mean=1.0)
    found = kernel_distance(a, b, Draws(0), blocks=40, size=500)
    assert found.value == pytest.approx(22, rel=0.05)
    assert (found.blocks, found.size) == (40, 500)


def test_it_is_without_bias():
    found = [squared_mmd(normal(20, 4, seed=2 * i), normal(20, 4, seed=2 * i + 1)) for i in range(400)]
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(len(found))
    assert min(found) < 0 < max(found)


def test_a_block_that_takes_all_of_both_is_the_only_one():
    a, b = normal(50, 4, seed=1), normal(50, 4, seed=2)
    found = kernel_distance(a, b, Draws(0))
    assert (found.blocks, found.size, found.spread) == (1, 50, 0.0)
    assert found.value == pytest.approx(squared_mmd(a, b), rel=1e-9)
    turned = kernel_distance(a[::-1], b[::-1], Draws(9))
    assert turned.value == pytest.approx(found.value, rel=1e-9)


def test_blocks_are_drawn_from_the_seed_and_the_smaller_set_limits_them():
    a, b = normal(200, 4, seed=1), normal(30, 4, seed=2)
    found = [kernel_distance(a, b, Draws(seed), blocks=5) for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]
    assert (found[0].blocks, found[0].size) == (5, 30)
    assert found[0].spread > 0


@pytest.mark.parametrize("distance", [lambda a, b: kernel_distance(a, b, Draws(0)).value, frechet_distance])
def test_shift_scale_and_mode_dropping_are_further(distance):
    real, others = normal(300, 8, seed=1), normal(300, 8, seed=2)
    floor = distance(others, real)
    for little, much in (
        (others + 0.2, others + 0.6),
        (others * 1.2, others * 1.6),
        (others[np.arange(300) % 6], others[np.arange(300) % 1]),
    ):
        assert floor < distance(little, real) < distance(much, real)


def exactly(n: int, mean: np.ndarray, covariance: np.ndarray, seed: int) -> np.ndarray:
    """n rows whose mean and covariance are these, not nearly these."""
    rows = normal(n, len(mean), seed)
    rows -= rows.mean(axis=0)
    rows = rows @ np.linalg.inv(np.linalg.cholesky(np.cov(rows, rowvar=False))).T
    return rows @ np.linalg.cholesky(covariance).T + mean


def test_frechet_of_independent_gaussians_against_the_closed_form():
    mean, stds_a, stds_b = np.array([1.0, -2.0, 0.5]), np.array([1.0, 2.0, 3.0]), np.array([1.5, 0.5, 3.0])
    a = exactly(40, np.zeros(3), np.diag(stds_a**2), seed=1)
    b = exactly(70, mean, np.diag(stds_b**2), seed=2)
    expected = (mean**2).sum() + ((stds_a - stds_b) ** 2).sum()
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(b, a) == pytest.approx(expected, rel=1e-9)


def test_frechet_of_correlated_gaussians_against_the_closed_form_of_two_dimensions():
    c, d = np.array([[2.0, 0.9], [0.9, 1.0]]), np.array([[1.0, -0.4], [-0.4, 3.0]])
    # tr sqrt(M) of a 2 x 2 matrix is sqrt(tr M + 2 sqrt(det M)).
    root = np.sqrt(np.trace(c @ d) + 2 * np.sqrt(np.linalg.det(c @ d)))
    found = frechet_distance(exactly(30, np.zeros(2), c, seed=1), exactly(30, np.zeros(2), d, seed=2))
    assert found == pytest.approx(np.trace(c) + np.trace(d) - 2 * root, rel=1e-9)


def test_frechet_of_one_dimension_and_of_fewer_items_than_dimensions():
    assert frechet_distance(np.array([[0.0], [2.0]]), np.array([[3.0], [5.0]])) == pytest.approx(9)
    few = normal(5, 30, seed=1)
    assert frechet_distance(few, few) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(few, few + 1) == pytest.approx(30, rel=1e-6)


BAD = [
    (np.zeros((0, 3)), np.zeros((4, 3)), "features: 0 rows; give at least 2"),
    (np.zeros((4, 3)), np.zeros((1, 3)), "others: 1 rows; give at least 2"),
    (np.zeros((4, 3)), np.zeros((4, 2)), "shapes differ"),
    (np.zeros((4, 0)), np.zeros((4, 0)), "give features as numbers"),
    (np.zeros((4, 3, 1)), np.zeros((4, 3, 1)), "give features as numbers"),
    (np.array([["a"], ["b"]]), np.zeros((4, 1)), "give features as numbers"),
    (np.array([[1.0], [np.nan]]), np.zeros((4, 1)), "features: some features are not finite"),
]


@pytest.mark.parametrize("distance", [lambda a, b: kernel_distance(a, b, Draws(0)), frechet_distance])
@pytest.mark.parametrize(("features", "others", "message"), BAD)
def test_bad_sets_are_refused(distance, features, others, message):
    with pytest.raises(ValueError, match=message):
        distance(features, others)


@pytest.mark.parametrize("counts", [{"blocks": 0}, {"size": 1}])
def test_no_block_is_refused(counts):
    with pytest.raises(ValueError, match="give at least 1 block of at least 2 items"):
        kernel_distance(np.zeros((4, 3)), np.zeros((4, 3)), Draws(0), **counts)


def test_the_kernel_distance_is_that_of_torchmetrics():
    a, b = normal(60, 12, seed=1), normal(60, 12, seed=2, mean=0.4)
    theirs = poly_mmd(torch.from_numpy(a), torch.from_numpy(b), 3, None, 1.0)
    assert squared_mmd(a, b) == pytest.approx(float(theirs), rel=1e-9)


@pytest.mark.parametrize(("n", "m"), [(80, 70), (80, 6), (7, 9)])  # more items than dimensions, and fewer
def test_the_frechet_distance_is_that_of_scipys_square_root(n, m):
    a, b = normal(n, 10, seed=1), normal(m, 10, seed=2, mean=0.3, std=1.4) @ normal(10, 10, seed=3)
    covariances = [np.cov(rows, rowvar=False) for rows in (a, b)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    means = a.mean(axis=0) - b.mean(axis=0)
    theirs = means @ means + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(
        theirs, rel=1e-9 if min(n, m) > 10 else 1e-5
    )  # their root is singular
