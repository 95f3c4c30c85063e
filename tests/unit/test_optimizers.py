"""Optimisers against their textbook formulas, learning rates against tables, clipping."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import RMSprop

from gen_dist.config import OptimizerSettings
from gen_dist.engine.optimizers import (
    SLOTS,
    build_optimizer,
    clip_gradients,
    create_slots,
    rate_at,
    rate_factor,
    set_rate,
    total_norm,
)

GRADIENTS = np.random.default_rng(1).normal(size=(4, 3))


def adam(steps, rate, beta1=0.5, beta2=0.9, epsilon=1e-3):
    x, m, v = np.zeros(3), np.zeros(3), np.zeros(3)
    for t, g in enumerate(steps, 1):
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
        x -= rate * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + epsilon)
    return x


def rmsprop(steps, rate, beta2=0.9, epsilon=1e-3, momentum=0.3):
    x, v, b = np.zeros(3), np.zeros(3), np.zeros(3)
    for g in steps:
        v = beta2 * v + (1 - beta2) * g * g
        b = momentum * b + g / (np.sqrt(v) + epsilon)
        x -= rate * b
    return x


def sgd(steps, rate, momentum=0.3):
    x, b = np.zeros(3), np.zeros(3)
    for g in steps:
        b = momentum * b + g
        x -= rate * b
    return x


TEXTBOOK = {"adam": adam, "rmsprop": rmsprop, "sgd": sgd}


def settings_of(kind: str, **more) -> OptimizerSettings:
    momentum = 0.0 if kind == "adam" else 0.3
    return OptimizerSettings(
        kind=kind, learning_rate=0.1, beta1=0.5, beta2=0.9, epsilon=1e-3, momentum=momentum, **more
    )


def module() -> nn.Linear:
    linear = nn.Linear(3, 1, bias=False)
    nn.init.zeros_(linear.weight)
    return linear


def take(settings, optimizer, linear, gradients, first=0):
    for step, gradient in enumerate(gradients, first):
        linear.weight.grad = torch.from_numpy(gradient.astype(np.float32)).reshape(1, 3)
        set_rate(settings, "generator", optimizer, step)
        optimizer.step()
    return linear.weight.detach().numpy()[0]


@pytest.mark.parametrize("kind", TEXTBOOK)
def test_a_parameter_that_comes_into_use_later_has_its_first_step_then(kind):
    """As in networks that grow: until then it has no gradient."""
    settings, early, late = settings_of(kind), module(), module()
    optimizer = build_optimizer(settings, "generator", nn.ModuleList([early, late]))
    take(settings, optimizer, early, GRADIENTS[:2])
    assert not late.weight.any()
    for gradient in GRADIENTS[2:]:
        late.weight.grad = torch.from_numpy(gradient.astype(np.float32)).reshape(1, 3)
        take(settings, optimizer, early, [gradient])
    np.testing.assert_allclose(early.weight.detach().numpy()[0], TEXTBOOK[kind](GRADIENTS, 0.1), rtol=1e-4)
    np.testing.assert_allclose(late.weight.detach().numpy()[0], TEXTBOOK[kind](GRADIENTS[2:], 0.1), rtol=1e-4)


@pytest.mark.parametrize("momentum", [0.0, 0.3])
@pytest.mark.parametrize("kind", ["rmsprop", "sgd"])
def test_what_an_optimizer_keeps_is_where_its_parameter_is(kind, momentum):
    """Torch's RMSprop would count steps on the CPU, and a group of GPUs could not send them."""
    linear = nn.Linear(3, 1, device="meta")
    settings = OptimizerSettings(kind=kind, momentum=momentum)
    kept = build_optimizer(settings, "generator", linear).state[linear.weight]
    assert set(kept) == {slot for slot in SLOTS[kind] if momentum or slot != "momentum_buffer"}
    assert {tensor.device.type for tensor in kept.values()} <= {"meta"}


@pytest.mark.parametrize("kind", TEXTBOOK)
def test_an_optimizer_follows_its_formula(kind):
    settings, linear = settings_of(kind), module()
    found = take(settings, build_optimizer(settings, "generator", linear), linear, GRADIENTS)
    np.testing.assert_allclose(found, TEXTBOOK[kind](GRADIENTS, 0.1), rtol=1e-5)


@pytest.mark.parametrize("kind", TEXTBOOK)
def test_an_optimizer_goes_on_from_its_slots(kind):
    settings, whole, first, second = settings_of(kind), module(), module(), module()
    expected = take(settings, build_optimizer(settings, "g", whole), whole, GRADIENTS)
    before = build_optimizer(settings, "g", first)
    take(settings, before, first, GRADIENTS[:2])
    after = build_optimizer(settings, "g", second)
    kept = before.state[first.weight]
    assert set(kept) == set(SLOTS[kind])
    create_slots(settings, after, second.weight, set(kept))
    with torch.no_grad():
        second.weight.copy_(first.weight)
        for slot, value in kept.items():
            after.state[second.weight][slot].copy_(value)
    assert np.array_equal(take(settings, after, second, GRADIENTS[2:], first=2), expected)


