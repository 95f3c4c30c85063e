"""What the JPEG decoder refuses, and with which words; and what it takes as Pillow does."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gen_dist.kernels import jpeg
from gen_dist.kernels.jpeg import decode, decode_batch, decode_resized, read_header
from gen_dist.kernels.limits import DecodeError, Limits, UnsupportedError
from tests.jpegs import PLAIN, WHOLE, encoded, segment

SCRATCH = jpeg.make_scratch()


def changed(data, marker, place, value):
    data = bytearray(data)
    data[data.index(bytes([0xFF, marker])) + place] = value
    return bytes(data)


SCAN = PLAIN.index(b"\xff\xda")
REFUSED = {
    "nothing": (b"", DecodeError, "no JPEG"),
    "no marker": (b"\xff\xd8\0" + PLAIN, DecodeError, "no JPEG"),
    "header only": (PLAIN[:SCAN], DecodeError, "within its header"),
    "cut in a segment": (PLAIN[:100], DecodeError, "within its header"),
    "cut in the data": (PLAIN[:-30], DecodeError, "too early"),
    "end in the data": (PLAIN[:-30] + b"\xff\xd9", DecodeError, "too early"),
    "no end": (PLAIN[:-2], DecodeError, "no end marker"),
    "half an end": (PLAIN[:-1], DecodeError, "no end marker"),
    "end at once": (b"\xff\xd8\xff\xd9", DecodeError, "without an image"),
    "no frame": (b"\xff\xd8" + PLAIN[SCAN:], DecodeError, "without a frame"),
    "two frames": (PLAIN[:SCAN] + PLAIN[PLAIN.index(b"\xff\xc0") :], DecodeError, "second"),
    "another scan": (PLAIN[:-2] + PLAIN[SCAN:], DecodeError, "does not fit"),
    "another image": (PLAIN[:-2] + PLAIN, DecodeError, "a marker"),
    "no width": (changed(changed(PLAIN, 0xC0, 7, 0), 0xC0, 8, 0), DecodeError, "no pixels"),
    "no factor": (changed(PLAIN, 0xC0, 11, 0x02), DecodeError, "contradicts"),
    "short frame": (changed(PLAIN, 0xC0, 9, 4), DecodeError, "length"),
    "length of one": (changed(PLAIN, 0xDB, 3, 1), DecodeError, "length"),
    "other component": (changed(PLAIN, 0xDA, 5, 77), DecodeError, "does not fit"),
    "table 9": (changed(PLAIN, 0xDA, 6, 0x99), DecodeError, "does not fit"),
    "quantisation table 3": (changed(PLAIN, 0xC0, 12, 3), DecodeError, "quantisation"),
    "quantisation table 7": (changed(PLAIN, 0xDB, 4, 7), DecodeError, "quantisation"),
    "too many codes": (changed(PLAIN, 0xC4, 5, 3), DecodeError, "Huffman"),
    "restart out of order": (WHOLE.replace(b"\xff\xd1", b"\xff\xd2"), DecodeError, "restart"),
    "restart missing": (WHOLE.replace(b"\xff\xd1", b""), DecodeError, "JPEG"),
    "progressive": (encoded(16, 16, progressive=True), UnsupportedError, "progressive"),
    "arithmetic": (changed(PLAIN, 0xC0, 1, 0xC9), UnsupportedError, "arithmetic"),
    "12 bits": (changed(PLAIN, 0xC0, 4, 12), UnsupportedError, "8 bits"),
    "sampling": (changed(PLAIN, 0xC0, 11, 0x41), UnsupportedError, "sampling"),
    "part of the components": (
        PLAIN[:SCAN] + segment(0xDA, b"\1\1\0\0\x3f\0") + PLAIN[SCAN + 14 :],
        UnsupportedError,
        "several scans",
    ),
    "no Huffman tables": (PLAIN.replace(b"\xff\xc4", b"\xff\xe5"), UnsupportedError, "Huffman"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    data, error, words = REFUSED[case]
    for call in (decode, lambda data: decode_resized(np.empty((8, 8, 3), np.uint8), data)):
        with pytest.raises(error, match=words):
            call(data)


@pytest.mark.parametrize(
    "data",
    [PLAIN + b"behind", PLAIN[:-2] + b"ab" * 20, PLAIN[:-2] + b"\xff\xd0\xff\xfe\0\4ab\xff\xff\xd9"],
    ids=["bytes behind the end", "bytes in place of the end", "a comment before the end"],
)
def test_what_pillow_shows_whole_is_taken(data):
    np.testing.assert_array_equal(decode(data), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


@pytest.mark.parametrize("limits", [Limits(pixels=959), Limits(side=39), Limits(file_bytes=len(PLAIN) - 1)])
def test_limits(limits):
    assert decode(PLAIN, Limits(960, 40, len(PLAIN))).shape == (24, 40, 3)
    for call in (read_header, decode):
        with pytest.raises(DecodeError, match="more than"):
            call(PLAIN, limits)
    with pytest.raises(DecodeError, match="limit"):
        decode_resized(np.empty((8, 8, 3), np.uint8), PLAIN, limits=limits)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from([PLAIN, WHOLE]), st.integers(0, 2**32), st.integers(1, 4), st.booleans())
def test_damage_is_survived(data, seed, changes, cut):
    rng, data = np.random.default_rng(seed), bytearray(data)
    for _ in range(changes):
        data[rng.integers(2, len(data))] = rng.integers(256)
    if cut:
        del data[rng.integers(len(data)) :]
    out, statuses = np.full((1, 8, 8, 3), 7, np.uint8), np.full(1, -1, np.int32)
    blob, limits = np.frombuffer(data, np.uint8), Limits(pixels=10**6)
    decode_batch(out, blob, np.array([0, blob.size]), statuses, limits=limits, scratch=SCRATCH)
    if statuses[0]:
        assert not out.any()
        with pytest.raises(type(jpeg.error_for(int(statuses[0])))):
            decode(data, limits, SCRATCH)
    else:
        assert decode(data, limits, SCRATCH).shape[2] in (1, 3)
