"""The fused driver: every combination against the naive twin, the same bits however it is called, and its refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen_dist.kernels.affine import FILL_MODES
from gen_dist.kernels.augment import augment, make_scratch
from tests.naive import augment as naive

GUARD = 77


def guarded(shape, dtype):
    """An array between guard bytes, at an address that is a multiple of its item's size only; and a check of them."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.full(size + 256, GUARD, np.uint8)
    start = -memory.ctypes.data % 64 + 68
    memory[start : start + size] = 0

    def check():
        assert (memory[:start] == GUARD).all()
        assert (memory[start + size :] == GUARD).all()

    return memory[start : start + size].view(dtype).reshape(shape), check


def draw(rng, m, stored, height, width):
    """Parameters for m images: m x ... arrays by the names of `augment`."""
    angle, stretch, shift = rng.uniform(-3, 3, m), rng.uniform(0.6, 1.6, (m, 2)), rng.uniform(-9, 9, (m, 2))
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]).transpose(2, 0, 1)
    maps = np.concatenate([rotation * stretch[:, None], shift[:, :, None]], axis=2)
    colors = rng.uniform(0.3, 1.7, (m, 3)).astype(np.float32)
    colors[rng.random((m, 3)) < 0.2] = 1
    return {
        "crops": rng.integers([-2 * height, -2 * width], [stored[0] + height, stored[1] + width], (m, 2)),
        "flips": rng.random((m, 2)) < 0.5,
        "matrices": np.ascontiguousarray(maps),
        "colors": colors,
    }


def naive_batch(images, indices, height, width, fill_mode, fill_value, parameters):
    """Float64, m x h x w x C, in [0, 255]."""
    names = {"crops": "top_left", "flips": "flips", "matrices": "matrix", "colors": "factors"}
    return np.stack(
        [
            naive.augment(
                images[index],
                height,
                width,
                **{names[key]: values[i] for key, values in parameters.items()},
                fill_mode=fill_mode,
                fill_value=fill_value,
            )
            for i, index in enumerate(indices)
        ]
    )


@settings(max_examples=150, deadline=None)
@given(
    st.tuples(st.integers(1, 9), st.integers(1, 40)),
    st.tuples(st.integers(1, 9), st.integers(1, 40)),
    st.sampled_from([1, 3, 4]),
    st.sampled_from(["float32 NHWC", "float32 NCHW", "uint8 NHWC"]),
    st.sampled_from([(-1, 1), (0, 1), (0.1, 0.7)]),
    st.sampled_from(sorted(FILL_MODES)),
    st.sets(st.sampled_from(["crops", "flips", "matrices", "colors"])),
    st.integers(0, 2**32),
)
def test_naive_twin(stored, size, channels, kind, pixel_range, fill_mode, chosen, seed):
    rng = np.random.default_rng(seed)
    height, width = size if "crops" in chosen else stored
    images = rng.integers(0, 256, (3, *stored, channels), dtype=np.uint8)
    parameters = {k: v for k, v in draw(rng, 4, stored, height, width).items() if k in chosen}
    indices, rows = rng.integers(0, 3, 4), rng.permutation(6)[:4]
    dtype, layout = kind.split()
    shape = (6, height, width, channels) if layout == "NHWC" else (6, channels, height, width)
    out, check_guards = guarded(shape, dtype)
    low, high = pixel_range
    options = {"fill_mode": fill_mode, "fill_value": 200, "low": low, "high": high, "layout": layout}
    augment(out, images, indices, rows, **parameters, **options)
    check_guards()
    expected = naive_batch(images, indices, height, width, fill_mode, 200, parameters)
    got = out[rows] if layout == "NHWC" else out[rows].transpose(0, 2, 3, 1)
    if not chosen & {"matrices", "colors"}:
        expected = expected if dtype == "uint8" else naive.normalise(expected, low, high)
        np.testing.assert_array_equal(got, expected)
    elif dtype == "uint8":
        assert np.abs(got - expected).max() <= 0.5 + 2e-3
    else:
        np.testing.assert_allclose(got, naive.normalise(expected, low, high), rtol=0, atol=1e-5)
    assert (np.delete(out, rows, axis=0) == 0).all()


