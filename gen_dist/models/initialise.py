"""Initial weights from the counter-based generator: every parameter's values depend on the seed and its name only."""

import math

import torch
from torch import nn

from gen_dist.draws import Draws
from gen_dist.models.layers import GhostBatchNorm
from gen_dist.models.spectral import initialise_spectral


def initialise_dcgan(name: str, module: nn.Module, draws: Draws) -> None:
    """Weights N(0, 0.02), norm scales N(1, 0.02), biases 0 (Radford et al. 2015)."""
    for key, parameter in module.named_parameters():
        is_scale = isinstance(module.get_submodule(key.rpartition(".")[0]), GhostBatchNorm)
        if key.endswith("bias"):
            parameter.data.zero_()
            continue
        normal = torch.from_numpy(draws.array(f"init/{name}/{key}", parameter.shape))
        parameter.data.copy_(0.02 * normal + (1.0 if is_scale else 0.0))
    reset_running_statistics(module)
    initialise_spectral(name, module, draws)


def initialise_uniform(name: str, module: nn.Module, draws: Draws) -> None:
    """Weights and biases U(-b, b) with b = 1 / sqrt(fan in), norm scales 1: what torch's layers do by default."""
    for path, layer in module.named_modules():
        own = dict(layer.named_parameters(recurse=False))
        if isinstance(layer, GhostBatchNorm):
            layer.weight.data.fill_(1.0)
            layer.bias.data.zero_()
        elif own:
            bound = 1 / math.sqrt(own["weight"][0].numel())
            for key, parameter in own.items():
                uniform = torch.from_numpy(draws.uniform_array(f"init/{name}/{path}.{key}", parameter.shape))
                parameter.data.copy_((2 * uniform - 1) * bound)
    reset_running_statistics(module)
    initialise_spectral(name, module, draws)


def reset_running_statistics(module: nn.Module) -> None:
    for layer in module.modules():
        if isinstance(layer, GhostBatchNorm):
            layer.running_mean.zero_()
            layer.running_var.fill_(1.0)
