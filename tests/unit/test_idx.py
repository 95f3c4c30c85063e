"""IDX files, plain and in gzip."""

import gzip
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen_dist.kernels.idx import read
from gen_dist.kernels.limits import DecodeError, Limits, UnsupportedError


def idx(array, kind=8):
    return struct.pack(f">HBB{array.ndim}I", 0, kind, array.ndim, *array.shape) + array.tobytes()


def head(*shape, kind=8):
    return struct.pack(f">HBB{len(shape)}I", 0, kind, len(shape), *shape)


IMAGES = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)
WHOLE = idx(IMAGES)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.booleans())
def test_any_rank(shape, compressed):
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    data = gzip.compress(idx(array), mtime=0) if compressed else idx(array)
    got = read(data)
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, array)


def test_no_labels_are_an_empty_array():
    assert read(head(0)).shape == (0,)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "does not begin"),
        (b"\0\1" + WHOLE[2:], "does not begin"),
        (WHOLE[:2] + b"\7" + WHOLE[3:], "does not begin"),
        (WHOLE[:3], "does not begin"),
        (WHOLE[:15], "cut short in its header"),
        (WHOLE[:3] + b"\0", "0 axes"),
        (WHOLE[:3] + b"\xff" + WHOLE, "255 axes"),
        (WHOLE[:-1], "60 values promised, 59 found"),
        (WHOLE + b"x", "60 values promised, more found"),
        (head(1, 1, 65_501), "a side of more than"),
        (head(2**32 - 1, 2**32 - 1), "bytes of values: more than"),
        (head(1, 0, 4), "nothing to decode"),
        (gzip.compress(WHOLE[:-1], mtime=0), "60 values promised, 59 found"),
        (gzip.compress(WHOLE + b"xx", mtime=0), "60 values promised, more found"),
        (gzip.compress(head(2**32 - 1, 2**32 - 1), mtime=0), "bytes of values: more than"),
        (gzip.compress(WHOLE, mtime=0)[:-9], "cut short"),
        (gzip.compress(WHOLE, mtime=0)[:-1], "cut short: the gzip stream has no end"),
        (gzip.compress(WHOLE, mtime=0)[:-5] + bytes(5), "damaged"),
        (b"\x1f\x8b\x08\xff" + bytes(40), "does not begin|damaged"),
    ],
)
def test_damage_is_refused_with_its_reason(data, reason):
    with pytest.raises(DecodeError, match=reason):
        read(data)


def test_limits():
    for limits in (Limits(file_bytes=len(WHOLE) - 1), Limits(inflated_bytes=59), Limits(side=3), Limits(pixels=11)):
        with pytest.raises(DecodeError, match="more than"):
            read(WHOLE, limits)
    bomb = gzip.compress(head(1 << 20) + bytes(1 << 20), mtime=0)
    with pytest.raises(DecodeError, match="more than"):
        read(bomb, Limits(inflated_bytes=1 << 19))


@pytest.mark.parametrize(("kind", "name"), [(9, "int8"), (0x0B, "int16"), (0x0D, "float32")])
def test_other_types_are_not_read(kind, name):
    with pytest.raises(UnsupportedError, match=name):
        read(idx(IMAGES, kind))
