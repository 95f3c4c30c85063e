"""Orientation beside Pillow's, in both byte orders, and blocks that make no sense."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from gen_dist.preparing.exif import is_transposed, orientation, stored_box, upright

PIXELS = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)


def block(number, order=">", kind=3, entries=1, directory=8):
    head = b"II*\0" if order == "<" else b"MM\0*"
    other = struct.pack(order + "HHIHH", 0x0100, 3, 1, 40, 0)
    entry = struct.pack(order + "HHIHH", 0x0112, kind, 1, number, 0)
    directories = struct.pack(order + "H", entries + 1) + other + entry
    return head + struct.pack(order + "I", directory) + directories + b"\0\0\0\0"


def encoded(exif):
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "JPEG", exif=b"Exif\0\0" + exif)
    return file.getvalue()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("number", range(1, 9))
def test_as_pillow_turns_it(number, order):
    data = encoded(block(number, order))
    assert orientation(data) == number
    image = Image.open(io.BytesIO(data))
    expected = np.asarray(ImageOps.exif_transpose(image))
    found = upright(np.asarray(image), orientation(data))
    np.testing.assert_array_equal(found, expected)
    assert found.flags.c_contiguous


@pytest.mark.parametrize(
    "exif",
    [block(0), block(9), block(6, kind=4), block(6, directory=2**32 - 1), b"XX*\0" + block(6)[4:], block(6)[:20], b""],
)
def test_nonsense_is_upright(exif):
    assert orientation(encoded(exif)) == 1


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("shape", [(5, 8), (8, 5), (5, 7), (6, 6)])
def test_a_box_in_stored_pixels(shape, number):
    pixels = np.arange(shape[0] * shape[1], dtype=np.uint8).reshape(*shape, 1)
    turned = upright(pixels, number)
    height, width = turned.shape[:2]
    assert is_transposed(number) == (number > 4)
    for box in ((0, 0, width, height), (1, 2, 4, 5), (width - 2, 0, width, 1)):
        (x0, y0, x1, y1), (left, top, right, bottom) = stored_box(box, width, height, number), box
        np.testing.assert_array_equal(upright(pixels[y0:y1, x0:x1], number), turned[top:bottom, left:right])


def test_files_without_a_block_are_upright():
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "JPEG")
    assert orientation(file.getvalue()) == orientation(b"GIF89a") == orientation(b"") == orientation(b"\xff\xd8") == 1


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 255), st.integers(0, 200))
def test_never_raises(place, byte, length):
    data = bytearray(encoded(block(6)))
    data[place % len(data)] = byte
    assert 1 <= orientation(bytes(data)) <= 8
    assert 1 <= orientation(bytes(data[:length])) <= 8
