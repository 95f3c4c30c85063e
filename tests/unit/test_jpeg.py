"""The JPEG decoder against its naive twin, libjpeg-turbo (simplejpeg) and Pillow."""

import io

import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gen_dist.kernels import jpeg
from gen_dist.kernels.jpeg import JpegHeader, decode, decode_batch, decode_resized, read_header
from gen_dist.kernels.limits import DecodeError, Limits, UnsupportedError
from tests.jpegs import FACTORS, PLAIN, WHOLE, encoded, segment
from tests.naive import jpeg as naive

SCRATCH = jpeg.make_scratch()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 70),
    st.integers(1, 70),
    st.sampled_from([*FACTORS, "grey"]),
    st.integers(10, 100),
    st.integers(0, 5),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_full_size_is_that_of_libjpeg(width, height, sampling, quality, restart, optimize, seed):
    options = {} if sampling == "4:4:0" else {"restart_marker_blocks": restart, "optimize": optimize}
    data = encoded(width, height, sampling, quality, seed, **options)
    colours = "GRAY" if sampling == "grey" else "RGB"
    wanted = simplejpeg.decode_jpeg(data, colours, fastdct=False, fastupsample=False)
    difference = np.abs(decode(data, scratch=SCRATCH).astype(int) - wanted)
    assert difference.max() <= 2
    assert difference.mean() <= 0.5


@pytest.mark.parametrize("sampling", [*FACTORS, "grey"])
@pytest.mark.parametrize("width", [127, 130, 255, 260, 600])
def test_wide_images(sampling, width):
    """More blocks in a row than are transformed at once."""
    data = encoded(width, 20, sampling, 90)
    colours = "GRAY" if sampling == "grey" else "RGB"
    wanted = simplejpeg.decode_jpeg(data, colours, fastdct=False, fastupsample=False)
    assert np.abs(decode(data, scratch=SCRATCH).astype(int) - wanted).max() <= 2
    whole, part = np.empty((20, width, 3), np.uint8), np.empty((8, width - 100, 3), np.uint8)
    decode_resized(whole, data, reduce=1, scratch=SCRATCH)
    decode_resized(part, data, box=(70, 6, width - 30, 14), reduce=1, scratch=SCRATCH)
    assert np.abs(whole[6:14, 70 : width - 30].astype(int) - part).max() <= 1


