"""A latent space as plain values: what is along the axes, who is in which class, where the grid lies."""

import numpy as np
import pytest

from gen_dist.objectives.latent import Latent
from gen_dist.results.latent_space import COLORS, NO_CLASS, Cloud, plane_of, scatter, view

GENERATOR = np.random.default_rng(0)
STRETCHED = GENERATOR.normal(size=(500, 5)) * [1, 9, 2, 0.1, 0.1]


def cloud(z_NZ: np.ndarray, *labels: int, names: tuple[str, ...] = ()) -> Cloud:
    numbers = np.array(labels) if labels else np.full(len(z_NZ), -1)
    return Cloud(z_NZ.astype(np.float32), numbers, names)


@pytest.mark.parametrize(("values", "dimensions"), [(1, 2), (2, 2), (2, 3), (3, 3)])
def test_few_latent_values_are_shown_as_they_are(values, dimensions):
    shown = view(cloud(STRETCHED[:, :values]), dimensions)
    assert np.array_equal(shown.points, STRETCHED[:, :values].astype(np.float32))
    assert shown.axes == [f"z{number}" for number in range(values)]


def test_many_are_shown_along_their_main_directions():
    shown = view(cloud(STRETCHED), 2)
    assert shown.points.shape == (500, 2)
    assert abs(np.corrcoef(shown.points[:, 0], STRETCHED[:, 1])[0, 1]) > 0.999
    assert abs(np.corrcoef(shown.points[:, 1], STRETCHED[:, 2])[0, 1]) > 0.98
    assert [axis.split(" (")[0] for axis in shown.axes] == ["component 1", "component 2"]
    assert 90 < int(shown.axes[0].split("(")[1].rstrip("%)")) < 98  # 81 of 81 + 4 + 1


def test_points_that_are_all_alike_have_no_variance():
    assert view(cloud(np.ones((4, 5))), 2).axes == ["component 1 (0%)", "component 2 (0%)"]


@pytest.mark.parametrize("dimensions", [2, 3])
def test_each_class_is_a_trace_of_its_own_color(dimensions):
    found = cloud(STRETCHED[:4], 1, -1, 1, 0, names=("cats", "dogs", "none of these"))
    figure = scatter(view(found, dimensions), found, ["a", "b", "c", "d"], "title")
    assert [(trace["name"], trace["text"]) for trace in figure["data"]] == [
        ("cats", ["d"]),
        ("dogs", ["a", "c"]),
        (NO_CLASS, ["b"]),
    ]
    assert [trace["marker"]["color"] for trace in figure["data"]] == list(COLORS[:3])
    assert all(len(trace[letter]) == len(trace["text"]) for trace in figure["data"] for letter in "xyz"[:dimensions])


def test_one_latent_value_is_shown_on_a_line():
    found = cloud(STRETCHED[:4, :1])
    figure = scatter(view(found, 2), found, ["a", "b", "c", "d"], "title")
    assert figure["data"][0]["y"] == [0, 0, 0, 0]


def test_the_grid_lies_in_the_prior_where_that_is_all_and_else_in_the_data():
    flat = plane_of(Latent(2), cloud(STRETCHED[:, :2] + 7))
    assert flat.at(0.5, -1).tolist() == [0.5, -1]
    plane = plane_of(Latent(5), cloud(STRETCHED + 7))
    np.testing.assert_allclose(plane.at(0, 0), 7, atol=1)
    assert abs(plane.at(1, 0) - plane.at(0, 0))[1] == pytest.approx(9, rel=0.1)
