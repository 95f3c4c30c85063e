"""Resize against Pillow, against the float twin, and at the edges of its buffers."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from gen_dist.kernels.resampling import resample, resample_scratch
from gen_dist.kernels.resize import resize, resize_cropped, scratch_length
from gen_dist.kernels.taps import BILINEAR, FILTERS, HIGH, LOW, fill_taps, taps_length
from tests.naive import resize as naive

PILLOW = {name: getattr(Image.Resampling, name.upper()) for name in FILTERS}
GUARD = 171

side = st.one_of(st.integers(1, 6), st.integers(1, 40), st.integers(1, 150))
filters = st.sampled_from(list(FILTERS))


def picture(height, width, channels, kind, seed):
    """Noise; extremes, which overshoot most; few levels, which meet half-way values; a constant."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return {
        "noise": pixels,
        "extremes": np.where(pixels > 127, np.uint8(255), np.uint8(0)),
        "levels": pixels // np.uint8(86),
        "constant": np.full_like(pixels, seed % 256),
    }[kind]


pictures = st.builds(
    picture,
    side,
    side,
    st.integers(1, 4),
    st.sampled_from(["noise", "extremes", "levels", "constant"]),
    st.integers(0, 2**32),
)


@st.composite
def boxes(draw, image):
    """Whole, fractional and narrow ones."""
    spans = []
    for length in (image.shape[1], image.shape[0]):
        position = st.one_of(st.integers(0, length).map(float), st.floats(0, length, width=32))
        low, high = sorted((draw(position), draw(position)))
        assume(low < high)
        spans.append((low, high))
    return spans[0][0], spans[1][0], spans[0][1], spans[1][1]


def resized(image, height, width, **options):
    out = np.full((height, width, image.shape[2]), GUARD, np.uint8)
    resize(out, image, **options)
    return out


def by_pillow(image, height, width, filter, box=None):
    """Band by band: Pillow multiplies alpha into RGBA."""
    bands = [Image.fromarray(np.ascontiguousarray(image[..., c])) for c in range(image.shape[2])]
    return np.stack([np.asarray(band.resize((width, height), PILLOW[filter], box)) for band in bands], axis=-1)


def assert_within(got, want, most):
    assert np.abs(got.astype(np.float64) - want).max() <= most


@settings(max_examples=400, deadline=None)
@given(st.data(), pictures, side, side, filters)
def test_pillow(data, image, height, width, filter):
    assert_within(resized(image, height, width, filter=filter), by_pillow(image, height, width, filter), 1)
    box = data.draw(boxes(image))
    got = resized(image, height, width, filter=filter, box=box)
    assert_within(got, by_pillow(image, height, width, filter, box), 1)


@settings(max_examples=150, deadline=None)
@given(st.data(), pictures, side, side, filters)
def test_naive_twin(data, image, height, width, filter):
    box = data.draw(boxes(image))
    got = resized(image, height, width, filter=filter, box=box)
    # Half a level a rounding: one for filters without negative weights, two and what the lobes make of them else.
    most = 1.5 if filter in ("bicubic", "lanczos") else 0.6
    assert_within(got, naive.resize(image, height, width, filter, box), most)


@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize("sizes", [(1500, 3, 2, 3), (3, 1500, 5, 1), (300, 290, 7, 9), (260, 3, 130, 40)], ids=str)
def test_many_taps(filter, sizes):
    """More than one instruction block takes, and weights of more bits; several bands of rows."""
    in_height, in_width, height, width = sizes
    image = picture(in_height, in_width, 3, "noise", 5)
    assert_within(resized(image, height, width, filter=filter), by_pillow(image, height, width, filter), 1)


@pytest.mark.parametrize("filter", FILTERS)
def test_the_same_size_and_whole_pixel_boxes_are_copies(filter):
    image = picture(20, 30, 3, "noise", 0)
    np.testing.assert_array_equal(resized(image, 20, 30, filter=filter), image)
    crop = resized(image, 6, 9, filter=filter, box=(2, 3, 11, 9))
    np.testing.assert_array_equal(crop, image[3:9, 2:11])


