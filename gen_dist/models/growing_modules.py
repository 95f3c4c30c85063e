"""Progressive growing of a DCGAN.

Karras, Aila, Laine, Lehtinen: "Progressive growing of GANs for improved quality, stability, and variation" (2017).
All layers exist from the first step. Each stage uses one level more, at the large end; its images leave the generator
and enter the discriminator by 1 x 1 convolutions of its own. While it fades in, those of the stage before are in use
beside them.

Shapes: N images, C channels, H = W the side of the present stage, Z latent.
"""

from collections.abc import Iterable
from itertools import pairwise

import torch
from torch import Tensor, nn

from gen_dist.draws import SampleDraws
from gen_dist.models.blocks import SPECTRAL_GAIN, Gain, activation, convolution
from gen_dist.models.convolution import Conv2d, ConvTranspose2d
from gen_dist.models.dcgan_layers import channels_at
from gen_dist.models.growing import GrowingSettings, growth_at
from gen_dist.models.growth import GrowingModule
from gen_dist.models.layers import Dropout, GhostBatchNorm, Reshape, Stack
from gen_dist.models.resampling import EnlargingConv2d, average, enlarge
from gen_dist.models.sides import pyramid
from gen_dist.models.spectral import SpectralConv2d


class Growing(GrowingModule):
    """What generator and discriminator have in common.

    Attributes:
        sides: of the stages' images, the first stage's first.
        index: the present stage, counted from 0.
        alpha: how much of it has faded in; 1 means all, and that the stage before is no more in use.
    """

    def __init__(self, settings: GrowingSettings, size: int) -> None:
        super().__init__()
        self.sides = settings.stage_sides(size)
        self.schedule = len(self.sides), settings.stage_steps, settings.fade_steps
        self.index, self.alpha = 0, 1.0

    @property
    def fading(self) -> bool:
        return self.alpha < 1

    @property
    def stage(self) -> tuple[int, bool]:
        return self.index, self.fading

    def at_step(self, step: int) -> None:
        self.index, self.alpha = growth_at(step, *self.schedule)

    def in_use(self) -> Iterable[nn.Parameter]:
        return [parameter for part in self.parts_in_use() for parameter in part.parameters()]

    def parts_in_use(self) -> list[nn.Module]:
        raise NotImplementedError

    def present(self, of_stages: nn.ModuleList) -> list[nn.Module]:
        """Of layers that belong to a stage each: the present stage's, and while it fades in the one's before."""
        return list(of_stages)[self.index - self.fading : self.index + 1]

    def reduce(self, x_NCHW: Tensor) -> Tensor:
        for _ in self.sides[self.index + 1 :]:
            x_NCHW = average(x_NCHW)
        return x_NCHW

    def shrink(self, x_NCHW: Tensor) -> Tensor:
        x_NCHW = self.reduce(x_NCHW)
        return self.blend(enlarge(average(x_NCHW), self.sides[self.index]), x_NCHW) if self.fading else x_NCHW

    def blend(self, former: Tensor, present: Tensor) -> Tensor:
        return torch.lerp(former, present, self.alpha)


class Generator(Growing):
    """z (N, Z) to images (N, C, H, W) in [-1, 1]; in eval mode they are enlarged to the full size."""

    def __init__(self, settings: GrowingSettings, size: int, channels: int) -> None:
        super().__init__(settings, size)
        sides, widths = levels_of(size, settings.generator_width)
        levels = [
            nn.Sequential(EnlargingConv2d(before, after, side, bias=False), GhostBatchNorm(after), nn.ReLU())
            for (before, after), side in zip(pairwise(widths), sides[1:], strict=True)
        ]
        start = len(sides) - len(self.sides)  # levels that all stages use
        self.start = nn.Sequential(
            Reshape(settings.latent, 1, 1),
            ConvTranspose2d(settings.latent, widths[0], sides[0], bias=False),
            GhostBatchNorm(widths[0]),
            nn.ReLU(),
            *levels[:start],
        )
        self.grown = nn.ModuleList(levels[start:])
        self.to_image = nn.ModuleList(nn.Sequential(Conv2d(width, channels, 1), nn.Tanh()) for width in widths[start:])

    def parts_in_use(self) -> list[nn.Module]:
        return [self.start, *self.grown[: self.index], *self.present(self.to_image)]

    def forward(self, z_NZ: Tensor) -> Tensor:
        former_NCHW = h_NCHW = self.start(z_NZ)
        for level in self.grown[: self.index]:
            former_NCHW, h_NCHW = h_NCHW, level(h_NCHW)
        x_NCHW = self.to_image[self.index](h_NCHW).float()
        if self.fading:
            former_NCHW = self.to_image[self.index - 1](former_NCHW).float()
            x_NCHW = self.blend(enlarge(former_NCHW, self.sides[self.index]), x_NCHW)
        return x_NCHW if self.training else self.to_full_size(x_NCHW)

    def to_full_size(self, x_NCHW: Tensor) -> Tensor:
        for side in self.sides[self.index + 1 :]:
            x_NCHW = enlarge(x_NCHW, side)
        return x_NCHW


class Discriminator(Growing):
    """Images (N, C, H, W) in [-1, 1], as `shrink` makes them, to logits (N,)."""

    def __init__(self, settings: GrowingSettings, size: int, channels: int) -> None:
        super().__init__(settings, size)
        sides, widths = levels_of(size, settings.discriminator_width)
        spectral = settings.discriminator_norm == "spectral"
        kind = SpectralConv2d if spectral else Conv2d
        levels = [
            Stack(
                *convolution(before, after, 4, side, 2, spectral=spectral),
                activation("leaky_relu"),
                Dropout(settings.dropout, f"dropout{side}", settings.dropout_kind),
            )
            for (after, before), side in zip(pairwise(widths), sides[1:], strict=True)
        ]
        start = len(sides) - len(self.sides)
        self.from_image = nn.ModuleList(
            nn.Sequential(kind(channels, width, 1), activation("leaky_relu")) for width in widths[start:]
        )
        self.grown = nn.ModuleList(levels[start:])
        self.end = Stack(
            *(layer for level in reversed(levels[:start]) for layer in level),
            kind(widths[0], 1, sides[0]),
            *([Gain(SPECTRAL_GAIN)] if spectral else []),
            Reshape(),
        )

    def parts_in_use(self) -> list[nn.Module]:
        return [*self.present(self.from_image), *self.grown[: self.index], self.end]

    def forward(self, x_NCHW: Tensor, draws: SampleDraws) -> Tensor:
        h_NCHW = self.from_image[self.index](x_NCHW)
        for stage in range(self.index, 0, -1):
            h_NCHW = self.grown[stage - 1](h_NCHW, draws)
            if self.fading and stage == self.index:
                former_NCHW = self.from_image[stage - 1](average(x_NCHW))
                h_NCHW = self.blend(former_NCHW, h_NCHW)
        return self.end(h_NCHW, draws).float()


def levels_of(size: int, width: int) -> tuple[list[int], list[int]]:
    """Sides from the smallest to `size`, and the channels of the features there."""
    sides = pyramid(size)
    return sides[::-1], [channels_at(width, level) for level in reversed(range(len(sides)))]
