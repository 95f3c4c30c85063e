"""Adding bfloat16 to float32: the kernel beside its naive twin and torch, and tensors however they lie in memory."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gen_dist.engine.flat import add_bfloat16, laid_out_like
from gen_dist.kernels import bfloat16
from tests.naive import bfloat16 as naive

SIZES = st.one_of(st.integers(0, 40), st.sampled_from([4095, 4096, 4097, 9000]))


@given(SIZES, st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=60)
def test_any_bits_are_added_as_by_the_naive_twin(size, seed):
    generator = np.random.default_rng(seed)
    into, numbers = generator.integers(0, 2**32, size, np.uint32).view(np.float32), generator.integers(0, 2**16, size)
    numbers = numbers.astype(np.uint16)
    with np.errstate(all="ignore"):  # among the bits are NaNs and infinities
        expected = naive.add(into, numbers)
        bfloat16.add(into, numbers)
    assert np.array_equal(np.isnan(into), np.isnan(expected))
    there = ~np.isnan(expected)
    assert into[there].tobytes() == expected[there].tobytes()


@pytest.mark.parametrize(
    ("into", "numbers", "message"),
    [
        (np.zeros(3, np.float64), np.zeros(3, np.uint16), "into: wants a contiguous writeable array of float32"),
        (np.zeros(3, np.float32), np.zeros(4, np.uint16), "numbers: wants a contiguous array of uint16, 3"),
        (np.zeros(3, np.float32), np.zeros(3, np.float16), "numbers: wants a contiguous array of uint16, 3"),
    ],
)
def test_what_is_not_taken(into, numbers, message):
    with pytest.raises(ValueError, match=message):
        bfloat16.add(into, numbers)


LAYOUTS = [torch.contiguous_format, torch.channels_last]


@pytest.mark.parametrize("of_numbers", LAYOUTS)
@pytest.mark.parametrize("of_sums", LAYOUTS)
def test_tensors_are_added_however_they_lie_in_memory(of_sums, of_numbers):
    values = torch.linspace(-3, 3, 120).view(2, 5, 4, 3)
    flat = torch.zeros(200)
    sums = values.contiguous(memory_format=of_sums)
    into = flat.as_strided(sums.shape, sums.stride(), 16).copy_(sums)  # as a gradient's, in the middle of a vector
    numbers = (7 * values).bfloat16().contiguous(memory_format=of_numbers)
    add_bfloat16(into, numbers)
    assert torch.equal(into, values + numbers.float())
    assert not flat[:16].any()
    assert not flat[136:].any()
    assert (laid_out_like(numbers, into) is numbers) == (of_sums == of_numbers)
