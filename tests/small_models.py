"""Modules of a family's settings, as `gen_dist.models.build` makes them, without a configuration around them."""

import numpy as np
import torch
from torch import Tensor, nn

from gen_dist.draws import Draws, SampleDraws
from gen_dist.models.base import ModelSettings
from gen_dist.models.initialise import initialise


def built(settings: ModelSettings, size: int, channels: int, seed: int = 0) -> dict[str, nn.Module]:
    with torch.device("meta"):
        modules = settings.networks(size, channels)
    for name, module in modules.items():
        module.to_empty(device="cpu")
        for tensor in (*module.parameters(), *module.buffers()):
            tensor.data.fill_(torch.nan)  # what is not initialised shows
        initialise(name, module, Draws(seed), settings.initial_weights)
        module.to(memory_format=torch.channels_last)
    return modules


def draws_of(count: int, step: int = 0) -> SampleDraws:
    return Draws(1).at(step, 0, np.arange(count))


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Float32; channels_last where it has four dimensions."""
    values = torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype(np.float32))
    return values.contiguous(memory_format=torch.channels_last) if len(shape) == 4 else values


def state_of(module: nn.Module) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in module.state_dict().items()}


def same_state(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)
