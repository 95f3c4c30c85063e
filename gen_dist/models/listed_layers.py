"""Generator and discriminator from lists of layers (Goodfellow et al. 2014, and what others drew up since)."""

from gen_dist.models.adversaries import Discriminator, Generator
from gen_dist.models.blocks import Chain
from gen_dist.models.gan import GANSettings
from gen_dist.models.layer_list import Convolution, Layer, Linear, Map, doublings
from gen_dist.models.layers import Dropout


def generator(settings: GANSettings, size: int, channels: int) -> Generator:
    """The activation after each layer but the last, and a map that has none; at the end tanh. Linear layers only: one
    more makes the pixels."""
    layers, _ = settings.parsed()
    chain = Chain(settings.latent)
    for i, layer in enumerate(layers):
        if isinstance(layer, Linear):
            chain.linear(layer.features, bias=not layer.norm)
            if layer.norm:
                chain.normalise()
        elif isinstance(layer, Map):
            add_map(chain, layer, size // 2 ** doublings(layers))
        else:
            add_doubling(chain, layer, channels)
        if isinstance(layer, Linear) or (i + 1 < len(layers) and not (isinstance(layer, Map) and layer.linear)):
            chain.activate(settings.generator_activation)
    if isinstance(layers[-1], Linear):
        chain.linear(channels * size**2)
        chain.unflatten(channels, size)
    chain.activate("tanh")
    return Generator(chain.layers)


def add_map(chain: Chain, layer: Map, side: int) -> None:
    chain.linear(layer.channels * side**2, bias=layer.norm is None)
    if layer.norm == "feature":
        chain.normalise()
    chain.unflatten(layer.channels, side)
    if layer.norm == "channel":
        chain.normalise()


def add_doubling(chain: Chain, layer: Convolution, channels: int) -> None:
    """A generator's convolution, which doubles the side or keeps it; `channels` are the image's."""
    after, bias = layer.channels or channels, not layer.norm
    if layer.up == "transpose":
        chain.convolve_back(after, layer.kernel, 2, 2 * chain.image_side, bias)
    else:
        if layer.up == "resize":
            chain.enlarge(2 * chain.image_side)
        chain.convolve(after, layer.kernel, bias=bias)
    if layer.norm:
        chain.normalise()


def discriminator(settings: GANSettings, size: int, channels: int) -> Discriminator:
    """Each layer, then batch norm, activation, pooling, dropout; with `norm_place` after, batch norm after dropout."""
    _, layers = settings.parsed()
    chain = Chain(channels, size, spectral=settings.discriminator_norm == "spectral")
    ends: dict[type[Layer], list[int]] = {Convolution: [], Linear: []}
    for i, layer in enumerate(layers):
        norm = bool(layer.norm) and settings.discriminator_norm == "batch"
        norm_first, norm_last = norm and settings.norm_place == "before", norm and settings.norm_place == "after"
        if isinstance(layer, Convolution):
            convolve = chain.convolve_inside if layer.valid else chain.convolve
            convolve(layer.channels or channels, layer.kernel, layer.stride, bias=not norm_first)
        elif isinstance(layer, Linear):
            chain.linear(layer.features, bias=not norm_first)
        if norm_first:
            chain.normalise()
        chain.activate(settings.discriminator_activation)
        if isinstance(layer, Convolution) and layer.pool:
            chain.pool(layer.pool)
        chain.add(Dropout(settings.dropout, f"dropout{i}", settings.dropout_kind))
        if norm_last:
            chain.normalise()
        ends[type(layer)].append(len(chain.layers))
    chain.linear(1)
    chain.to_logits()
    return Discriminator(chain.layers, features_after=(ends[Convolution] or ends[Linear])[-2:][0])
