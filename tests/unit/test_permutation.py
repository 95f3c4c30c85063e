"""A bijection for every n, the naive twin, and that keys give orders without visible structure."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen_dist.kernels.permutation import permute
from tests.naive import permutation as naive

word = st.integers(0, 2**32 - 1)


def images(indices, n, key):
    out = np.full(len(indices), -1)
    permute(out, np.asarray(indices, np.int64), n, *key)
    return out


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 15, 16, 17, 64, 97, 256, 257, 4093, 65536])
def test_bijection(n):
    assert sorted(images(range(n), n, (3, 4))) == list(range(n))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 600), word, word)
def test_bijection_for_any_size_and_key(n, key0, key1):
    assert sorted(images(range(n), n, (key0, key1))) == list(range(n))


@settings(max_examples=100, deadline=None)
@given(st.data(), st.integers(1, 2**62) | st.integers(1, 50), word, word)
def test_naive_twin(data, n, key0, key1):
    indices = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=4))
    assert images(indices, n, (key0, key1)).tolist() == [naive.permute(i, n, (key0, key1)) for i in indices]


@pytest.mark.parametrize("n", [2**40, 2**40 - 87, 2**38 + 1])
def test_huge_sizes(n):
    found = images(np.arange(2000) * (n // 2000), n, (1, 2))
    assert found.min() >= 0
    assert found.max() < n
    assert len(set(found.tolist())) == 2000
    assert 0.4 < found.mean() / n < 0.6


@pytest.mark.parametrize("n", [2, 3, 4])
def test_every_order_of_a_tiny_set_is_equally_likely(n):
    orders = list(itertools.permutations(range(n)))
    counts = Counter(tuple(images(range(n), n, (key, 9)).tolist()) for key in range(200 * len(orders)))
    chi_square = sum((counts[order] - 200) ** 2 / 200 for order in orders)
    assert chi_square < len(orders) - 1 + 5 * math.sqrt(2 * len(orders))


@pytest.mark.parametrize("n", [3, 7, 16, 23, 100])
def test_places_and_neighbours_are_uniform(n):
    """Over keys, each index lands everywhere equally often, and so does each ordered pair of neighbours."""
    keys = 3000
    places, neighbours = np.zeros((n, n)), np.zeros((n, n))
    for key in range(keys):
        order = images(range(n), n, (key, 11))
        places[np.arange(n), order] += 1
        neighbours[order[:-1], order[1:]] += 1
    assert np.diagonal(neighbours).sum() == 0
    neighbours = neighbours[~np.eye(n, dtype=bool)]
    for counts, freedom in ((places, (n - 1) ** 2), (neighbours, n * (n - 1) - 1)):
        chi_square = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
        assert abs(chi_square - freedom) < 5 * math.sqrt(2 * freedom)
