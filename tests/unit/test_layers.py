"""Our layers against torch's, and that forward changes no state."""

import numpy as np
import pytest
import torch
from torch import nn

from gen_dist.draws import Draws
from gen_dist.models.layers import Dropout, GhostBatchNorm, Stack, commit_statistics, take_statistics


def ghost(channels: int = 3) -> GhostBatchNorm:
    layer = GhostBatchNorm(channels)
    with torch.no_grad():
        layer.weight.copy_(torch.linspace(0.5, 1.5, channels))
        layer.bias.copy_(torch.linspace(-1, 1, channels))
        layer.running_mean.zero_()
        layer.running_var.fill_(1.0)
    return layer


def images(seed: int, count: int = 6) -> torch.Tensor:
    values = np.random.default_rng(seed).normal(2.0, 3.0, (count, 3, 5, 4))
    return torch.from_numpy(values.astype(np.float32)).to(memory_format=torch.channels_last)


def torch_norm(layer: GhostBatchNorm) -> nn.BatchNorm2d:
    twin = nn.BatchNorm2d(3)
    twin.load_state_dict(layer.state_dict(), strict=False)
    return twin


def test_forward_and_gradient_are_those_of_torch():
    layer = ghost()
    twin = torch_norm(layer)
    x, y = images(1).requires_grad_(), images(1).requires_grad_()
    torch.testing.assert_close(layer(x), twin(y))
    layer(x).square().sum().backward()
    twin(y).square().sum().backward()
    torch.testing.assert_close(x.grad, y.grad)
    torch.testing.assert_close(layer.weight.grad, twin.weight.grad)


def test_forward_changes_no_state_and_commit_is_one_momentum_step_of_torch():
    layer = ghost()
    twin = torch_norm(layer)
    before = {key: value.clone() for key, value in layer.state_dict().items()}
    x = images(2)
    layer(x)
    assert all(torch.equal(before[key], value) for key, value in layer.state_dict().items())
    twin(x)
    commit_statistics(layer, take_statistics(layer))
    torch.testing.assert_close(layer.running_mean, twin.running_mean)
    torch.testing.assert_close(layer.running_var, twin.running_var, rtol=1e-4, atol=1e-4)
    assert take_statistics(layer) == [[]]


def test_summed_statistics_of_microbatches_are_those_of_the_batch():
    layer = ghost()
    whole = images(3, count=8)
    parts = []
    for part in whole.split(2):
        layer(part)
        parts.append(take_statistics(layer)[0][0])
    layer.commit(torch.stack(parts).sum(0))
    torch.testing.assert_close(layer.running_mean, 0.1 * whole.mean((0, 2, 3)))
    torch.testing.assert_close(layer.running_var, 0.9 + 0.1 * whole.var((0, 2, 3)), rtol=1e-4, atol=1e-4)


def test_calls_are_committed_in_order_real_before_fake():
    model = nn.Sequential(ghost(), nn.ReLU(), ghost())
    twin = nn.Sequential(torch_norm(model[0]), nn.ReLU(), torch_norm(model[2]))
    for x in (images(4), images(5)):
        model(x)
        twin(x)
    commit_statistics(model, take_statistics(model))
    for ours, theirs in ((model[0], twin[0]), (model[2], twin[2])):
        torch.testing.assert_close(ours.running_mean, theirs.running_mean)
        torch.testing.assert_close(ours.running_var, theirs.running_var, rtol=1e-4, atol=1e-4)


def test_in_eval_mode_it_uses_running_statistics_and_emits_nothing():
    layer = ghost().eval()
    torch.testing.assert_close(layer(images(6)), torch_norm(layer).eval()(images(6)))
    assert layer.emitted == []


def draws_at(*positions: int):
    return Draws(3).at(5, 1, np.array(positions, dtype=np.int64))


@pytest.mark.parametrize("kind", ["element", "channel"])
def test_a_random_layer_depends_on_the_position_of_each_image_only(kind):
    layer = Dropout(0.4, "here", kind)
    x = torch.ones(4, 3, 2, 2)
    whole = layer(x, draws_at(10, 11, 12, 13))
    assert torch.equal(whole, layer(x, draws_at(10, 11, 12, 13)))
    assert torch.equal(whole[2:], layer(x[2:], draws_at(12, 13)))
    assert not torch.equal(whole[0], whole[1])
    assert torch.equal(layer.eval()(x, draws_at(10, 11, 12, 13)), x)


def test_dropout_keeps_the_expected_share_and_mean():
    dropped = Dropout(0.25, "here")(torch.ones(64, 3, 16, 16), draws_at(*range(64)))
    assert (dropped != 0).float().mean().item() == pytest.approx(0.75, abs=0.01)
    assert dropped.mean().item() == pytest.approx(1, abs=0.02)


def test_a_stack_hands_the_draws_to_random_layers_only_and_sites_differ():
    stack = Stack(Dropout(0.5, "first"), nn.Identity(), Dropout(0.5, "second"))
    x = torch.ones(8, 32)
    first = Stack(Dropout(0.5, "first"))(x, draws_at(*range(8)))
    both = stack(x, draws_at(*range(8)))
    assert 0 < (both != 0).sum() < (first != 0).sum()
