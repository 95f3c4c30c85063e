"""Random parts of images: the rule, how they are spread, and what is refused."""

import numpy as np
import pytest

from gen_dist.kernels.random_crops import NUMBERS, draw_crops
from tests.naive import augment as naive


def draw(width, height, least=0.5, ratio=4 / 3, count=4000, left=0, top=0, numbers=None):
    """Boxes: float64, count x 4."""
    if numbers is None:
        numbers = np.random.default_rng(width * height).random((count, NUMBERS), np.float32)
    regions = np.tile(np.array([left, top, left + width, top + height], np.float64), (len(numbers), 1))
    boxes = np.empty((len(numbers), 4))
    draw_crops(boxes, numbers, regions, least, ratio)
    return boxes


@pytest.mark.parametrize(("width", "height"), [(178, 218), (64, 64), (500, 20), (3, 400), (1, 1), (2, 1), (65535, 9)])
@pytest.mark.parametrize(("least", "ratio"), [(0.08, 4 / 3), (0.5, 1.0), (0.9, 4 / 3), (1.0, 1.2), (1e-9, 16.0)])
def test_it_is_the_rule_of_the_docstring(width, height, least, ratio):
    numbers = np.random.default_rng(width).random((300, NUMBERS), np.float32)
    numbers[0], numbers[1] = 0, np.nextafter(np.float32(1), np.float32(0))
    boxes = draw(width, height, least, ratio, left=5, top=7, numbers=numbers)
    for box, row in zip(boxes, numbers.astype(np.float64), strict=True):
        assert tuple(box) == naive.crop_box(5, 7, width, height, row, least, ratio)
    assert (boxes[:, :2] >= (5, 7)).all()
    assert (boxes[:, 2:] <= (5 + width, 7 + height)).all()
    assert (boxes[:, 2:] - boxes[:, :2] >= 1).all()


def test_areas_aspects_and_places_are_spread_evenly():
    boxes = draw(1000, 1000, least=0.25)
    sides = boxes[:, 2:] - boxes[:, :2]
    area, aspect = sides.prod(axis=1) / 1e6, np.log(sides[:, 0] / sides[:, 1]) / np.log(4 / 3)
    assert area.min() >= 0.249
    assert np.abs(aspect).max() <= 1.02
    small = area < 0.56  # all of them fit at the first try: 3/4 < sqrt(0.5625)
    counts, _ = np.histogram(area[small], 4, (0.25, 0.56))
    assert np.abs(counts / counts.mean() - 1).max() < 0.15
    counts, _ = np.histogram(aspect[small], 4, (-1, 1))
    assert np.abs(counts / counts.mean() - 1).max() < 0.15
    place = boxes[:, :2] / (1000 - sides + 1)
    assert np.abs(place.mean(0) - 0.5).max() < 0.02
    assert abs(np.corrcoef(place.T)[0, 1]) < 0.05


def test_a_part_that_never_fits_is_the_central_one():
    np.testing.assert_array_equal(draw(400, 100, least=0.9, ratio=1.5, count=3), [[125, 0, 275, 100]] * 3)
    np.testing.assert_array_equal(draw(100, 401, least=0.9, ratio=1.5, count=3), [[0, 125, 100, 275]] * 3)
    np.testing.assert_array_equal(draw(3, 1, least=1.0, ratio=1.0, count=3), [[1, 0, 2, 1]] * 3)


GOOD = {
    "boxes": np.empty((2, 4)),
    "numbers": np.zeros((2, NUMBERS), np.float32),
    "regions": np.array([[0.0, 0, 4, 5]] * 2),
    "least": 0.5,
    "ratio": 1.5,
}
BAD = [
    ("boxes", np.empty((2, 3))),
    ("numbers", np.zeros((1, NUMBERS), np.float32)),
    ("numbers", np.ones((2, NUMBERS), np.float32)),
    ("numbers", np.full((2, NUMBERS), np.nan, np.float32)),
    ("regions", np.zeros((2, 4))),
    ("regions", np.full((2, 4), np.inf)),
    ("least", 0.0),
    ("least", 1.1),
    ("ratio", 0.9),
    ("ratio", np.inf),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_wrong_arguments(name, value):
    draw_crops(**GOOD)
    with pytest.raises(ValueError, match=f"{name}.*: wants?"):
        draw_crops(**GOOD | {name: value})
