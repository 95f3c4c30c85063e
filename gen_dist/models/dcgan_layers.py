"""DCGAN's layers (Radford, Metz, Chintala 2015: Unsupervised Representation Learning with Deep Convolutional GANs)."""

from gen_dist.models.adversaries import Discriminator, Generator
from gen_dist.models.blocks import Chain
from gen_dist.models.dcgan import DCGANSettings
from gen_dist.models.layers import Dropout
from gen_dist.models.sides import pyramid

MOST_WIDENING = 8  # the paper's 1024 : 128, the tutorial's 512 : 64


def channels_at(width: int, level: int) -> int:
    """Channels `level` halvings away from the full-size side: doubled each time, at most 8 x width."""
    return width * min(2**level, MOST_WIDENING)


def generator(settings: DCGANSettings, size: int, channels: int) -> Generator:
    """Transposed convolutions of stride 2, or enlarging and convolutions; batch norm and ReLU, at the end tanh."""
    sides = pyramid(size)[::-1]
    widths = [channels_at(settings.generator_width, level) for level in reversed(range(len(sides) - 1))]
    chain = Chain(settings.latent)
    chain.spread(widths[0], sides[0])
    for after, side in zip([*widths[1:], channels], sides[1:], strict=True):
        chain.normalise()
        chain.activate("relu")
        if settings.up == "transpose":
            chain.convolve_back(after, settings.generator_kernel, 2, side, bias=False)
        else:
            chain.enlarge(side)
            chain.convolve(after, settings.generator_kernel, bias=False)
    chain.activate("tanh")
    return Generator(chain.layers)


def discriminator(settings: DCGANSettings, size: int, channels: int) -> Discriminator:
    """Convolutions of stride 2, norm but in the first layer, LeakyReLU 0.2; without batch norm they have biases."""
    sides = pyramid(size)
    batch_norm = settings.discriminator_norm == "batch"
    chain = Chain(channels, size, spectral=settings.discriminator_norm == "spectral")
    levels = []
    for level in range(len(sides) - 1):
        after = channels_at(settings.discriminator_width, level)
        chain.convolve(after, settings.discriminator_kernel, 2, bias=not batch_norm)
        if batch_norm and level > 0:
            chain.normalise()
        chain.activate("leaky_relu")
        chain.add(Dropout(settings.dropout, f"dropout{level}", settings.dropout_kind))
        levels.append(len(chain.layers))
    chain.convolve_inside(1, sides[-1], bias=not batch_norm)
    chain.to_logits()
    return Discriminator(chain.layers, features_after=levels[-2:][0])
