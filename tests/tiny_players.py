"""Networks of a few hundred weights, for tests of objectives: 8 x 8 images of 3 channels, 3 latent values."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gen_dist.data.loader import Microbatch
from gen_dist.draws import Draws, SampleDraws
from gen_dist.models.layers import Dropout

LATENT, CHANNELS, SIDE, IMAGES = 3, 3, 8, 6
PIXELS = CHANNELS * SIDE * SIDE


class Generator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(LATENT, PIXELS)

    def forward(self, z_NZ: Tensor) -> Tensor:
        return torch.tanh(self.layer(z_NZ)).view(-1, CHANNELS, SIDE, SIDE)


class Discriminator(nn.Module):
    """Remembers the images it was shown, in `seen`."""

    def __init__(self, first: nn.Module | None = None) -> None:
        super().__init__()
        self.first = nn.Conv2d(CHANNELS, 5, 3, stride=2) if first is None else first
        self.dropout = Dropout(0.3, "dropout")
        self.second, self.last = nn.Conv2d(5, 4, 2), nn.Linear(16, 1)
        self.seen: list[Tensor] = []

    def with_features(self, x_NCHW: Tensor, draws: SampleDraws) -> tuple[Tensor, Tensor]:
        self.seen.append(x_NCHW.detach().clone())
        features = self.dropout(F.leaky_relu(self.first(x_NCHW), 0.2), draws)
        return self.last(torch.tanh(self.second(features)).flatten(1)).squeeze(1), features

    def forward(self, x_NCHW: Tensor, draws: SampleDraws) -> Tensor:
        return self.with_features(x_NCHW, draws)[0]


class LinearDiscriminator(nn.Module):
    """Its gradient with respect to every image is its weight."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(PIXELS, 1)

    def forward(self, x_NCHW: Tensor, draws: SampleDraws) -> Tensor:
        return self.layer(x_NCHW.flatten(1)).squeeze(1)


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(PIXELS, 2 * LATENT)

    def forward(self, x_NCHW: Tensor, draws: SampleDraws) -> tuple[Tensor, Tensor]:
        mean_NZ, log_variance_NZ = self.layer(x_NCHW.flatten(1)).chunk(2, dim=1)
        return mean_NZ, log_variance_NZ


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(LATENT, PIXELS)

    def forward(self, z_NZ: Tensor) -> Tensor:
        return self.layer(z_NZ).view(-1, CHANNELS, SIDE, SIDE)


def with_weights(seed: int, **modules: nn.Module) -> dict[str, nn.Module]:
    """The modules, their parameters drawn from N(0, 0.3)."""
    generator = np.random.default_rng(seed)
    for module in modules.values():
        for parameter in module.parameters():
            values = generator.normal(0, 0.3, parameter.shape).astype(np.float32)
            parameter.data.copy_(torch.from_numpy(values))
    return modules


def images(low: float = -1.0, seed: int = 1) -> Tensor:
    """In [low, 1], channels_last."""
    values = np.random.default_rng(seed).uniform(low, 1, (IMAGES, SIDE, SIDE, CHANNELS)).astype(np.float32)
    return torch.from_numpy(values).permute(0, 3, 1, 2)


def microbatch(x_NCHW: Tensor) -> Microbatch:
    places = np.arange(len(x_NCHW))
    return Microbatch(0, places, places, x_NCHW)


def draws(step: int = 0, phase: int = 0, count: int = IMAGES) -> SampleDraws:
    return Draws(5).at(step, phase, np.arange(count))


def gradients(loss: Tensor, modules: Mapping[str, nn.Module], names: Sequence[str]) -> dict[str, Tensor]:
    """Of the loss: one vector a module."""
    found = {}
    for name in names:
        parts = torch.autograd.grad(loss, list(modules[name].parameters()), retain_graph=True)
        found[name] = torch.cat([part.flatten() for part in parts])
    return found


def reached(loss: Tensor, modules: Mapping[str, nn.Module]) -> set[str]:
    """Names of the modules to which the loss has a gradient, whoever is frozen."""
    return {
        name
        for name, module in modules.items()
        if any(p is not None for p in torch.autograd.grad(loss, [*module.parameters()], retain_graph=True,
                                                           allow_unused=True))
    }  # fmt: skip
