"""Convolutional VAE (Kingma and Welling 2013: Auto-Encoding Variational Bayes).

Shapes: N images, C channels, S = base * 2^levels pixels a side, Z latent.
"""

from itertools import pairwise

from torch import Tensor, nn

from gen_dist.draws import SampleDraws
from gen_dist.models.layers import Dropout, GhostBatchNorm, Reshape, Stack
from gen_dist.models.sides import pyramid
from gen_dist.models.vae import VAESettings


class Encoder(nn.Module):
    """Images (N, C, S, S) to the mean and log variance of q(z|x), each (N, Z)."""

    def __init__(self, settings: VAESettings, size: int, channels: int) -> None:
        super().__init__()
        sides = pyramid(size)
        base, levels = sides[-1], len(sides) - 1
        layers: list[nn.Module] = []
        before = channels
        for level in range(levels):
            after = settings.width * 2**level
            layers += [nn.Conv2d(before, after, 4, 2, 1, bias=False), GhostBatchNorm(after), nn.ReLU()]
            before = after
        layers += [Reshape(before * base * base), Dropout(settings.dropout, "dropout")]
        self.layers = Stack(*layers, nn.Linear(before * base * base, 2 * settings.latent))

    def forward(self, x_NCHW: Tensor, draws: SampleDraws) -> tuple[Tensor, Tensor]:
        mean_NZ, log_variance_NZ = self.layers(x_NCHW, draws).float().chunk(2, dim=1)
        return mean_NZ, log_variance_NZ


class Decoder(nn.Module):
    """z (N, Z) to logits of the pixels (N, C, S, S); their sigmoid is the image in [0, 1]."""

    def __init__(self, settings: VAESettings, size: int, channels: int) -> None:
        super().__init__()
        sides = pyramid(size)
        base, levels = sides[-1], len(sides) - 1
        widths = [settings.width * 2**level for level in reversed(range(levels))]
        layers: list[nn.Module] = [
            nn.Linear(settings.latent, widths[0] * base * base, bias=False),
            Reshape(widths[0], base, base),
            GhostBatchNorm(widths[0]),
            nn.ReLU(),
        ]
        for before, after in pairwise(widths):
            layers += [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False), GhostBatchNorm(after), nn.ReLU()]
        layers.append(nn.ConvTranspose2d(widths[-1], channels, 4, 2, 1))
        self.layers = nn.Sequential(*layers)

    def forward(self, z_NZ: Tensor) -> Tensor:
        return self.layers(z_NZ).float()