@settings(max_examples=60, deadline=None)
@given(side, side, side, side, filters, st.integers(0, 255))
def test_a_constant_stays(in_height, in_width, height, width, filter, level):
    image = np.full((in_height, in_width, 1), level, np.uint8)
    assert (resized(image, height, width, filter=filter) == level).all()


@settings(max_examples=60, deadline=None)
@given(pictures, side, side, filters)
def test_channels_are_independent_and_mirrors_mirror(image, height, width, filter):
    whole = resized(image, height, width, filter=filter)
    for c in range(image.shape[2]):
        alone = resized(np.ascontiguousarray(image[..., c : c + 1]), height, width, filter=filter)
        np.testing.assert_array_equal(alone[..., 0], whole[..., c])
    if filter not in ("nearest", "box"):  # ties go one way there
        mirrored = resized(np.ascontiguousarray(image[::-1, ::-1]), height, width, filter=filter)
        assert_within(mirrored[::-1, ::-1], whole, 1)


@settings(max_examples=80, deadline=None)
@given(st.data(), pictures, side, side, filters, st.integers(0, 9))
def test_nothing_is_written_beside_the_rows(data, image, height, width, filter, gap):
    """Output rows apart, source rows apart with other pixels between, scratch of exactly the length asked for."""
    in_height, in_width, channels = image.shape
    x0, y0, x1, y1 = data.draw(boxes(image))
    tables = []
    for in_size, out_size, low, high in ((in_width, width, x0, x1), (in_height, height, y0, y1)):
        table = np.full(taps_length(in_size, out_size, low, high, FILTERS[filter]) + 1, 77, np.int32)
        fill_taps(table[:-1], in_size, out_size, low, high, FILTERS[filter])
        assert table[-1] == 77
        tables.append(table)
    canvas = np.random.default_rng(gap).integers(0, 256, (in_height, in_width * channels + gap), dtype=np.uint8)
    canvas[:, : in_width * channels] = image.reshape(in_height, -1)
    canvas.flags.writeable = False  # as `resize` passes it: one compiled version
    out = np.full((height + 2, width * channels + gap), GUARD, np.uint8)
    scratch = np.full(resample_scratch(channels, in_width, in_height, width) + 64, GUARD, np.uint8)
    stride = out.shape[1]
    resample(out.reshape(-1), stride, stride, canvas.reshape(-1), 0, canvas.shape[1], channels, *tables, scratch[:-64])
    want = resized(image, height, width, filter=filter, box=(x0, y0, x1, y1))
    np.testing.assert_array_equal(out[1:-1, : width * channels].reshape(want.shape), want)
    assert (out[[0, -1]] == GUARD).all()
    assert (out[:, width * channels :] == GUARD).all()
    assert (scratch[-64:] == GUARD).all()


def test_a_table_says_which_samples_are_read():
    table = np.empty(taps_length(100, 4, 20.0, 60.0, BILINEAR), np.int32)
    fill_taps(table, 100, 4, 20.0, 60.0, BILINEAR)
    assert (table[LOW], table[HIGH]) == (15, 65)
    image = picture(100, 100, 1, "noise", 0)
    outside = image.copy()
    outside[:15] = outside[65:] = 0
    box = (20, 20, 60, 60)
    want, got = (resized(pixels, 4, 4, filter="bilinear", box=box) for pixels in (image, outside))
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("filter", FILTERS)
def test_cropped(filter):
    image = picture(50, 71, 3, "noise", 1)
    out = np.full((24, 20, 3), GUARD, np.uint8)
    resize_cropped(out, image, mode="center", filter=filter)
    crop = Image.fromarray(image).crop((14, 0, 56, 50))
    assert_within(out, np.asarray(crop.resize((20, 24), PILLOW[filter])), 1)
    resize_cropped(out, image, mode="box", filter=filter, box=(1, 2, 30, 40))
    crop = Image.fromarray(image).crop((1, 2, 31, 42))
    assert_within(out, np.asarray(crop.resize((20, 24), PILLOW[filter])), 1)
    resize_cropped(out, image, mode="stretch", filter=filter)
    np.testing.assert_array_equal(out, resized(image, 24, 20, filter=filter))
    small = resized(image, 14, 20, filter=filter)
    resize_cropped(out, image, mode="pad", filter=filter, fill=(1, 2, 3))
    np.testing.assert_array_equal(out[5:19], small)
    assert (out[:5] == (1, 2, 3)).all()
    assert (out[19:] == (1, 2, 3)).all()
    resize_cropped(out, image, mode="fit", filter=filter, fill=9)
    np.testing.assert_array_equal(out[:14], small)
    assert (out[14:] == 9).all()


