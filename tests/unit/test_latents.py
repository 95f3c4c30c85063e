"""Latents that commands show: each depends on its own position; ways keep to arcs or lines; planes fit the data."""

from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen_dist.objectives.latent import Latent
from gen_dist.results.latents import (
    Plane,
    draw_latents,
    interpolate,
    principal_components,
    prior_plane,
    quantiles,
    through,
)

LATENTS = [Latent(5), Latent(5, "uniform")]
NORMAL = NormalDist()


def positions(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


@pytest.mark.parametrize("latent", LATENTS)
@pytest.mark.parametrize("truncation", [None, 0.7])
def test_a_latent_depends_on_seed_and_position_only(latent, truncation):
    together = draw_latents(latent, 3, positions(0, 1, 2, 9), truncation)
    assert together.shape == (4, 5)
    assert together.dtype == np.float32
    assert np.array_equal(together[3:], draw_latents(latent, 3, positions(9), truncation))
    assert not np.array_equal(together, draw_latents(latent, 4, positions(0, 1, 2, 9), truncation))


@pytest.mark.parametrize("limit", [0.2, 1.0, 5.0])
def test_truncated_values_are_of_the_normal_distribution_cut_off_there(limit):
    values = draw_latents(Latent(50), 0, np.arange(100), limit).ravel()
    assert np.abs(values).max() <= limit
    below, above = NORMAL.cdf(-limit), NORMAL.cdf(limit)
    assert farthest(values, lambda x: (NORMAL.cdf(x) - below) / (above - below)) < 0.03
    assert farthest(values, NORMAL.cdf) > 0.1 or limit > 3  # and not just the normal one


def farthest(values: np.ndarray, share_below: Callable[[float], float]) -> float:
    """How far the values' distribution is from another one (Kolmogorov and Smirnov)."""
    expected = [share_below(value) for value in sorted(values.tolist())]
    return np.abs(np.array(expected) - np.arange(len(values)) / len(values)).max()


def test_truncated_uniform_values_are_scaled():
    latent = Latent(5, "uniform")
    whole, half = (draw_latents(latent, 0, positions(1), truncation) for truncation in (None, 0.5))
    assert np.array_equal(whole / 2, half)


@given(st.integers(0, 99), st.integers(2, 20), st.booleans())
def test_a_way_begins_and_ends_at_its_points(seed, steps, spherical):
    a, b = np.random.default_rng(seed).normal(size=(2, 6)).astype(np.float32)
    way = interpolate(a, b, steps, spherical)
    assert way.shape == (steps, 6)
    np.testing.assert_allclose(way[[0, -1]], [a, b], rtol=1e-5, atol=1e-6)


def test_an_arc_keeps_its_length_and_turns_evenly_and_a_line_does_not():
    a, b = np.array([3.0, 0, 0], np.float32), np.array([0, 3.0, 0], np.float32)
    arc, line = (interpolate(a, b, 7, spherical) for spherical in (True, False))
    np.testing.assert_allclose(np.linalg.norm(arc, axis=1), 3, rtol=1e-6)
    np.testing.assert_allclose((arc[1:] * arc[:-1]).sum(1) / 9, np.cos(np.pi / 12), rtol=1e-6)
    np.testing.assert_allclose(line[3], [1.5, 1.5, 0])


@pytest.mark.parametrize("b", [[2.0, 0.0], [-2.0, 0.0], [0.0, 0.0]])
def test_an_arc_between_points_that_have_none_is_a_line(b):
    a, b = np.array([1.0, 0.0], np.float32), np.array(b, np.float32)
    assert np.array_equal(interpolate(a, b, 5, True), interpolate(a, b, 5, False))


def test_a_way_through_points_returns_without_a_pause():
    points = np.eye(3, dtype=np.float32)
    way = through(list(points), 4, spherical=False)
    assert len(way) == 12
    np.testing.assert_allclose(way[::4], points)
    assert len(np.unique(way, axis=0)) == 12


def test_quantiles_divide_the_normal_distribution_evenly():
    np.testing.assert_allclose([NORMAL.cdf(value) for value in quantiles(4)], [0.125, 0.375, 0.625, 0.875])


def test_a_grid_goes_right_with_x_and_down_with_falling_y():
    grid = prior_plane(Latent(3)).grid(3)
    assert grid.shape == (9, 3)
    assert grid[4].tolist() == [0, 0, 0]
    assert (grid[2, 0] > 0, grid[2, 1] > 0, grid[6, 0] < 0, grid[6, 1] < 0) == (True,) * 4
    assert not grid[:, 2].any()


def test_principal_components_find_the_directions_that_data_vary_along():
    generator = np.random.default_rng(0)
    known = np.linalg.qr(generator.normal(size=(4, 4)))[0]
    z = (generator.normal(size=(5000, 4)) * [5, 2, 0.1, 0.1]) @ known + 7
    center, directions, deviations = principal_components(z.astype(np.float32), 2)
    np.testing.assert_allclose(center, z.mean(0), rtol=1e-4)
    np.testing.assert_allclose(np.abs((directions * known[:2]).sum(1)), 1, atol=1e-3)
    np.testing.assert_allclose(deviations, [5, 2], rtol=0.05)
    assert (np.take_along_axis(directions, np.abs(directions).argmax(1)[:, None], 1) > 0).all()
    plane = Plane(center, directions, deviations)
    np.testing.assert_allclose(plane.at(1, 0) - plane.at(0, 0), 5 * directions[0], rtol=0.05, atol=1e-3)