@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_fused_rmsprop_is_torchs(layout, momentum):
    """In the order in which weights lie in memory, also where gradients lie in another one."""
    shapes = [(8, 3, 4, 4), (17,), ()]
    generator = torch.Generator().manual_seed(1)
    start = [torch.randn(shape, generator=generator) for shape in shapes]
    start[0] = start[0].to(memory_format=layout)
    ours, theirs = ([nn.Parameter(tensor.clone()) for tensor in start] for _ in range(2))
    settings = OptimizerSettings(kind="rmsprop", learning_rate=0.1, momentum=momentum)
    one, other = build_optimizer(settings, "generator", nn.ParameterList(ours)), reference(settings, theirs)
    for step in range(5):
        for place, (mine, its) in enumerate(zip(ours, theirs, strict=True)):
            mine.grad, its.grad = (torch.randn(mine.shape, generator=generator),) * 2
            if (place, step) == (1, 2):  # one without
                mine.grad = its.grad = None
        one.step()
        other.step()
    for mine, its in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-5, atol=1e-6)
        for name, kept in other.state[its].items():
            torch.testing.assert_close(one.state[mine][name], kept, rtol=1e-5, atol=1e-6)
    assert not any(torch.equal(mine, first) for mine, first in zip(ours, start, strict=True))


def test_fused_rmsprop_takes_gradients_whose_squares_overflow():
    """As after a VAE's first step, see `total_norm`."""
    ours, theirs = (nn.Parameter(torch.ones(3)) for _ in range(2))
    settings = OptimizerSettings(kind="rmsprop", learning_rate=0.1, beta2=0.9)
    one, other = build_optimizer(settings, "generator", nn.ParameterList([ours])), reference(settings, [theirs])
    for parameter, optimizer in ((ours, one), (theirs, other)):
        parameter.grad = torch.tensor([1.0, 3e19, 5e19])
        optimizer.step()
    assert torch.isfinite(other.state[theirs]["square_avg"]).all()
    torch.testing.assert_close(one.state[ours]["square_avg"], other.state[theirs]["square_avg"])
    torch.testing.assert_close(ours, theirs)


def reference(settings, parameters):
    rate, momentum = settings.learning_rate, settings.momentum
    return RMSprop(parameters, lr=rate, alpha=settings.beta2, eps=settings.epsilon, momentum=momentum)


def test_where_parameters_are_not_float32_the_step_of_rmsprop_is_torchs_own():
    ours, theirs = (nn.Parameter(torch.ones(3, dtype=torch.float64)) for _ in range(2))
    settings = OptimizerSettings(kind="rmsprop")
    one, other = build_optimizer(settings, "generator", nn.ParameterList([ours])), reference(settings, [theirs])
    for parameter, optimizer in ((ours, one), (theirs, other)):
        parameter.grad = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
        optimizer.step()
    assert torch.equal(ours, theirs)
    assert ours[0] < 1


@pytest.mark.parametrize(
    ("more", "factors"),
    [
        ({}, {0: 1, 10: 1, 1000: 1}),
        ({"warmup_steps": 4}, {0: 0.25, 1: 0.5, 3: 1, 4: 1, 99: 1}),
        ({"schedule": "linear", "decay_steps": 10}, {0: 1, 5: 0.5, 10: 0, 99: 0}),
        ({"schedule": "linear", "decay_steps": 10, "final_fraction": 0.2}, {0: 1, 5: 0.6, 10: 0.2, 99: 0.2}),
        ({"schedule": "cosine", "decay_steps": 10}, {0: 1, 5: 0.5, 10: 0}),
        ({"schedule": "cosine", "decay_steps": 10, "warmup_steps": 2}, {0: 0.5, 1: 1, 2: 1, 7: 0.5, 12: 0}),
    ],
)
def test_the_rate_rises_and_falls(more, factors):
    settings = OptimizerSettings(**more)
    assert {step: rate_factor(settings, step) for step in factors} == pytest.approx(factors, abs=1e-12)


def test_the_rate_reaches_the_optimizer_and_the_discriminator_has_its_own():
    settings = OptimizerSettings(learning_rate=1e-3, discriminator_learning_rate=4e-3, warmup_steps=2)
    assert rate_at(settings, "generator", 0) == pytest.approx(5e-4)
    assert rate_at(settings, "discriminator", 0) == pytest.approx(2e-3)
    optimizer = build_optimizer(settings, "discriminator", module())
    set_rate(settings, "discriminator", optimizer, 7)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(4e-3)


@pytest.mark.parametrize(("clip", "factor"), [(0.0, 1), (10.0, 1), (5.0, 1), (2.5, 0.5)])
def test_gradients_are_clipped_by_their_global_norm(clip, factor):
    gradients = [torch.tensor([3.0]), torch.tensor([[0.0], [4.0]])]
    clip_gradients(OptimizerSettings(clip_norm=clip), gradients, 5.0)
    assert [g.flatten().tolist() for g in gradients] == [[3 * factor], [0, 4 * factor]]


def test_the_norm_of_large_gradients_is_finite_and_that_of_infinite_ones_is_not():
    large = [torch.full((3, 4), 2e30), torch.full((4,), 1e30)]
    assert total_norm(large) == pytest.approx(math.sqrt(12 * 4 + 4) * 1e30, rel=1e-6)
    small = [torch.tensor([3.0]), torch.tensor([4.0])]
    assert total_norm(small) == 5.0
    for bad in (float("inf"), float("nan")):
        assert not math.isfinite(total_norm([*large, torch.tensor([bad])]))
