"""Convolutions as products of matrices beside torch's own, and weights that are cast once."""

from itertools import product

import pytest
import torch
from torch import Tensor, nn

from gen_dist.models import casting, convolution
from gen_dist.models.casting import Linear, weights_cast_once
from gen_dist.models.convolution import Conv2d, ConvTranspose2d

# Kernel, stride, padding, large side: to sides of 1, 4, 5, 8 and 16, odd ones, and a row that no kernel reaches.
SHAPES = [
    (4, 2, 1, 8), (4, 2, 1, 16), (4, 2, 1, 32), (3, 1, 1, 4), (3, 1, 1, 8), (4, 2, 1, 9), (5, 2, 2, 7), (4, 1, 0, 4),
    (1, 1, 0, 4), (3, 2, 1, 8), (2, 2, 0, 2),
]  # fmt: skip
SMALL, LARGE = 10, 6  # channels


def channels_last(x: Tensor) -> Tensor:
    return x.to(memory_format=torch.channels_last)


def layer_of(transposed: bool, shape: tuple[int, int, int, int], bias: bool) -> nn.Module:
    kernel, stride, padding, side = shape
    if not transposed:
        return channels_last_layer(Conv2d(LARGE, SMALL, kernel, stride, padding, bias=bias))
    more = (side + 2 * padding - kernel) % stride
    return channels_last_layer(ConvTranspose2d(SMALL, LARGE, kernel, stride, padding, more, bias=bias))


def channels_last_layer(layer: nn.Module) -> nn.Module:
    return layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def numbers(*shape: int, seed: int) -> Tensor:
    return channels_last(torch.randn(shape, generator=torch.Generator().manual_seed(seed)))


def results(layer: nn.Module, x: Tensor) -> list[Tensor]:
    """Output, and gradients of input, weight and bias."""
    x = x.clone().requires_grad_()
    layer.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    assert y.dtype == torch.bfloat16
    y.float().mul(numbers(*y.shape, seed=2)).sum().backward()
    return [y.detach().float(), x.grad, *[p.grad for p in layer.parameters()]]  # type: ignore[list-item]


@pytest.mark.parametrize(("transposed", "bias", "shape"), list(product((False, True), (False, True), SHAPES)))
def test_as_torch(transposed: bool, bias: bool, shape: tuple[int, int, int, int], monkeypatch) -> None:
    layer, (kernel, stride, padding, side) = layer_of(transposed, shape, bias), shape
    for i, parameter in enumerate(layer.parameters()):
        parameter.data.copy_(
            numbers(*parameter.shape, seed=10 + i) if parameter.dim() == 4 else torch.arange(1.0, 1 + len(parameter))
        )
    small = (side + 2 * padding - kernel) // stride + 1
    x = numbers(3, SMALL, small, small, seed=1) if transposed else numbers(3, LARGE, side, side, seed=1)
    ours = results(layer, x)
    monkeypatch.setattr(convolution, "makes_products", lambda x: False)
    for found, expected in zip(ours, results(layer, x), strict=True):
        assert found.shape == expected.shape
        assert (found - expected).norm() <= 8e-3 * expected.norm()  # a few roundings to bfloat16


def test_products_are_made(monkeypatch) -> None:
    """Of what is small: else the test above would compare torch with itself."""
    sides = []
    real = convolution.columns
    monkeypatch.setattr(convolution, "columns", lambda x, geometry, side: sides.append(side) or real(x, geometry, side))
    for side in (8, 16, 32):
        results(layer_of(False, (4, 2, 1, side), False), numbers(2, LARGE, side, side, seed=1))
    assert sides == [4, 4, 8]  # forward and gradient, then gradient only
    with torch.no_grad():
        layer_of(False, (4, 2, 1, 8), False)(numbers(2, LARGE, 8, 8, seed=1))
    assert sides == [4, 4, 8]  # none in float32


def test_the_same_bits_each_time() -> None:
    layer = layer_of(False, (4, 2, 1, 8), True)
    x = numbers(4, LARGE, 8, 8, seed=1)
    first, second = results(layer, x), results(layer, x)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(("transposed", "side"), [(False, 8), (False, 16), (True, 8), (False, 32)])