@pytest.mark.parametrize("sampling", [*FACTORS, "grey"])
@pytest.mark.parametrize("reduction", [1, 2, 4, 8])
def test_naive_twin(sampling, reduction):
    """A grey output is the first plane, so the resized plane of the same size is the transform's own output."""
    data = encoded(48, 32, sampling, 90)
    plane = naive.reduce(naive.planes(data)[0][0], reduction)
    out = np.empty((32 // reduction, 48 // reduction, 1), np.uint8)
    decode_resized(out, data, reduce=reduction, scratch=SCRATCH)
    difference = np.abs(np.clip(plane, 0, 255) - out[..., 0])
    assert difference.max() <= 1
    assert difference.mean() <= 0.5


@settings(max_examples=40, deadline=None)
@given(
    st.integers(48, 120),
    st.integers(48, 120),
    st.sampled_from([*FACTORS, "grey"]),
    st.sampled_from(["bilinear", "bicubic"]),
    st.tuples(st.floats(0, 0.4), st.floats(0, 0.4), st.floats(0.6, 1), st.floats(0.6, 1)),
    st.integers(0, 2**32),
)
def test_resized_is_near_pillow_at_full_size(width, height, sampling, filter, part, seed):
    data = encoded(width, height, sampling, 90, seed)
    box = (part[0] * width, part[1] * height, part[2] * width, part[3] * height)
    out = np.empty((20, 24, 3), np.uint8)
    decode_resized(out, data, box=box, filter=filter, reduce=1, scratch=SCRATCH)
    full = Image.open(io.BytesIO(data)).convert("RGB")
    wanted = full.resize((24, 20), getattr(Image.Resampling, filter.upper()), box)
    assert np.abs(np.asarray(wanted) - out.astype(float)).mean() < 3.0


@pytest.mark.parametrize("sampling", [*FACTORS, "grey"])
@pytest.mark.parametrize("reduction", [None, 1, 2, 4])
def test_a_crop_is_that_of_the_whole(sampling, reduction):
    """Decoding only the MCUs that a box needs changes nothing: a table of taps at scale 1 copies."""
    data, factor = encoded(104, 96, sampling), reduction or 1
    whole = np.empty((96 // factor, 104 // factor, 3), np.uint8)
    decode_resized(whole, data, reduce=factor, scratch=SCRATCH)
    out = np.empty((24 // factor, 32 // factor, 3), np.uint8)
    decode_resized(out, data, box=(40, 48, 72, 72), reduce=reduction, scratch=SCRATCH)
    inner = np.abs(whole[48 // factor :, 40 // factor :][: 24 // factor, : 32 // factor].astype(int) - out)
    assert inner[1:-1, 1:-1].max() <= 1


def test_headers_of_a_batch():
    block = b"Exif\0\0MM\0*" + bytes(8)
    with_exif = WHOLE[:2] + segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0") + segment(0xE1, block) + WHOLE[2:]
    files = [WHOLE, b"", encoded(7, 9, "grey"), with_exif, encoded(50, 40, progressive=True), WHOLE[:100]]
    blob, offsets = np.frombuffer(b"".join(files), np.uint8), np.cumsum([0, *map(len, files)])
    headers = jpeg.read_headers(blob, offsets, scratch=SCRATCH)
    for i, data in enumerate(files):
        if headers.statuses[i]:
            with pytest.raises(
                type(jpeg.error_for(headers.statuses[i])), match=str(jpeg.error_for(headers.statuses[i]))
            ):
                read_header(data)
        else:
            header = read_header(data)
            found = headers.widths[i], headers.heights[i], headers.components[i]
            assert found == (header.width, header.height, header.components)
    assert [bool(status) for status in headers.statuses] == [False, True, False, False, True, True]
    begin, end = headers.exif[3]
    assert with_exif[begin:end] == block[6:]
    assert headers.exif[[0, 2]].tolist() == [[0, 0], [0, 0]]
    assert headers.other_metadata.tolist()[:4] == [False, False, False, True]
    limited = jpeg.read_headers(blob, offsets, Limits(side=39))
    assert (limited.widths[0], limited.heights[0]) == (40, 24)  # for the message
    assert str(jpeg.error_for(limited.statuses[0])) == "a side of more pixels than the limit"


def test_each_image_has_a_reduction():
    files = [encoded(200, 160, s, 85, i) for i, s in enumerate([*FACTORS, "grey"])]
    blob, offsets, statuses = (
        np.frombuffer(b"".join(files), np.uint8),
        np.cumsum([0, *map(len, files)]),
        np.zeros(5, "i4"),
    )
    out = np.empty((5, 16, 18, 3), np.uint8)
    reductions = [1, 2, 4, 0, 8]
    decode_batch(out, blob, offsets, statuses, filter="lanczos", reduce=np.array(reductions))
    for image, data, reduction in zip(out, files, reductions, strict=True):
        alone = np.empty((16, 18, 3), np.uint8)
        decode_resized(alone, data, filter="lanczos", reduce=reduction or None)
        np.testing.assert_array_equal(image, alone)


@pytest.mark.parametrize("filter", ["lanczos", "bicubic", "bilinear"])
@pytest.mark.parametrize("sampling", [*FACTORS, "grey"])
def test_planes_resized_together_are_each_resized(sampling, filter):
    """Of a grey output only the luma is resized; in colour it may be resized together with chroma."""
    data = encoded(120, 90, sampling, 90)
    for reduction in (1, 2):
        grey, colour = np.empty((20, 24, 1), np.uint8), np.empty((20, 24, 3), np.uint8)
        for out in (grey, colour):
            decode_resized(out, data, filter=filter, reduce=reduction, box=(3, 5, 101.5, 84))
        luma = colour.astype(np.int32) @ [19595, 38470, 7471] + 32768 >> 16
        inside = ((colour > 0) & (colour < 255)).all(2)  # where no colour was clipped
        assert inside.mean() > 0.5
        assert np.abs(luma - grey[..., 0])[inside].max() <= 1


def test_a_batch_is_its_images_and_failures_are_zero():
    files = [encoded(50, 40, s, 85, i) for i, s in enumerate([*FACTORS, "grey"])]
    files[1:1] = [b"", files[0][:-20], encoded(50, 40, progressive=True)]
    blob, offsets = np.frombuffer(b"".join(files), np.uint8), np.cumsum([0, *map(len, files)])
    boxes = np.tile([1.5, 2.0, 41.0, 39.0], (8, 1))
    boxes[6, 0] = np.nan
    for dtype in (np.uint8, np.float32):
        out, statuses = np.full((8, 16, 18, 3), 7, dtype), np.full(8, -1, np.int32)
        decode_batch(out, blob, offsets, statuses, boxes=boxes, low=-1)
        assert [bool(status) for status in statuses] == [False, True, True, True, False, False, True, False]
        assert isinstance(jpeg.error_for(int(statuses[3])), UnsupportedError)
        for i in range(8):
            alone = np.zeros((16, 18, 3), dtype)
            if statuses[i] == 0:
                decode_resized(alone, files[i], box=tuple(boxes[i]), low=-1)
            np.testing.assert_array_equal(out[i], alone)


def test_files_of_a_batch_are_chosen_by_their_indices():
    files = [encoded(50, 40, "4:2:0", 85, i) for i in range(4)]
    blob, offsets = np.frombuffer(b"".join(files), np.uint8), np.cumsum([0, *map(len, files)])
    indices, alone = np.array([2, 0, 2, 3, 1]), np.empty((16, 18, 3), np.uint8)
    out, statuses = np.empty((5, 16, 18, 3), np.uint8), np.full(5, -1, np.int32)
    decode_batch(out, blob, offsets, statuses, indices=indices)
    assert not statuses.any()
    for i, index in enumerate(indices):
        decode_resized(alone, files[index])
        np.testing.assert_array_equal(out[i], alone)
    offsets[4] += 1  # only what is wanted is looked at
    decode_batch(out[:2], blob, offsets, statuses[:2], indices=indices[:2])
    with pytest.raises(ValueError, match="offsets: wants"):
        decode_batch(out, blob, offsets, statuses, indices=indices)


@pytest.mark.parametrize("channels", [1, 3])
def test_floats_are_the_bytes_normalised(channels):
    data = encoded(60, 60)
    small, normalised = np.empty((20, 20, channels), np.uint8), np.empty((20, 20, channels), np.float32)
    decode_resized(small, data)
    decode_resized(normalised, data, low=-1, high=1)
    np.testing.assert_array_equal(
        normalised, small * (np.float32(1) / np.float32(255)) * np.float32(2) + np.float32(-1)
    )


def test_nothing_is_written_beside_the_output():
    data, memory = encoded(61, 47), np.full(3 * 17 * 13 + 128, 9, np.uint8)
    out = memory[64:-64].reshape(13, 17, 3)
    for reduction in (None, 1, 2, 4, 8):
        decode_resized(out, data, box=(3.2, 5.1, 60.9, 46.3), reduce=reduction)
        assert (memory[:64] == 9).all()
        assert (memory[-64:] == 9).all()


def test_header():
    assert read_header(WHOLE) == JpegHeader(40, 24, 3, (2, 2), "YCbCr", 2)
    assert read_header(encoded(7, 9, "grey")) == JpegHeader(7, 9, 1, (1, 1), "grey", 0)


@pytest.mark.parametrize(
    ("markers", "names", "colour"),
    [
        (b"", b"\1\2\3", "YCbCr"),
        (b"", b"RGB", "RGB"),
        (b"", b"abc", "YCbCr"),
        (segment(0xEE, b"Adobe\0d\0\0\0\0\0"), b"\1\2\3", "RGB"),
        (segment(0xEE, b"Adobe\0d\0\0\0\0\1"), b"RGB", "YCbCr"),
        (segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0"), b"RGB", "YCbCr"),
    ],
)
def test_colours_are_told_as_libjpeg_tells_them(markers, names, colour):
    data = bytearray(encoded(16, 16, "4:4:4", keep_rgb=False))
    frame, scan = data.index(b"\xff\xc0"), data.index(b"\xff\xda")
    for i, name in enumerate(names):
        data[frame + 10 + 3 * i] = data[scan + 5 + 2 * i] = name
    data[2:20] = markers + segment(0xFE, b"comment") + b"\xff\xff\xff"  # in place of the JFIF marker; fill bytes
    assert read_header(data).colour == colour
    np.testing.assert_array_equal(decode(data), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


def test_tables_are_not_taken_from_the_image_before():
    first, second = encoded(40, 40, optimize=True), encoded(40, 40, seed=1, quality=30, optimize=True)
    scratch = jpeg.make_scratch()
    for data in (first, second, first):
        np.testing.assert_array_equal(decode(data, scratch=scratch), decode(data))


ARGUMENTS = {
    "out": [
        np.empty((1, 8, 8, 3), np.int16),
        np.empty((1, 8, 8, 2), np.uint8),
        np.empty((1, 8, 16, 3))[:, :, ::2],
        None,
    ],
    "blob": [np.empty(9, np.int8), b"bytes"],
    "offsets": [np.array([0]), np.array([0, 10**6]), np.array([-1, 3]), np.array([2, 1]), np.zeros(2, np.int32)],
    "statuses": [np.zeros(2, np.int32), np.zeros(1)],
    "indices": [np.zeros(2, np.int64), np.zeros(1), np.array([1]), np.array([-1])],
    "boxes": [np.zeros((2, 4)), [[0, 0, 1, 1]]],
    "filter": ["cubic"],
    "reduce": [3, 0, np.array([3]), np.array([1, 1]), np.array([1], np.int32)],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in ARGUMENTS.items() for value in values])
def test_wrong_arguments(name, value):
    good = {
        "out": np.empty((1, 8, 8, 3), np.uint8),
        "blob": np.frombuffer(PLAIN, np.uint8),
        "offsets": np.array([0, len(PLAIN)]),
        "statuses": np.empty(1, np.int32),
    }
    decode_batch(**good)
    with pytest.raises(ValueError, match=f"{name}: wants"):
        decode_batch(**good | {name: value})


@pytest.mark.parametrize("box", [(0, 0, 41, 24), (-1, 0, 8, 8), (8, 0, 8, 8), (9, 0, 8, 8), (0, 0, 8, float("nan"))])
def test_bad_boxes(box):
    with pytest.raises(DecodeError, match="box"):
        decode_resized(np.empty((8, 8, 3), np.uint8), PLAIN, box=box)