def test_a_read_only_image_and_given_scratch():
    image = picture(40, 30, 3, "noise", 2)
    want = resized(image, 8, 9, filter="lanczos")
    image.flags.writeable = False
    out = np.empty((8, 9, 3), np.uint8)
    scratch = np.full(scratch_length(out, image), GUARD, np.uint8)
    resize(out, image, filter="lanczos", scratch=scratch)
    np.testing.assert_array_equal(out, want)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": np.zeros((4, 4, 3), np.float32)}, "image: wants a contiguous array of uint8.*got float32"),
        ({"image": np.zeros((4, 4), np.uint8)}, "image: wants .* any × any × any; got uint8, 4 × 4"),
        ({"image": np.zeros((4, 8, 3), np.uint8)[:, ::2]}, "image: .*not contiguous"),
        ({"image": np.zeros((4, 4, 4), np.uint8)}, "out: wants .* any × any × 4; got uint8, 2 × 2 × 3"),
        ({"image": np.zeros((4, 4, 5), np.uint8), "out": np.zeros((2, 2, 5), np.uint8)}, "1 to 4 channels; got 5"),
        ({"image": np.zeros((0, 4, 3), np.uint8)}, "sides of at least one pixel; got 0 × 4 to 2 × 2"),
        ({"out": np.zeros((2, 0, 3), np.uint8)}, "sides of at least one pixel; got 4 × 4 to 2 × 0"),
        ({"out": np.frombuffer(bytes(12), np.uint8).reshape(2, 2, 3)}, "out: wants .*writeable.*read-only"),
        ({"filter": "cubic"}, "filter: 'cubic'; must be one of nearest, box, bilinear, hamming, bicubic, lanczos"),
        ({"scratch": np.zeros(10, np.uint8)}, "scratch: wants at least .* bytes; got 10"),
        ({"scratch": np.zeros(10000, np.int8)}, "scratch: wants .*uint8.*got int8"),
        ({"box": (0, 0, 5, 4)}, r"box: \(0, 0, 5, 4\) is empty or not within the image of 4×4 pixels"),
        ({"box": (0, 2, 4, 2)}, "is empty or not within"),
        ({"box": (0, 0, float("nan"), 4)}, "must be four numbers"),
        ({"box": (0, 0, 4)}, "must be four numbers"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    arguments = {"out": np.zeros((2, 2, 3), np.uint8), "image": np.zeros((4, 4, 3), np.uint8), "filter": "box"}
    arguments |= change
    with pytest.raises(ValueError, match=message):
        resize(arguments.pop("out"), arguments.pop("image"), **arguments)


def test_overlapping_memory_and_a_fill_out_of_range_are_refused():
    memory = np.zeros((8, 4, 3), np.uint8)
    with pytest.raises(ValueError, match="out: wants memory of its own"):
        resize(memory[2:6], memory[:4], filter="box")
    for fill in (256, -1, (1, 2), 0.5):
        with pytest.raises(ValueError, match="fill: .*0 to 255, or one for each of 3 channels"):
            resize_cropped(memory[4:], memory[:4].copy(), mode="pad", filter="box", fill=fill)
