"""SNGAN's networks (Miyato, Kataoka, Koyama, Yoshida 2018: Spectral Normalization for Generative Adversarial Networks).

`plain` are those of its first experiments. `residual` ones are made for few images and little time: the discriminator
has the residual blocks of Gulrajani et al. 2017, but looks at the full size with one convolution of stride 2, fuses its
other convolutions with the halving beside them, and sees where in the image its last features are, since they are not
summed over it. The generator has no blocks: with them it was slower to give each z an image of its own.
"""

from torch import Tensor, nn

from gen_dist.models.adversaries import Discriminator, Generator
from gen_dist.models.blocks import Chain
from gen_dist.models.convolution import Conv2d
from gen_dist.models.dcgan_layers import channels_at
from gen_dist.models.layers import Dropout
from gen_dist.models.resampling import Average, AveragingConv2d, SpectralAveragingConv2d
from gen_dist.models.sides import halve, pyramid
from gen_dist.models.sngan import SNGANSettings
from gen_dist.models.spectral import SpectralConv2d

PLAIN_SLOPE = 0.1  # of the plain discriminator's LeakyReLU


class Residual(nn.Module):
    """What two chains of layers make of the same input, added."""

    def __init__(self, main: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.main, self.shortcut = main, shortcut

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return self.main(x_NCHW) + self.shortcut(x_NCHW)


def generator(settings: SNGANSettings, size: int, channels: int) -> Generator:
    """Linear to the smallest side, transposed conv4 after norm and ReLU at each level, tanh.

    The last one makes the image; plain networks have a conv3 after it for that, at the full size.
    """
    plain = settings.blocks == "plain"
    sides = pyramid(size)[::-1]
    feature_sides = sides if plain else sides[:-1]
    widths = [channels_at(settings.generator_width, level) for level in reversed(range(len(feature_sides)))]
    chain = Chain(settings.latent)
    chain.linear(widths[0] * sides[0] ** 2, bias=False)
    chain.unflatten(widths[0], sides[0])
    for after, side in zip(widths[1:], feature_sides[1:], strict=True):
        chain.normalise()
        chain.activate("relu")
        chain.convolve_back(after, 4, 2, side, bias=False)
    chain.normalise()
    chain.activate("relu")
    if plain:
        chain.convolve(channels, 3)
    else:
        chain.convolve_back(channels, 4, 2, size)
    chain.activate("tanh")
    return Generator(chain.layers)


def discriminator(settings: SNGANSettings, size: int, channels: int) -> Discriminator:
    """To the smallest side level by level; spectral norm, if any, of every weight."""
    if settings.blocks == "plain":
        return plain_discriminator(settings, size, channels)
    spectral = settings.discriminator_norm == "spectral"
    chain = Chain(channels, size, spectral)
    levels = []
    for level, side in enumerate(pyramid(size)[:-1]):
        after = channels_at(settings.discriminator_width, level)
        if level == 0:
            chain.convolve(after, 4, 2)
        else:
            chain.reshape(averaging_block(chain.channels, after, spectral), after, halve(side))
        chain.add(Dropout(settings.dropout, f"dropout{level}", settings.dropout_kind))
        levels.append(len(chain.layers))
    chain.activate("relu")
    chain.linear(1)
    chain.to_logits()
    return Discriminator(chain.layers, features_after=levels[-2:][0])


def averaging_block(before: int, after: int, spectral: bool) -> Residual:
    """To half the side. The shortcut averages before it convolves: the same, at a quarter of the cost."""
    kind, averaging = (SpectralConv2d, SpectralAveragingConv2d) if spectral else (Conv2d, AveragingConv2d)
    main = nn.Sequential(nn.ReLU(), kind(before, before, 3, 1, 1), nn.ReLU(), averaging(before, after))
    return Residual(main, nn.Sequential(Average(), kind(before, after, 1)))


def plain_discriminator(settings: SNGANSettings, size: int, channels: int) -> Discriminator:
    """conv3, conv4 stride 2 at each level, conv3, linear; LeakyReLU 0.1 after each but the last."""
    chain = Chain(channels, size, spectral=settings.discriminator_norm == "spectral")
    levels = []
    for level, _ in enumerate(pyramid(size)[:-1]):
        width = channels_at(settings.discriminator_width, level)
        chain.convolve(width, 3)
        chain.add(nn.LeakyReLU(PLAIN_SLOPE))
        chain.convolve(width, 4, 2)
        chain.add(nn.LeakyReLU(PLAIN_SLOPE), Dropout(settings.dropout, f"dropout{level}", settings.dropout_kind))
        levels.append(len(chain.layers))
    chain.convolve(channels_at(settings.discriminator_width, len(levels)), 3)
    chain.add(nn.LeakyReLU(PLAIN_SLOPE))
    chain.linear(1)
    chain.to_logits()
    return Discriminator(chain.layers, features_after=levels[-2:][0])
