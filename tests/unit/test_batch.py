"""The gather kernel against its naive twin, bit for bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen_dist.kernels.batch import gather
from tests.naive import batch as naive

ALL_PIXELS = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)


@settings(max_examples=80, deadline=None)
@given(
    st.integers(1, 4),
    st.integers(1, 9),
    st.integers(1, 40),
    st.sampled_from([1, 3, 4]),
    st.sampled_from([(-1, 1), (0, 1), (0.1, 0.7)]),
    st.integers(0, 2**32),
)
def test_naive_twin(count, height, width, channels, pixel_range, seed):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, height, width, channels), dtype=np.uint8)
    indices = rng.integers(0, count, 5)
    flips = rng.random((5, 2)) < 0.5
    out = np.full((5, height, width, channels), np.nan, np.float32)
    gather(out, images, indices, np.arange(5), flips, *pixel_range)
    np.testing.assert_array_equal(out, naive.gather(images, indices, flips, *pixel_range))


def test_only_the_named_rows_are_written_each_with_its_own_image_and_flip():
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 5, 3), dtype=np.uint8)
    out = np.full((6, 3, 5, 3), 9, np.float32)
    indices, rows = np.array([3, 0, 3]), np.array([5, 1, 0])
    flips = np.array([[True, False], [False, True], [False, False]])
    gather(out, images, indices, rows, flips, 0.0, 1.0)
    np.testing.assert_array_equal(out[rows], naive.gather(images, indices, flips, 0, 1))
    assert (out[[2, 3, 4]] == 9).all()


@pytest.mark.parametrize("pixel_range", [(-1.0, 1.0), (0.0, 1.0)])
def test_range_ends_are_met_exactly(pixel_range):
    out = np.empty((1, 16, 16, 1), np.float32)
    gather(out, ALL_PIXELS, np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros((1, 2), bool), *pixel_range)
    assert (out.min(), out.max()) == pixel_range
    assert (np.diff(out.ravel()) > 0).all()


def test_a_pixel_gives_the_same_bits_wherever_it_stands():
    """Vectorised body, remainder and the mirrored loop."""
    table = np.empty((1, 16, 16, 1), np.float32)
    zero, no_flip = np.zeros(1, np.int64), np.zeros((1, 2), bool)
    gather(table, ALL_PIXELS, zero, zero, no_flip, -0.3, 0.9)
    for width in (1, 7, 31, 33, 64):
        images = np.random.default_rng(width).integers(0, 256, (1, 2, width, 3), dtype=np.uint8)
        for flips in (no_flip, ~no_flip):
            out = np.empty((1, 2, width, 3), np.float32)
            gather(out, images, zero, zero, flips, -0.3, 0.9)
            mirrored = images[:, ::-1, ::-1] if flips[0, 0] else images
            np.testing.assert_array_equal(out, table.ravel()[mirrored])


def test_a_read_only_memory_map_is_read(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 5, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    out = np.empty((4, 3, 5, 3), np.float32)
    flips = np.zeros((4, 2), bool)
    gather(out, np.load(tmp_path / "images.npy", mmap_mode="r"), np.arange(4), np.arange(4), flips, 0.0, 1.0)
    np.testing.assert_array_equal(out, naive.gather(images, range(4), flips, 0, 1))
