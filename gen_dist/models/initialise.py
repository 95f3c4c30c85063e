"""Initial weights from the counter-based generator: every parameter's values depend on the seed and its name only."""

import math

import torch
from torch import Tensor, nn

from gen_dist.draws import Draws
from gen_dist.models.base import InitialWeights
from gen_dist.models.layers import GhostBatchNorm
from gen_dist.models.spectral import initialise_spectral


def initialise(name: str, module: nn.Module, draws: Draws, weights: InitialWeights) -> None:
    """Give the module `name` its first values.

    Weights `normal`: N(0, 0.02), norm scales N(1, 0.02), biases 0 (Radford et al. 2015). `uniform`: weights and biases
    U(-b, b) with b = 1 / sqrt(fan in), as torch's layers. `glorot`: weights U(-b, b) with b = sqrt(6 / (fan in + fan
    out)), biases 0 (Glorot and Bengio 2010), as Keras' layers. Norm scales are 1 with the last two.
    """
    for path, layer in module.named_modules():
        own = dict(layer.named_parameters(recurse=False))
        prefix = f"init/{name}/{path}."
        if isinstance(layer, GhostBatchNorm):
            scale = 0.02 * normal(draws, f"{prefix}weight", layer.weight) if weights == "normal" else 0.0
            layer.weight.data.fill_(1.0).add_(scale)
            layer.bias.data.zero_()
            layer.running_mean.zero_()
            layer.running_var.fill_(1.0)
        elif own:
            fill(own, prefix, draws, weights)
    initialise_spectral(name, module, draws)


def fill(own: dict[str, nn.Parameter], prefix: str, draws: Draws, weights: InitialWeights) -> None:
    """The weight and bias of one linear or convolutional layer."""
    weight = own["weight"]
    if weights == "normal":
        weight.data.copy_(0.02 * normal(draws, f"{prefix}weight", weight))
    elif weights == "uniform":
        for key, parameter in own.items():
            bound = 1 / math.sqrt(weight[0].numel())
            parameter.data.copy_(uniform(draws, f"{prefix}{key}", parameter) * bound)
    else:
        receptive = weight[0, 0].numel()  # a kernel's pixels
        bound = math.sqrt(6 / (receptive * (weight.shape[0] + weight.shape[1])))
        weight.data.copy_(uniform(draws, f"{prefix}weight", weight) * bound)
    if weights != "uniform" and "bias" in own:
        own["bias"].data.zero_()


def normal(draws: Draws, purpose: str, like: Tensor) -> Tensor:
    return torch.from_numpy(draws.array(purpose, tuple(like.shape)))


def uniform(draws: Draws, purpose: str, like: Tensor) -> Tensor:
    """In [-1, 1)."""
    return 2 * torch.from_numpy(draws.uniform_array(purpose, tuple(like.shape))) - 1
