"""Flat gradients: the layout, and sums that are those of the tree."""

import numpy as np
import pytest
import torch
from torch import nn

from gen_dist.engine.exchange import ALIGNMENT, chunk_bounds
from gen_dist.engine.gradients import GradientStack, Layout
from gen_dist.engine.tree import additions
from gen_dist.engine.tree_reducer import each_bucket
from tests.naive.tree import tree_sum


def network() -> nn.Module:
    layers = nn.Sequential(nn.Conv2d(3, 5, 3), nn.Flatten(), nn.Linear(5 * 4, 7)).to(memory_format=torch.channels_last)
    for i, parameter in enumerate(layers.parameters()):
        parameter.data = (
            torch.linspace(-1, 1 + i, parameter.numel())
            .reshape(parameter.shape)
            .contiguous(memory_format=torch.channels_last if parameter.dim() == 4 else torch.contiguous_format)
        )
    return layers


def test_the_layout_covers_every_parameter_once_last_first():
    parameters = list(network().parameters())
    layout = Layout(parameters, bucket_elements=100)
    assert [id(p) for p in layout.parameters] == [id(p) for p in reversed(parameters)]
    assert layout.offsets == [0, 16, 160, 176]
    assert [(b.parameters, b.span) for b in layout.buckets] == [((0, 1), slice(0, 160)), ((2, 3), slice(160, 320))]
    assert layout.size == 320
    assert all(p in layout for p in parameters)
    assert nn.Parameter(torch.zeros(7)) not in layout


@pytest.mark.parametrize("microbatches", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("bucket_elements", [1, 100, 10**6])
def test_the_sum_of_all_microbatches_is_that_of_the_tree(microbatches, bucket_elements):
    net = network()
    parameters = list(net.parameters())
    images = torch.linspace(-1, 1, microbatches * 2 * 3 * 16).reshape(microbatches, 2, 3, 4, 4)
    leaves = []
    for batch in images:
        gradients = torch.autograd.grad(net(batch).square().sum(), parameters)
        leaves.append(np.concatenate([g.numpy().ravel() for g in gradients]))
    stack = GradientStack(Layout(parameters, bucket_elements))
    for add in additions(microbatches, range(microbatches)):
        done: list[int] = []

        def complete(number, add=add, done=done):
            stack.take(add, number)
            done.append(number)

        stack.open(add)
        with each_bucket(stack.layout, complete):
            net(images[add.microbatch]).square().sum().backward()
        assert sorted(done) == list(range(len(stack.layout.buckets)))
    assert add.settles == 0
    assert torch.cat([stack.piece(0, number) for number in sorted(done)]).equal(stack.slot(0).flat)
    stack.show(0)
    found = np.concatenate([p.grad.numpy().ravel() for p in parameters])
    assert found.tobytes() == tree_sum(leaves).tobytes()
    assert len(stack.slots) <= microbatches.bit_length() + 1
    assert parameters[0].grad.is_contiguous(memory_format=torch.channels_last)


def test_a_gradient_that_does_not_come_is_an_error():
    net = network()
    layout = Layout(list(net.parameters()))
    with pytest.raises(RuntimeError, match="2 parameters got no gradient"), each_bucket(layout, lambda number: None):
        net[0](torch.ones(1, 3, 4, 4)).sum().backward()


@pytest.mark.parametrize(("length", "chunks"), [(0, 3), (1, 2), (16, 4), (1000, 1), (1000, 3), (4096, 4), (5, 8)])
def test_chunks_are_aligned_and_nearly_equal(length, chunks):
    bounds = chunk_bounds(length, chunks)
    assert (bounds[0], bounds[-1], len(bounds)) == (0, length, chunks + 1)
    assert all(bound % ALIGNMENT == 0 for bound in bounds[:-1] if bound < length)
    sizes = np.diff(bounds)
    assert min(sizes) >= 0
    assert max(sizes) - min(sizes) < 2 * ALIGNMENT
