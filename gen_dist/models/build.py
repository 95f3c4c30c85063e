"""The modules of a configuration, initialised: what `model.family` names."""

import torch
from torch import nn

from gen_dist.config import RunConfig
from gen_dist.draws import Draws
from gen_dist.models.initialise import initialise

Modules = dict[str, nn.Module]


def build_modules(config: RunConfig, channels: int, device: str | torch.device = "cpu") -> Modules:
    """Modules by name, in training mode, channels_last, with weights that depend on the seed only."""
    modules = construct(config, channels)
    draws = Draws(config.seed)
    for name, module in modules.items():
        allocate(module)
        initialise(name, module, draws, config.model.initial_weights)
        module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return modules


def allocate(module: nn.Module) -> None:
    """Memory for what has none: as `to_empty`, which imports a library of symbolic algebra for it."""
    module._apply(lambda tensor: torch.empty(tensor.shape, dtype=tensor.dtype))


def construct(config: RunConfig, channels: int) -> Modules:
    """Modules without values: it allocates nothing, and draws nothing from torch's global generator."""
    with torch.device("meta"):
        return config.model.networks(config.data.size, channels)


def count_parameters(config: RunConfig, channels: int = 3) -> dict[str, int]:
    """Parameters of each module, without allocating them."""
    modules = construct(config, channels)
    return {name: sum(p.numel() for p in module.parameters()) for name, module in modules.items()}
