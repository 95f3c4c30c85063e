"""Parts of stored images in a batch: each as `resize` makes it alone."""

import numpy as np
import pytest

from gen_dist.kernels.resize import resize
from gen_dist.kernels.resize_batch import resize_batch
from gen_dist.kernels.taps import FILTERS


@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_each_is_as_resized_alone(filter, channels):
    rng = np.random.default_rng(channels)
    images = rng.integers(0, 256, (5, 20, 30, channels), dtype=np.uint8)
    indices, rows = np.array([4, 0, 4, 2]), np.array([5, 1, 0, 2])
    boxes = np.array([[0, 0, 30, 20], [3.5, 2, 9.25, 19.5], [7, 7, 8, 8], [10, 2, 26, 18]])
    out = np.full((6, 16, 16, channels), 7, np.uint8)
    resize_batch(out, images, indices, rows, boxes, filter=filter)
    expected = np.full_like(out, 7)
    for index, row, box in zip(indices, rows, boxes, strict=True):
        resize(expected[row], images[index], filter=filter, box=box)
    np.testing.assert_array_equal(out, expected)


def test_nothing_is_nothing():
    none = np.empty(0, np.int64)
    resize_batch(np.empty((1, 2, 2, 3), np.uint8), np.empty((1, 2, 2, 3), np.uint8), none, none, np.empty((0, 4)))


GOOD = {
    "out": np.empty((1, 8, 8, 3), np.uint8),
    "images": np.zeros((2, 4, 6, 3), np.uint8),
    "indices": np.zeros(1, np.int64),
    "rows": np.zeros(1, np.int64),
    "boxes": np.array([[0.0, 0.0, 6.0, 4.0]]),
}
BAD = [
    ("out", np.empty((1, 8, 8, 3))),
    ("images", np.zeros((2, 4, 6, 1), np.uint8)),
    ("images", np.zeros((2, 4, 6), np.uint8)),
    ("indices", np.full(1, 2)),
    ("indices", np.full(1, -1)),
    ("rows", np.full(1, 1)),
    ("boxes", np.array([[0.0, 0.0, 6.0, 4.5]])),
    ("boxes", np.array([[0.0, -0.1, 6.0, 4.0]])),
    ("boxes", np.array([[3.0, 0.0, 3.0, 4.0]])),
    ("boxes", np.array([[0.0, 0.0, np.nan, 4.0]])),
    ("boxes", np.array([[np.nan, 0.0, 6.0, 4.0]])),
    ("filter", "sinc"),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_wrong_arguments(name, value):
    resize_batch(**GOOD)
    with pytest.raises(ValueError, match=f"{name}: wants"):
        resize_batch(**GOOD | {name: value})


def test_no_pixels_and_shared_memory_are_refused():
    empty = np.empty((1, 0, 6, 3), np.uint8)
    with pytest.raises(ValueError, match="wants pixels"):
        resize_batch(**GOOD | {"images": empty})
    with pytest.raises(ValueError, match="shares"):
        resize_batch(**GOOD | {"out": GOOD["images"][:1]})
