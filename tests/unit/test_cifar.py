"""CIFAR's binary files against the naive twin."""

import numpy as np
import pytest

from gen_dist.kernels.cifar import interleave, read
from gen_dist.kernels.limits import DecodeError, Limits
from tests.naive import cifar as naive


@pytest.mark.parametrize(("classes", "label_bytes"), [(10, 1), (100, 2)])
def test_naive_twin(classes, label_bytes):
    rng = np.random.default_rng(0)
    records = rng.integers(0, 256, (3, label_bytes + 3072), dtype=np.uint8)
    records[:, :label_bytes] %= classes
    images, labels = read(records.tobytes(), classes)
    assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
    np.testing.assert_array_equal(images, naive.images(records))
    np.testing.assert_array_equal(labels, records[:, label_bytes - 1])


def test_nothing_is_written_outside_the_buffer():
    records = np.random.default_rng(0).integers(0, 256, (2, 3073), dtype=np.uint8)
    guarded = np.full(2 * 3072 + 16, 77, np.uint8)
    interleave(guarded[8:-8].reshape(2, 32, 32, 3), records)
    assert (guarded[:8] == 77).all()
    assert (guarded[-8:] == 77).all()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "0 bytes: not a multiple of the 3073"),
        (bytes(3072), "3072 bytes: not a multiple of the 3073"),
        (bytes(3074), "3074 bytes: not a multiple of the 3073"),
        (b"\x0a" + bytes(3072), "label 10 in a file of 10 classes"),
    ],
)
def test_damage_is_refused_with_its_reason(data, reason):
    with pytest.raises(DecodeError, match=reason):
        read(data, 10)


def test_limits_and_arguments():
    with pytest.raises(DecodeError, match="more than 3072"):
        read(bytes(3073), 10, Limits(file_bytes=3072))
    with pytest.raises(ValueError, match="wants 10 or 100; got 20"):
        read(bytes(3073), 20)