def test_second_derivatives_as_torch(transposed, side, monkeypatch) -> None:
    """Penalties need them."""
    layer = layer_of(transposed, (4, 2, 1, side), True)

    def penalty_gradients() -> list[Tensor]:
        shape = (SMALL, side // 2, side // 2) if transposed else (LARGE, side, side)
        x = numbers(2, *shape, seed=1)
        x.requires_grad_()
        layer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            y = torch.tanh(layer(x))
            (gradient,) = torch.autograd.grad(y.float().sum(), x, create_graph=True)
        gradient.square().sum().backward()
        return [x.grad, *[p.grad for p in layer.parameters()]]  # type: ignore[list-item]

    ours = penalty_gradients()
    monkeypatch.setattr(convolution, "makes_products", lambda x: False)
    for found, expected in zip(ours, penalty_gradients(), strict=True):
        assert (found - expected).norm() <= 2e-2 * expected.norm()


@pytest.mark.parametrize("transposed", [False, True])
def test_images_that_are_not_square_are_left_to_torch(transposed) -> None:
    kind = ConvTranspose2d if transposed else Conv2d
    layer, x = channels_last_layer(kind(3, 8, 4, 2, 1)), numbers(2, 3, 8, 16, seed=1)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(x)
    assert found.shape == layer(x).shape


@pytest.fixture
def casts(monkeypatch) -> list[tuple[int, ...]]:
    """The shapes that were cast, one for each time."""
    seen: list[tuple[int, ...]] = []
    real = casting.cast

    def counted(weight: Tensor, dtype: torch.dtype) -> Tensor:
        seen.append(tuple(weight.shape))
        return real(weight, dtype)

    monkeypatch.setattr(casting, "cast", counted)
    return seen


@pytest.mark.parametrize("trained", [True, False])
def test_weights_cast_once(casts, trained: bool) -> None:
    layer = Linear(4, 3)
    layer.requires_grad_(trained)
    x = torch.ones(2, 4, requires_grad=True)

    def three_times() -> None:
        for _ in range(3):
            with torch.autocast("cpu", torch.bfloat16):
                y = layer(x)
            y.sum().backward()

    three_times()
    apart = [p.grad for p in layer.parameters()]
    assert len(casts) == 3
    layer.zero_grad()
    with weights_cast_once([layer]):
        three_times()
        assert len(casts) == 4
    assert all(
        p.grad is None if a is None else torch.equal(p.grad, a) for p, a in zip(layer.parameters(), apart, strict=True)
    )
    three_times()
    assert len(casts) == 7


def test_who_asks_for_gradients_of_cast_weights_gets_them_once_a_backward_pass(casts) -> None:
    """Both uses together, in the type of the cast, and never in `grad`."""
    layer, x = Linear(4, 3), torch.linspace(-1, 1, 8).view(2, 4)

    def backward() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            y = layer(x) * layer(2 * x)
        y.sum().backward()

    with weights_cast_once([layer]):
        backward()
    expected, got = layer.weight.grad, []
    layer.zero_grad()
    with weights_cast_once([layer], lambda weight, gradient: got.append((weight, gradient))):
        backward()
        backward()
    assert expected is not None
    assert [weight is layer.weight for weight, _ in got] == [True, True]
    assert all(gradient.dtype == torch.bfloat16 and torch.equal(gradient.float(), expected) for _, gradient in got)
    assert layer.weight.grad is None
    assert layer.bias.grad is not None
    assert len(casts) == 2


def test_nobody_asks_after_the_phase() -> None:
    layer = Linear(4, 3)
    with weights_cast_once([layer], lambda weight, gradient: pytest.fail("asked")):
        pass
    with torch.autocast("cpu", torch.bfloat16):
        layer(torch.ones(2, 4)).sum().backward()
    assert layer.weight.grad is not None


def test_a_cast_without_gradient_is_not_trained_with(casts) -> None:
    layer, x = Linear(4, 3), torch.ones(2, 4)
    with weights_cast_once([layer]), torch.autocast("cpu", torch.bfloat16):
        with torch.no_grad():
            layer(x)
        layer(x).sum().backward()
    assert layer.weight.grad is not None
    assert len(casts) == 2


def test_no_cast_without_autocast(casts) -> None:
    with weights_cast_once([layer := Linear(4, 3)]):
        assert layer(torch.ones(2, 4)).dtype == torch.float32
        assert layer.to("meta")(torch.ones(2, 4, device="meta")).shape == (2, 3)
    assert not casts
