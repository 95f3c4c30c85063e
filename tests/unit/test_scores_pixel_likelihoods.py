"""Likelihoods of pixels: against torch's, at their ends, and what is refused."""

import math

import pytest
import torch

from gen_dist.draws import Draws
from gen_dist.scores.pixel_likelihoods import (
    bernoulli_nll,
    binarised,
    bits_per_dimension,
    gaussian_nll,
    squared_error,
    unit_images,
)
from tests.score_images import blobs

X_NCHW = unit_images(blobs(20, 8, seed=1))


def test_the_gaussian_is_torchs():
    logits = torch.linspace(-2, 2, 20 * 64).reshape(20, 1, 8, 8)
    expected = -torch.distributions.Normal(torch.sigmoid(logits), 0.3).log_prob(X_NCHW).sum(dim=(1, 2, 3))
    torch.testing.assert_close(gaussian_nll(0.3)(logits, X_NCHW).float(), expected)


def test_nats_of_pixels_at_the_ends_are_finite():
    logits, x = torch.full((2, 1, 8, 8), 80.0), torch.zeros(2, 1, 8, 8)
    assert bernoulli_nll(logits, x).tolist() == [64 * 80, 64 * 80]
    assert squared_error(logits, x).tolist() == [64, 64]


def test_binarised_pixels_follow_their_probability_and_index():
    x = torch.full((400, 1, 8, 8), 0.25)
    drawn = binarised(x, Draws(1))
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    assert drawn.mean().item() == pytest.approx(0.25, abs=0.01)
    assert torch.equal(binarised(x[:7], Draws(1)), drawn[:7])
    assert not torch.equal(binarised(x, Draws(2)), drawn)
    assert binarised(torch.tensor([0.0, 0.49, 0.5, 1.0])).tolist() == [0, 0, 1, 1]


def test_unit_images_are_channels_first_in_zero_to_one():
    images = blobs(2, 8, 3)
    x = unit_images(images)
    assert x.shape == (2, 3, 8, 8)
    assert x[1, 2, 3, 4].item() == pytest.approx(images[1, 3, 4, 2] / 255)
    assert x.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.inf, math.nan])
def test_a_sigma_that_is_none_is_refused(sigma):
    with pytest.raises(ValueError, match="must be positive"):
        gaussian_nll(sigma)


def test_bits_of_nothing_are_refused():
    with pytest.raises(ValueError, match="must be at least 1"):
        bits_per_dimension(1.0, 0)
