"""Gradients of one phase as flat vectors, and a worker's stack of partial sums of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gen_dist.engine.flat import add_bfloat16
from gen_dist.engine.tree import Add

ALIGNMENT = 16  # elements
BUCKET_ELEMENTS = 1 << 21  # 8 MB of float32: much smaller costs time on loopback, much larger on slow links


@dataclass(frozen=True)
class Bucket:
    """Neighbouring parameters whose gradients travel together."""

    parameters: tuple[int, ...]  # places in Layout.parameters
    span: slice  # of the flat vector


class Layout:
    """Where each parameter's gradient lies in a flat vector: the last parameter first, the order of backward.

    It depends on the parameters only, never on the number of workers.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], bucket_elements: int = BUCKET_ELEMENTS) -> None:
        self.parameters = list(reversed(parameters))
        self.places = {id(parameter): place for place, parameter in enumerate(self.parameters)}
        self.offsets: list[int] = []
        self.buckets: list[Bucket] = []
        end = start = 0
        members: list[int] = []
        for place, parameter in enumerate(self.parameters):
            self.offsets.append(end)
            members.append(place)
            end += -(-parameter.numel() // ALIGNMENT) * ALIGNMENT
            if end - start >= bucket_elements or place == len(self.parameters) - 1:
                self.buckets.append(Bucket(tuple(members), slice(start, end)))
                start, members = end, []
        self.size = end

    def __contains__(self, parameter: nn.Parameter) -> bool:
        return id(parameter) in self.places


Allocate = Callable[[int, Tensor], Tensor]  # so many zeros, of a type and on a device like that of the tensor


def zeros(elements: int, like: Tensor) -> Tensor:
    return torch.zeros(elements, dtype=like.dtype, device=like.device)


class Slot:
    """A flat vector, and views of it shaped (and strided) like the parameters."""

    def __init__(self, layout: Layout, allocate: Allocate) -> None:
        self.flat = allocate(layout.size, layout.parameters[0])
        self.views = [
            self.flat.as_strided(p.shape, p.stride(), offset)
            for p, offset in zip(layout.parameters, layout.offsets, strict=True)
        ]


class GradientStack:
    """The partial sums of a worker's microbatches: at most one more than the tree has levels."""

    def __init__(self, layout: Layout, allocate: Allocate = zeros) -> None:
        self.layout, self.allocate = layout, allocate
        self.slots: list[Slot] = []

    def slot(self, place: int) -> Slot:
        while len(self.slots) <= place:
            self.slots.append(Slot(self.layout, self.allocate))
        return self.slots[place]

    def show(self, place: int) -> None:
        """Make the sum at `place` the parameters' `grad`: what backward adds to, or what the optimiser reads."""
        for parameter, view in zip(self.layout.parameters, self.slot(place).views, strict=True):
            parameter.grad = view

    def open(self, add: Add) -> None:
        """Before the backward pass of a microbatch: where its gradient is left.

        If it is to be added to the sum below, backward does that itself, as it adds to what `grad` holds.
        """
        if add.merges:
            self.show(add.place - 1)
        else:
            for parameter in self.layout.parameters:
                parameter.grad = None

    @torch.no_grad()
    def receive(self, add: Add, parameter: Tensor, gradient: Tensor) -> None:
        """What backward would have left in `grad`, of bfloat16."""
        if add.merges:
            assert parameter.grad is not None
            add_bfloat16(parameter.grad, gradient)
        else:
            view = self.slot(add.place).views[self.layout.places[id(parameter)]]
            parameter.grad = view.copy_(gradient)

    @torch.no_grad()
    def take(self, add: Add, number: int) -> None:
        """After it: keep the gradients of one bucket, and make the additions that are due."""
        bucket = self.layout.buckets[number]
        if not add.merges:
            views = self.slot(add.place).views
            pairs = [(views[place], self.layout.parameters[place].grad) for place in bucket.parameters]
            elsewhere = [(view, gradient) for view, gradient in pairs if gradient is not None and gradient is not view]
            if elsewhere:
                into, left = zip(*elsewhere, strict=True)
                torch._foreach_copy_(into, left)
        for place in range(add.place - 1, add.place - add.merges, -1):
            self.slots[place - 1].flat[bucket.span] += self.slots[place].flat[bucket.span]

    def piece(self, place: int, number: int) -> Tensor:
        """One bucket of the sum at `place`."""
        return self.slot(place).flat[self.layout.buckets[number].span]
