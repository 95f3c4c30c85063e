"""Torch's optimisers without torch's compiler, which they import only to tell it what it must not compile.

That took a fifth of the processor time of a worker's start.
"""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import SGD, Adam, Optimizer


class LeanAdam(Adam):
    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        return inspect.unwrap(Adam.step)(self, closure)


class LeanSGD(SGD):
    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        return inspect.unwrap(SGD.step)(self, closure)


def leave_compiler_out() -> None:
    """What torch keeps from its compiler is called as it is. Before the first optimiser is made."""
    for method in (Optimizer.add_param_group, Optimizer.zero_grad, Optimizer.state_dict, Optimizer.load_state_dict):
        plain = inspect.unwrap(method)
        if plain is not method and not hasattr(plain, "__dynamo_disable"):
            plain.__dynamo_disable = plain  # where torch keeps what its compiler has made of it