@pytest.mark.parametrize("chosen", [(), ("matrices",), ("colors",), ("crops", "matrices", "colors")])
def test_the_same_bits_in_any_row_chunk_order_and_scratch(chosen):
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (5, 20, 35, 3), dtype=np.uint8)
    parameters = {k: v for k, v in draw(rng, 8, (20, 35), 20, 35).items() if k in (*chosen, "flips")}
    indices, scratch = rng.integers(0, 5, 8), make_scratch(20, 35, 3)
    together = np.empty((8, 20, 35, 3), np.float32)
    augment(together, images, indices, np.arange(8), **parameters)
    apart, _ = guarded((9, 20, 35, 3), np.float32)
    for i in rng.permutation(8):
        one = {key: values[i : i + 1] for key, values in parameters.items()}
        augment(apart, images, indices[i : i + 1], np.array([8 - i]), **one, scratch=scratch)
    np.testing.assert_array_equal(apart[8 - np.arange(8)].view(np.uint32), together.view(np.uint32))


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_identity_map_is_the_straight_path(channels, layout):
    images = np.random.default_rng(channels).integers(0, 256, (1, 7, 19, channels), dtype=np.uint8)
    flips = np.array([[False, False], [True, False], [False, True], [True, True]])
    shape = (4, 7, 19, channels) if layout == "NHWC" else (4, channels, 7, 19)
    straight, through = np.empty(shape, np.float32), np.empty(shape, np.float32)
    arguments = (images, np.zeros(4, np.int64), np.arange(4))
    augment(straight, *arguments, flips=flips, low=-1, layout=layout)
    augment(through, *arguments, flips=flips, low=-1, layout=layout, matrices=np.tile(np.eye(2, 3), (4, 1, 1)))
    np.testing.assert_array_equal(straight, through)


def test_flips_come_after_the_map_and_change_no_bit():
    rng = np.random.default_rng(2)
    images = rng.integers(0, 256, (1, 16, 50, 3), dtype=np.uint8)
    maps = np.repeat(draw(rng, 1, (16, 50), 16, 50)["matrices"], 4, axis=0)
    flips = np.array([[False, False], [True, False], [False, True], [True, True]])
    plain, across, upturned, both = out = np.empty((4, 16, 50, 3), np.float32)
    augment(out, images, np.zeros(4, np.int64), np.arange(4), matrices=maps, flips=flips)
    np.testing.assert_array_equal(across, plain[:, ::-1])
    np.testing.assert_array_equal(upturned, plain[::-1])
    np.testing.assert_array_equal(both, plain[::-1, ::-1])


@pytest.mark.parametrize("pixel_range", [(-1.0, 1.0), (0.0, 1.0), (0.1, 0.7), (-3.3, 0.0)])
def test_range_ends_are_met_exactly_and_the_rest_closely(pixel_range):
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    out = np.empty((1, 16, 16, 1), np.float32)
    low, high = pixel_range
    augment(out, images, np.zeros(1, np.int64), np.zeros(1, np.int64), low=low, high=high)
    values = out.ravel()
    span = np.float32(high) - np.float32(low)
    assert (values[0], values[255]) == (np.float32(low), span + np.float32(low))
    if pixel_range in ((-1.0, 1.0), (0.0, 1.0)):
        assert values[255] == high
    assert (np.diff(values) > 0).all()
    np.testing.assert_allclose(values, np.arange(256) / 255 * (high - low) + low, rtol=0, atol=4e-7)


def test_black_white_and_a_fourth_channel_under_colour():
    images = np.zeros((2, 3, 5, 4), np.uint8)
    images[1] = 255
    images[..., 3] = 128
    colors = np.array([[2, 3, 4], [2, 3, 4]], np.float32)
    out = np.empty((2, 3, 5, 4), np.uint8)
    augment(out, images, np.arange(2), np.arange(2), colors=colors)
    np.testing.assert_array_equal(out, images)


def test_a_read_only_memory_map_is_read(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 5, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    out = np.empty((4, 3, 5, 3), np.uint8)
    augment(out, np.load(tmp_path / "images.npy", mmap_mode="r"), np.arange(4), np.arange(4))
    np.testing.assert_array_equal(out, images)


def test_no_images_wanted():
    out = np.full((2, 4, 4, 3), 9, np.float32)
    augment(out, np.zeros((3, 4, 4, 3), np.uint8), np.empty(0, np.int64), np.empty(0, np.int64))
    assert (out == 9).all()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"out": np.zeros((2, 4, 6, 3))}, "out: wants .*float32.*got float64"),
        ({"out": np.zeros((2, 4, 6, 6), np.float32)[..., ::2]}, "out: .*not contiguous"),
        ({"out": np.zeros((2, 4, 6, 2), np.float32)}, "1, 3 or 4 channels; got 2"),
        (
            {"out": np.zeros((2, 5, 6, 3), np.float32)},
            "images, uncropped: wants .*any × 5 × 6 × 3; got uint8, 3 × 4 × 6",
        ),
        ({"out": np.zeros((2, 3, 4, 6), np.uint8), "layout": "NCHW"}, "out: wants .*float32.*got uint8"),
        ({"images": np.zeros((3, 4, 6, 3), np.float32)}, "images: wants .*uint8.*got float32"),
        ({"images": np.zeros((3, 4, 6, 1), np.uint8)}, "images: wants .*× 3; got uint8, 3 × 4 × 6 × 1"),
        ({"images": np.zeros((0, 4, 6, 3), np.uint8)}, r"indices: wants integers in \[0, 0\)"),
        ({"indices": np.array([0, 3])}, r"indices: wants integers in \[0, 3\); got 0 to 3"),
        ({"indices": np.array([-1, 0])}, "indices: .*got -1 to 0"),
        ({"indices": np.zeros(2, np.int32)}, "indices: wants .*int64.*got int32"),
        ({"rows": np.array([0, 2])}, r"rows: wants integers in \[0, 2\); got 0 to 2"),
        ({"rows": np.zeros(3, np.int64)}, "rows: wants .*int64, 2; got int64, 3"),
        ({"crops": np.array([[0, 0], [0, 2**30]])}, "crops: .*got 0 to 1073741824"),
        ({"flips": np.zeros((2, 2), np.uint8)}, "flips: wants .*bool.*got uint8"),
        ({"matrices": np.zeros((2, 3, 3))}, "matrices: wants .*2 × 2 × 3; got float64, 2 × 3 × 3"),
        ({"matrices": np.full((2, 2, 3), np.nan)}, "matrices: wants places within .*got nan"),
        ({"matrices": np.full((2, 2, 3), 2.0**27)}, "matrices: wants places within"),
        ({"colors": np.full((2, 3), np.nan, np.float32)}, "colors: wants finite"),
        ({"colors": np.full((2, 3), -1, np.float32)}, "colors: .*got -1.0"),
        ({"fill_mode": "mirror"}, "fill_mode: wants one of nearest, reflect, wrap, constant; got 'mirror'"),
        ({"fill_value": 256}, "fill_value: wants an integer in .*got 256"),
        ({"layout": "CHWN"}, "layout: wants one of NHWC, NCHW; got 'CHWN'"),
        ({"scratch": make_scratch(4, 5, 3)}, r"scratch: wants one for \(4, 6, 3\); got one for \(4, 5, 3\)"),
    ],
)
def test_refused(changed, message):
    arguments = {
        "out": np.zeros((2, 4, 6, 3), np.float32),
        "images": np.zeros((3, 4, 6, 3), np.uint8),
        "indices": np.zeros(2, np.int64),
        "rows": np.arange(2),
    }
    with pytest.raises(ValueError, match=message):
        augment(**arguments | changed)
