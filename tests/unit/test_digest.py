"""Digests tell apart whatever differs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen_dist.kernels.digest import DIGEST_BYTES, digests
from tests.naive import digest as naive


def digests_of(data: np.ndarray) -> list[bytes]:
    out = np.empty((len(data), DIGEST_BYTES), np.uint8)
    digests(out, data)
    return [row.tobytes() for row in out]


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 5), st.integers(0, 70))
def test_as_its_twin(seed: int, count: int, length: int) -> None:
    data = np.random.default_rng(seed).integers(0, 256, (count, length), dtype=np.uint8)
    assert digests_of(data) == [naive.digest(row.tobytes()) for row in data]


@pytest.mark.parametrize("length", [1, 7, 8, 9, 192, 3072])
def test_each_bit_changes_half_of_the_digest(length: int) -> None:
    data = np.repeat(np.random.default_rng(1).integers(0, 256, (1, length), dtype=np.uint8), 200, 0)
    for row, bit in enumerate(np.random.default_rng(2).integers(0, 8 * length, 199), start=1):
        data[row, bit // 8] ^= 1 << (bit % 8)
    out = np.empty((200, DIGEST_BYTES), np.uint8)
    digests(out, data)
    for lane in (slice(0, 8), slice(8, 16)):
        changed = np.unpackbits(out[1:, lane] ^ out[0, lane], axis=1).sum(1)
        assert changed.min() > 8
        assert 24 < changed.mean() < 40


def test_nothing_common_collides() -> None:
    """Flat images, single bits, lengths of nothing but zero: where simple sums fail."""
    flat = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 48, 1)
    bits = np.zeros((8 * 48, 48), np.uint8)
    bits[np.arange(8 * 48), np.arange(8 * 48) // 8] = 1 << (np.arange(8 * 48) % 8)
    swapped = np.stack([np.roll(np.arange(48, dtype=np.uint8), k) for k in range(1, 48)])
    found = digests_of(np.concatenate([flat, bits, swapped]))
    for half in (slice(0, 8), slice(8, 16)):
        assert len({one[half] for one in found}) == len(found)
    lengths = [digests_of(np.zeros((1, length), np.uint8))[0] for length in range(100)]
    assert len(set(lengths)) == 100


def test_refused() -> None:
    data = np.zeros((2, 3), np.uint8)
    with pytest.raises(ValueError, match="^data: wants a contiguous array of uint8, any × any; got uint8, 3"):
        digests(np.empty((2, 16), np.uint8), data[0])
    with pytest.raises(ValueError, match="^out: wants a contiguous writeable array of uint8, 2 × 16"):
        digests(np.empty((2, 8), np.uint8), data)
