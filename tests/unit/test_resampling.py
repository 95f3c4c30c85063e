"""Fused layers against the two steps they stand for; sides of both parities."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gen_dist.draws import Draws
from gen_dist.models.resampling import (
    AveragingConv2d,
    EnlargingConv2d,
    SpectralAveragingConv2d,
    average,
    enlarge,
)
from gen_dist.models.sides import halve
from gen_dist.models.spectral import initialise_spectral
from tests.small_models import normal


@pytest.mark.parametrize("side", [7, 8, 11, 50, 63, 509, 510, 511])
def test_a_pixel_lies_over_half_its_number(side):
    row = torch.arange(float(halve(side))).expand(1, 1, halve(side), halve(side))
    large = enlarge(row, side)
    assert large.shape == (1, 1, side, side)
    assert torch.equal(large[0, 0, 0], torch.arange(side).div(2, rounding_mode="floor").float())
    assert torch.equal(average(large), row)


def test_the_edge_of_an_odd_side_is_an_average_of_what_there_is():
    x = torch.tensor([[1.0, 3, 10], [5, 7, 20], [2, 4, 30]]).reshape(1, 1, 3, 3)
    assert average(x).tolist() == [[[[4, 15], [3, 30]]]]


def filled(layer: nn.Module) -> nn.Module:
    for seed, parameter in enumerate(layer.parameters()):
        parameter.data.copy_(normal(*parameter.shape, seed=seed))
    initialise_spectral("layer", layer, Draws(0))
    return layer.to(memory_format=torch.channels_last)


@pytest.mark.parametrize("side", [8, 9])
def test_enlarging_and_convolving_at_once(side):
    layer, x = filled(EnlargingConv2d(3, 5, side)), normal(2, 3, halve(side), halve(side), seed=9)
    kernel = layer.weight.flip(2, 3).transpose(0, 1)
    both = F.conv2d(enlarge(x, side + side % 2), kernel, layer.bias, padding=1)[:, :, :side, :side]
    torch.testing.assert_close(layer(x), both, rtol=1e-4, atol=1e-4)
    assert layer(x).shape == (2, 5, side, side)


@pytest.mark.parametrize("kind", [AveragingConv2d, SpectralAveragingConv2d])
@pytest.mark.parametrize("side", [8, 9])
def test_convolving_and_averaging_at_once(side, kind):
    layer, x = filled(kind(3, 5)), normal(2, 3, side, side, seed=9)
    kernel = layer.normalised_weight() if kind is SpectralAveragingConv2d else layer.weight
    odd = side % 2
    both = average(F.conv2d(F.pad(x, (1, 1 + odd, 1, 1 + odd)), kernel, layer.bias))
    torch.testing.assert_close(layer(x), both, rtol=1e-4, atol=1e-4)


def test_spectral_norm_is_that_of_the_small_kernel():
    layer = filled(SpectralAveragingConv2d(3, 5))
    largest = torch.linalg.matrix_norm(layer.normalised_weight().flatten(1), 2)
    assert largest.item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("make", [lambda: EnlargingConv2d(1, 2, 5), lambda: AveragingConv2d(1, 2)])
def test_gradients_of_gradients(make):
    """As penalties need them."""
    layer = filled(make()).double()
    x = normal(1, 1, 3, 3).double().requires_grad_()
    assert torch.autograd.gradcheck(layer, x)
    assert torch.autograd.gradgradcheck(layer, x)
