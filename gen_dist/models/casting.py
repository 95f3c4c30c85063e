"""Weights in the type that autocast computes in, made once a phase where autocast would make them for each microbatch.

(It keeps what it has made too, but gives it to nobody, and forgets it for weights that are not trained.) Their
gradients have that type too: who asks for them is spared a copy in float32 of each microbatch's.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Receive = Callable[[Tensor, Tensor], None]  # a weight, and its gradient of one backward pass, as it was cast


class CastingLayer(nn.Module):
    """Mixin in front of a layer with a `weight`; forward uses `cast_weight()`."""

    weight: Tensor

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.holds = False
        self.held: Tensor | None = None
        self.receive: Receive | None = None

    def cast_weight(self) -> Tensor:
        """The weight, or under autocast what it has become of it; its gradient goes to the weight."""
        dtype = autocast_type(self.weight.device)
        if dtype is None or self.weight.dtype == dtype:
            return self.weight
        differentiable = torch.is_grad_enabled() and self.weight.requires_grad
        if self.held is not None and self.held.requires_grad == differentiable:
            return self.held
        if differentiable and self.receive is not None and self.weight.device.type == "cpu":
            made = cast(self.weight.detach(), dtype).requires_grad_()
            made.register_post_accumulate_grad_hook(self.hand_over)
        else:
            made = cast(self.weight, dtype)
        if self.holds:
            self.held = made
        return made

    def hand_over(self, made: Tensor) -> None:
        """The gradient that backward has left."""
        gradient, made.grad = made.grad, None
        assert self.receive is not None
        assert gradient is not None
        self.receive(self.weight, gradient)


def cast(weight: Tensor, dtype: torch.dtype) -> Tensor:
    return weight.to(dtype)


class Linear(CastingLayer, nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.cast_weight(), self.bias)


@contextmanager
def weights_cast_once(modules: Iterable[nn.Module], receive: Receive | None = None) -> Iterator[None]:
    """Inside, layers keep what they have cast. Their weights must not change meanwhile. `receive`, if there is one,
    gets the gradients of those that are cast on the CPU, once in each backward pass; into `grad` they do not come.
    """
    layers = [layer for module in modules for layer in module.modules() if isinstance(layer, CastingLayer)]
    for layer in layers:
        layer.holds, layer.receive = True, receive
    try:
        yield
    finally:
        for layer in layers:
            layer.holds, layer.held, layer.receive = False, None, None


def autocast_type(device: torch.device) -> torch.dtype | None:
    """What autocast computes in here and now; None where it is off."""
    if not torch.amp.is_autocast_available(device.type) or not torch.is_autocast_enabled(device.type):
        return None
    return torch.get_autocast_dtype(device.type)
