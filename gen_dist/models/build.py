"""The modules of a configuration, initialised: what `model.family` names."""

from collections.abc import Callable

import torch
from torch import nn

from gen_dist.config import DCGANSettings, RunConfig
from gen_dist.draws import Draws
from gen_dist.models.dcgan import Discriminator, Generator
from gen_dist.models.initialise import initialise_dcgan, initialise_uniform
from gen_dist.models.vae import Decoder, Encoder

Modules = dict[str, nn.Module]


def build_modules(config: RunConfig, channels: int, device: str | torch.device = "cpu") -> Modules:
    """Modules by name, in training mode, channels_last, with weights that depend on the seed only."""
    with torch.device("meta"):  # allocates nothing and draws nothing from torch's global generator
        modules, initialise = construct(config, channels)
    draws = Draws(config.seed)
    for name, module in modules.items():
        module.to_empty(device="cpu")
        initialise(name, module, draws)
        module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return modules


def construct(config: RunConfig, channels: int) -> tuple[Modules, Callable[[str, nn.Module, Draws], None]]:
    """Modules without values, and the function that gives them their first ones."""
    model, size = config.model, config.data.size
    if isinstance(model, DCGANSettings):
        return {
            "generator": Generator(model, size, channels),
            "discriminator": Discriminator(model, size, channels),
        }, initialise_dcgan
    return {"encoder": Encoder(model, size, channels), "decoder": Decoder(model, size, channels)}, initialise_uniform


def count_parameters(config: RunConfig, channels: int = 3) -> dict[str, int]:
    """Parameters of each module, without allocating them."""
    with torch.device("meta"):
        modules, _ = construct(config, channels)
    return {name: sum(p.numel() for p in module.parameters()) for name, module in modules.items()}
