"""Affine matrices and sampling: against golden values of keras-preprocessing, and against the naive twin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen_dist.kernels.affine import FARTHEST, FILL_MODES, matrices
from gen_dist.kernels.augment import augment
from tests.naive import augment as naive

# apply_affine_transform of keras-preprocessing 1.1.2 over scipy 1.17.1, its centre moved to size / 2 - 0.5: theta=25,
# tx=0.3 * 4, ty=-0.2 * 5, shear=12, zx=1.4, zy=0.8, cval=9. benchmarks/keras_affine.py compares many more.
GOLDEN_PARAMETERS = (25.0, 0.3, -0.2, 12.0, 1.4, 0.8)
GOLDEN_IMAGE = [[0, 37, 148, 82, 90], [172, 77, 56, 109, 236], [186, 210, 57, 229, 224], [42, 185, 151, 191, 54]]
GOLDEN = {
    "nearest": [
        [175.942, 178.378, 114.808, 72.036, 133.935],
        [45.887, 146.494, 167.579, 64.694, 115.937],
        [130.496, 176.236, 154.513, 172.423, 186.522],
        [177.842, 156.12, 170.533, 173.568, 86.038],
    ],
    "reflect": [
        [175.942, 178.378, 114.808, 72.036, 133.935],
        [45.887, 146.494, 167.579, 64.694, 115.937],
        [173.238, 175.521, 154.513, 172.423, 186.522],
        [85.59, 71.794, 143.55, 197.239, 86.038],
    ],
    "wrap": [
        [220.153, 178.378, 114.808, 72.036, 133.935],
        [58.043, 146.494, 167.579, 64.694, 115.937],
        [166.453, 84.063, 86.019, 108.04, 186.522],
        [177.836, 110.082, 135.876, 169.742, 200.455],
    ],
    "constant": [
        [9.0, 178.378, 114.808, 72.036, 133.935],
        [9.0, 146.494, 167.579, 64.694, 115.937],
        [9.0, 9.0, 9.0, 9.0, 186.522],
        [9.0, 9.0, 9.0, 9.0, 9.0],
    ],
}


def matrix_of(parameters, height, width):
    return matrices(*(np.array([value], np.float64) for value in parameters), height, width)


def mapped(images, maps, **options):
    """Float32 in [0, 255], one output for each map."""
    n = len(maps)
    out = np.empty((n, *images.shape[1:]), np.float32)
    augment(out, images, np.zeros(n, np.int64), np.arange(n), matrices=maps, low=0, high=255, **options)
    return out


@pytest.mark.parametrize("fill_mode", FILL_MODES)
def test_golden_values_of_keras(fill_mode):
    image = np.array(GOLDEN_IMAGE, np.uint8)[None, :, :, None]
    maps = matrix_of(GOLDEN_PARAMETERS, 4, 5)
    out = mapped(image, maps, fill_mode=fill_mode, fill_value=9)
    np.testing.assert_allclose(out[0, :, :, 0], GOLDEN[fill_mode], atol=1e-3)
    np.testing.assert_allclose(naive.affine(image[0], maps[0], fill_mode, 9)[..., 0], GOLDEN[fill_mode], atol=1e-3)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 14),
    st.integers(1, 80),
    st.sampled_from([1, 3, 4]),
    st.sampled_from(sorted(FILL_MODES)),
    st.sampled_from([0.2, 1, 5]),
    st.integers(0, 2**32),
)
def test_sampling_agrees_with_the_naive_twin(height, width, channels, fill_mode, strength, seed):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (1, height, width, channels), dtype=np.uint8)
    angles = rng.uniform(-40, 40, 2) * strength
    shifts, zooms = rng.uniform(-0.4, 0.4, 2) * strength, rng.uniform(0.7, 1.4, 2) ** strength
    maps = matrix_of((angles[0], *shifts, angles[1], *zooms), height, width)
    got = mapped(image, maps, fill_mode=fill_mode, fill_value=33)[0]
    np.testing.assert_allclose(got, naive.affine(image[0], maps[0], fill_mode, 33), atol=1e-3)


@pytest.mark.parametrize("fill_mode", FILL_MODES)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (5, 1), (9, 33)])
def test_any_integer_shift_takes_whole_pixels(height, width, fill_mode):
    """Exact values, borders included, as far as three images away."""
    image = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
    shifts = np.array([(y, x) for y in range(-3 * height, 3 * height + 1) for x in (-2 * width - 1, -width, -1, 0, 1)])
    maps = np.tile(np.eye(2, 3), (len(shifts), 1, 1))
    maps[:, :, 2] = shifts
    for got, one in zip(mapped(image, maps, fill_mode=fill_mode, fill_value=7), maps, strict=True):
        np.testing.assert_array_equal(got, naive.normalise(naive.affine(image[0], one, fill_mode, 7), 0, 255))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 2**32))
def test_matrices_agree_with_the_naive_twin(height, width, seed):
    rng = np.random.default_rng(seed)
    parameters = rng.uniform([-400, -1, -1, -90, 0.1, 0.1], [400, 1, 1, 90, 3, 3], (5, 6))
    got = matrices(*np.ascontiguousarray(parameters.T), height, width)
    for row, one in zip(parameters, got, strict=True):
        np.testing.assert_allclose(one, naive.matrix(*row, height, width), atol=1e-12 * (height + width))


def test_parameters_that_change_nothing_give_exactly_the_identity():
    zeros, ones = np.zeros(2), np.ones(2)
    for height, width in ((64, 64), (1, 1), (37, 218)):
        got = matrices(zeros, zeros, zeros, zeros, ones, ones, height, width)
        np.testing.assert_array_equal(got, np.tile(np.eye(2, 3), (2, 1, 1)))


def test_a_place_as_far_as_allowed_is_folded_without_overflow():
    image = np.random.default_rng(0).integers(0, 256, (1, 6, 5, 1), dtype=np.uint8)
    for sign in (-1, 1):
        maps = np.array([[[0, 0, sign * (FARTHEST - 1)], [FARTHEST / 16, -FARTHEST / 16, 0]]])
        for fill_mode in FILL_MODES:
            got = mapped(image, maps, fill_mode=fill_mode)
            np.testing.assert_allclose(got[0], naive.affine(image[0], maps[0], fill_mode, 0), atol=1e-3)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"theta": np.zeros(2, np.float32)}, "theta: wants .*float64.*got float32"),
        ({"shear": np.zeros(3)}, "shear: wants .*float64, 2; got float64, 3"),
        ({"zoom_columns": np.zeros(4)[::2]}, "zoom_columns: .*not contiguous"),
        ({"theta": np.array([0, np.nan])}, "theta: wants degrees"),
        ({"shear": np.array([-1e6, 0])}, "shear: wants degrees"),
    ],
)
def test_refused(changed, message):
    names = ("theta", "row_shift", "column_shift", "shear", "zoom_rows", "zoom_columns")
    with pytest.raises(ValueError, match=message):
        matrices(**{name: np.zeros(2) for name in names} | changed, height=4, width=4)
