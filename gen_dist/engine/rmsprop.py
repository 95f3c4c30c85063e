"""Torch's RMSprop, in one pass over memory: torch has such steps for Adam and SGD only."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import RMSprop

from gen_dist.engine.flat import in_memory, laid_out_like
from gen_dist.kernels import rmsprop


class FusedRMSprop(RMSprop):
    """For float32 parameters on the CPU; where there are others, the step is torch's own."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        used = [(p, group) for group in self.param_groups for p in group["params"] if p.grad is not None]
        if closure is not None or not all(map(self.is_plain, (parameter for parameter, _ in used))):
            return super().step(closure)
        for parameter, group in used:
            state = self.state[parameter]
            state["step"] += 1
            rmsprop.step(
                in_memory(parameter),
                in_memory(laid_out_like(gradient_of(parameter), parameter)),
                in_memory(state["square_avg"]),
                in_memory(state["momentum_buffer"]) if group["momentum"] else None,
                rate=group["lr"],
                decay=group["alpha"],
                epsilon=group["eps"],
                momentum=group["momentum"],
            )
            torch.autograd.graph.increment_version(parameter)  # NumPy does not tell autograd that it has written
        return None

    def is_plain(self, parameter: nn.Parameter) -> bool:
        """Whether it is float32 on the CPU without gaps, and what is kept for it lies in memory as it does."""
        kept = [tensor for name, tensor in self.state[parameter].items() if name != "step"]
        plain = parameter.device.type == "cpu" and parameter.dtype == torch.float32
        dense = parameter.is_contiguous() or parameter.is_contiguous(memory_format=torch.channels_last)
        return plain and dense and all(tensor.stride() == parameter.stride() for tensor in kept)


def gradient_of(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad
