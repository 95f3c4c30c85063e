"""Every sample once a pass, and the arithmetic of batches."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen_dist.data.stream import Batching, Stream
from gen_dist.draws import subkey
from tests.naive import permutation as naive


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(0, 2**64 - 1), st.integers(1, 17))
def test_every_sample_once_a_pass_in_any_chunks(n, seed, chunk):
    stream, end = Stream(seed, n), 3 * n
    chunks = [stream.indices(np.arange(at, min(at + chunk, end))) for at in range(0, end, chunk)]
    for order in np.concatenate(chunks).reshape(3, n):
        assert sorted(order) == list(range(n))


def test_naive_twin():
    seed, n = 11, 23
    expected = [naive.permute(p % n, n, subkey(seed, "permutation", step=p // n)) for p in range(100)]
    assert Stream(seed, n).indices(np.arange(100)).tolist() == expected


def test_passes_and_seeds_have_their_own_orders():
    n = 50
    orders = [Stream(seed, n).indices(np.arange(4 * n)).reshape(4, n) for seed in (0, 1, 2**32)]
    assert len({tuple(order) for passes in orders for order in passes}) == 12


def test_far_positions():
    n = 2**40 - 87
    stream = Stream(3, n)
    far = np.array([2**62, 2**62 + 1, n - 1, n])
    found = stream.indices(far)
    assert found.dtype == np.int64
    assert found.min() >= 0
    assert found.max() < n
    assert [int(stream.indices(far[i : i + 1])[0]) for i in range(4)] == found.tolist()
    assert stream.indices(np.empty(0, np.int64)).shape == (0,)


@pytest.mark.parametrize("n", [1000, 10**11])
def test_the_order_of_any_number_of_images_takes_no_memory(n):
    stream, places = Stream(5, n), np.arange(n // 2, n // 2 + 500)
    stream.indices(places)  # compiles
    tracemalloc.start()
    found = stream.indices(places)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(set(found.tolist())) == 500
    assert 0.4 < found.mean() / n < 0.6, "from all of the images"
    assert found.nbytes <= most < 40 * found.nbytes, "a few arrays as long as what was asked for"


def test_senseless_streams_and_positions_are_refused():
    with pytest.raises(ValueError, match="0 samples"):
        Stream(0, 0)
    with pytest.raises(ValueError, match="position -1"):
        Stream(0, 5).indices(np.array([3, -1]))


def test_positions_tile_the_stream():
    batching = Batching(batch_size=12, microbatch_size=3, reads_per_step=2)
    assert batching.microbatches == 4
    places = [
        batching.positions(step, read, microbatch)
        for step in range(3)
        for read in range(2)
        for microbatch in range(batching.microbatches)
    ]
    assert np.concatenate(places).tolist() == list(range(3 * 2 * 12))
    assert places[0].dtype == np.int64


@pytest.mark.parametrize("place", [(-1, 0, 0), (0, -1, 0), (0, 2, 0), (0, 0, -1), (0, 0, 4)])
def test_places_outside_the_step_are_refused(place):
    with pytest.raises(ValueError, match="out of range"):
        Batching(batch_size=12, microbatch_size=3, reads_per_step=2).positions(*place)


@pytest.mark.parametrize("sizes", [(10, 3, 1), (0, 1, 1), (4, 0, 1), (4, 2, 0)])
def test_impossible_sizes_are_refused(sizes):
    with pytest.raises(ValueError, match=f"batch_size={sizes[0]}, microbatch_size={sizes[1]}.*whole microbatches"):
        Batching(*sizes)
