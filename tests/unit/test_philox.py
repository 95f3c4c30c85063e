"""Known answers, the naive twin, and that nothing but (key, position, element) matters."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen_dist.kernels import philox
from gen_dist.kernels.philox import fill_normal, fill_uniform, philox4x32
from tests.naive import philox as naive

FILLS = pytest.mark.parametrize("fill", [fill_uniform, fill_normal])
word = st.integers(0, 2**32 - 1)


def draw(fill, k, key, positions):
    out = np.full((len(positions), k), np.nan, np.float32)
    fill(out, *key, np.asarray(positions, np.int64))
    return out


# The lines "philox4x32 10" of Random123's kat_vectors: counter and key, then the expected words.
@pytest.mark.parametrize(
    ("given_words", "expected"),
    [
        ("00000000 00000000 00000000 00000000 00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
    ids=["zeros", "ones", "pi"],
)
def test_random123_vectors(given_words, expected):
    numbers = [int(w, 16) for w in given_words.split()]
    words = philox4x32(*(np.uint64(w) for w in numbers))
    assert [f"{int(w):08x}" for w in words] == expected.split()
    assert [f"{w:08x}" for w in naive.philox(numbers[:4], numbers[4:])] == expected.split()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 23), st.tuples(word, word), st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=5))
def test_naive_twin(k, key, positions):
    np.testing.assert_array_equal(draw(fill_uniform, k, key, positions), naive.uniform(k, key, positions))
    np.testing.assert_allclose(
        draw(fill_normal, k, key, positions), naive.normal(k, key, positions), rtol=2e-7, atol=1e-14
    )


@FILLS
@settings(max_examples=30, deadline=None)
@given(st.integers(1, 67), st.integers(1, 9), st.integers(0, 8), st.randoms(use_true_random=False))
def test_same_bits_whatever_the_chunking(fill, k, n, offset, random):
    """Widths, single rows, order of rows and alignment of the memory, against one wide draw."""
    key, positions = (7, 8), [random.randrange(2**40) for _ in range(n)]
    whole = draw(fill, 80, key, positions)
    np.testing.assert_array_equal(draw(fill, k, key, positions), whole[:, :k])
    order = random.sample(range(n), n)
    np.testing.assert_array_equal(draw(fill, k, key, [positions[i] for i in order]), whole[order, :k])
    shifted = np.zeros(offset + n * k, np.float32)[offset:].reshape(n, k)
    fill(shifted, *key, np.array(positions))
    np.testing.assert_array_equal(shifted, whole[:, :k])
    np.testing.assert_array_equal(draw(fill, k, key, positions[-1:])[0], whole[-1, :k])


@FILLS
def test_compiled_equals_interpreted(fill):
    """The same source run by Python, in which nothing is vectorised or contracted."""
    key, positions, out = (1, 2**32 - 1), np.array([3, 2**33 + 5]), np.empty((2, 203), np.float32)
    getattr(fill, "py_func", fill)(out, *key, positions)
    np.testing.assert_array_equal(draw(fill, 203, key, positions), out)


@pytest.mark.parametrize("function", [philox._log_word, philox._cos_sin_word])
def test_float64_parts_are_not_contracted_or_reordered(function):
    """To the last bit of float64, which the rounding to float32 would mostly hide."""
    interpreted = getattr(function, "py_func", function)
    words = np.random.default_rng(0).integers(1, 2**32, 500, dtype=np.uint64)
    assert [function(w) for w in words] == [interpreted(w) for w in words]


def test_pinned_bits():
    """A run must be repeatable on another machine and with another version: these bits may never change."""
    assert draw(fill_uniform, 5, (1, 2), [3])[0].view(np.uint32).tolist() == PINNED_UNIFORM
    assert draw(fill_normal, 5, (1, 2), [3])[0].view(np.uint32).tolist() == PINNED_NORMAL


PINNED_UNIFORM = [1006564480, 1054413016, 1061847302, 1053177178, 1047882848]
PINNED_NORMAL = [3224444340, 1068985557, 3204777341, 1055149653, 3218416768]


def test_logarithm_and_angle_at_the_edges():
    for w in [
        0,
        1,
        2,
        2**29 - 1,
        2**29,
        2**30,
        2**31 - 1,
        2**31,
        3 * 2**30,
        2**32 - 2,
        2**32 - 1,
        3037000499,
        3037000500,
    ]:
        exact = math.log1p((w + 1 - 2**32) / 2**32) if w > 2**31 else math.log((w + 1) / 2**32)
        assert philox._log_word(np.uint64(w + 1)) == pytest.approx(exact, rel=1e-15, abs=0)
        cosine, sine = philox._cos_sin_word(np.uint64(w))
        angle = 2 * math.pi * w / 2**32
        assert (cosine, sine) == pytest.approx((math.cos(angle), math.sin(angle)), abs=1e-15)


def test_distributions():
    """Moments and tails of a million numbers, within five standard errors."""
    n = 1_000_000
    u = draw(fill_uniform, 1000, (5, 6), range(1000)).astype(np.float64)
    assert u.min() >= 0
    assert u.max() < 1
    assert abs(u.mean() - 0.5) < 5 * math.sqrt(1 / 12 / n)
    counts = np.bincount((u.ravel() * 256).astype(int), minlength=256)
    assert abs(((counts - n / 256) ** 2 / (n / 256)).sum() - 255) < 5 * math.sqrt(2 * 255)
    z = draw(fill_normal, 1000, (5, 6), range(1000)).astype(np.float64)
    for power, mean, variance in [(1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)]:
        assert abs((z**power).mean() - mean) < 5 * math.sqrt(variance / n)
    for bound in (0.5, 1, 2, 3):
        tail = math.erfc(bound / math.sqrt(2))
        assert abs((np.abs(z) > bound).mean() - tail) < 5 * math.sqrt(tail / n)
    pairs = np.corrcoef(z[:, :8], rowvar=False) - np.eye(8)
    assert np.abs(pairs).max() < 5 / math.sqrt(1000)
