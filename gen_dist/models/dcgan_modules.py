"""DCGAN (Radford, Metz, Chintala 2015: Unsupervised Representation Learning with Deep Convolutional GANs).

Shapes: N images, C channels, S = base * 2^levels pixels a side, Z latent.
"""

from itertools import pairwise

from torch import Tensor, nn

from gen_dist.draws import SampleDraws
from gen_dist.models.dcgan import DCGANSettings
from gen_dist.models.layers import Dropout, GhostBatchNorm, Reshape, Stack
from gen_dist.models.sides import pyramid

MOST_WIDENING = 8  # the paper's 1024 : 128, the tutorial's 512 : 64


def channels_at(width: int, level: int) -> int:
    """Channels `level` halvings away from the full-size side: doubled each time, at most 8 x width."""
    return width * min(2**level, MOST_WIDENING)


class Generator(nn.Module):
    """z (N, Z) to images (N, C, S, S) in [-1, 1]: transposed conv4 stride 2, ghost batch norm, ReLU; tanh."""

    def __init__(self, settings: DCGANSettings, size: int, channels: int) -> None:
        super().__init__()
        sides = pyramid(size)
        base, levels = sides[-1], len(sides) - 1
        widths = [channels_at(settings.generator_width, level) for level in reversed(range(levels))]
        layers: list[nn.Module] = [
            Reshape(settings.latent, 1, 1),
            nn.ConvTranspose2d(settings.latent, widths[0], base, bias=False),
            GhostBatchNorm(widths[0]),
            nn.ReLU(),
        ]
        for before, after in pairwise(widths):
            layers += [
                nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False),
                GhostBatchNorm(after),
                nn.ReLU(),
            ]
        layers += [nn.ConvTranspose2d(widths[-1], channels, 4, 2, 1, bias=False), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, z_NZ: Tensor) -> Tensor:
        return self.layers(z_NZ).float()


class Discriminator(nn.Module):
    """Images (N, C, S, S) in [-1, 1] to logits (N,): conv4 stride 2, LeakyReLU 0.2, norm but in the first layer."""

    def __init__(self, settings: DCGANSettings, size: int, channels: int) -> None:
        super().__init__()
        sides = pyramid(size)
        base, levels = sides[-1], len(sides) - 1
        layers: list[nn.Module] = []
        before = channels
        for level in range(levels):
            after = channels_at(settings.discriminator_width, level)
            layers.append(nn.Conv2d(before, after, 4, 2, 1, bias=False))
            if level > 0:
                layers.append(GhostBatchNorm(after))
            layers += [nn.LeakyReLU(0.2), Dropout(settings.dropout, f"dropout{level}")]
            before = after
        layers += [nn.Conv2d(before, 1, base, bias=False), Reshape()]
        self.layers = Stack(*layers)

    def forward(self, x_NCHW: Tensor, draws: SampleDraws) -> Tensor:
        return self.layers(x_NCHW, draws).float()
