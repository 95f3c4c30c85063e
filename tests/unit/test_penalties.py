"""Penalties on gradients against closed forms: linear critics, quadratic ones, and autograd done by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from gen_dist.models.spectral import SpectralConv2d
from gen_dist.objectives.penalties import gradient_penalty, r1_penalty


def values(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def critic():
    """Smooth, each logit from its own image; its weights are fixed."""
    layers = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(16, 1), nn.Flatten(0)).double()
    for seed, parameter in enumerate(layers.parameters()):
        parameter.data.copy_(values(*parameter.shape, seed=seed))
    return layers


def images(seed, dtype=torch.float32):
    return values(3, 2, 4, 4, seed=seed).to(dtype).contiguous(memory_format=torch.channels_last)


def gradients_by_hand(layers, x):
    """Of each logit alone, with respect to its image: a list of C x H x W, which can be differentiated."""
    found = []
    for image in x:
        image = image.detach()[None].requires_grad_()
        found.append(torch.autograd.grad(layers(image)[0], image, create_graph=True)[0][0])
    return found


def test_r1_of_a_linear_critic_is_the_square_of_its_weights():
    w = values(2, 4, 4, seed=1).requires_grad_()
    x = images(2).requires_grad_()
    penalty = r1_penalty((x * w).sum((1, 2, 3)), x)
    torch.testing.assert_close(penalty, 3 * w.square().sum())
    penalty.backward()
    torch.testing.assert_close(w.grad, 6 * w.detach())


def test_r1_of_a_quadratic_critic():
    """D(x) = a |x|^2 / 2 has the gradient a x: the penalty is a^2 sum |x|^2, its derivative 2 a sum |x|^2."""
    a = torch.tensor(1.5, requires_grad=True)
    x = images(3).requires_grad_()
    penalty = r1_penalty(a * x.square().sum((1, 2, 3)) / 2, x)
    torch.testing.assert_close(penalty, 2.25 * x.detach().square().sum())
    penalty.backward()
    torch.testing.assert_close(a.grad, 3 * x.detach().square().sum())
    torch.testing.assert_close(x.grad, 2 * 2.25 * x.detach())


def test_gradient_penalty_of_a_linear_critic_does_not_depend_on_the_images():
    w = values(2, 4, 4, seed=1).requires_grad_()
    penalty = gradient_penalty(lambda x: (x * w).sum((1, 2, 3)), images(2), images(3), values(3).sigmoid())
    norm = w.detach().norm()
    torch.testing.assert_close(penalty, 3 * (norm - 1) ** 2)
    penalty.backward()
    torch.testing.assert_close(w.grad, 6 * (norm - 1) / norm * w.detach())


def test_gradient_penalty_of_a_quadratic_critic_is_taken_between_real_and_fake():
    a = torch.tensor(0.2, requires_grad=True)
    real, fake, u = images(2).requires_grad_(), images(3).requires_grad_(), torch.tensor([0.0, 0.25, 1.0])
    penalty = gradient_penalty(lambda x: a * x.square().sum((1, 2, 3)) / 2, real, fake, u)
    between = [fake[0], 0.25 * real[1] + 0.75 * fake[1], real[2]]
    norms = torch.stack([image.norm() for image in between]).detach()
    torch.testing.assert_close(penalty, ((0.2 * norms - 1) ** 2).sum())
    penalty.backward()
    torch.testing.assert_close(a.grad, (2 * (0.2 * norms - 1) * norms).sum())
    assert real.grad is None
    assert fake.grad is None


@pytest.mark.parametrize("which", ["r1", "gradient penalty"])
def test_weights_gradients_are_those_of_autograd_by_hand(which):
    ours, by_hand = critic(), critic()
    real, fake, u = images(5, torch.float64), images(6, torch.float64), torch.tensor([0.1, 0.5, 0.9]).double()
    if which == "r1":
        x = real.clone().requires_grad_()
        penalty = r1_penalty(ours(x), x)
        expected = sum((gradient**2).sum() for gradient in gradients_by_hand(by_hand, real))
    else:
        penalty = gradient_penalty(ours, real, fake, u)
        x = torch.stack([u[n] * real[n] + (1 - u[n]) * fake[n] for n in range(3)])
        expected = sum(((gradient**2).sum().sqrt() - 1) ** 2 for gradient in gradients_by_hand(by_hand, x))
    torch.testing.assert_close(penalty, expected)
    penalty.backward()
    expected.backward()
    for name, parameter in by_hand.named_parameters():
        if parameter.grad is None:  # the last bias: no gradient depends on it
            assert name == "3.bias"
            assert ours.get_parameter(name).grad is None
        else:
            torch.testing.assert_close(ours.get_parameter(name).grad, parameter.grad)


def test_where_the_gradient_is_0_nothing_is_nan():
    a = torch.tensor(0.0, requires_grad=True)
    penalty = gradient_penalty(lambda x: a * x.sum((1, 2, 3)), images(2), images(3), values(3).sigmoid())
    assert penalty.item() == 3
    penalty.backward()
    assert a.grad.item() == 0


def test_under_autocast_the_arithmetic_is_float32():
    """The layers are in bfloat16, hence the tolerance; the sum of squares is not."""
    layer = nn.Conv2d(2, 1, 4, bias=False)
    layer.weight.data.copy_(values(1, 2, 4, 4, seed=1))
    x = images(2).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        logits = layer(x).flatten()
        r1 = r1_penalty(logits, x)
        gp = gradient_penalty(lambda x: layer(x).flatten(), images(2), images(3), values(3).sigmoid())
    assert logits.dtype == torch.bfloat16
    assert r1.dtype == gp.dtype == torch.float32
    seen = layer.weight.detach().bfloat16().float()  # what the convolution multiplies with
    torch.testing.assert_close(r1, 3 * seen.square().sum())
    torch.testing.assert_close(gp, 3 * (seen.norm() - 1) ** 2)
    (r1 + gp).backward()
    expected = 6 * seen + 6 * (seen.norm() - 1) / seen.norm() * seen
    torch.testing.assert_close(layer.weight.grad, expected, rtol=2**-6, atol=0)


def test_through_spectral_normalisation():
    """One convolution to a logit: w / |w| whatever w, so that the gradient's norm is 1 and nothing changes w."""
    layer = SpectralConv2d(2, 1, 4, bias=False)
    layer.weight.data.copy_(values(1, 2, 4, 4, seed=1))
    layer.u.fill_(1.0)
    layer.v.copy_(nn.functional.normalize(layer.weight.data.permute(0, 2, 3, 1).flatten(), dim=0))
    x = images(2).requires_grad_()
    penalty = r1_penalty(layer(x).flatten(), x)
    torch.testing.assert_close(penalty, torch.tensor(3.0))
    penalty.backward()
    torch.testing.assert_close(layer.weight.grad, torch.zeros_like(layer.weight), atol=1e-5, rtol=0)
