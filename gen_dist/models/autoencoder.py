"""A VAE's encoder, and the decoder that is its mirror image (Kingma and Welling 2013: Auto-Encoding Variational Bayes).

Shapes: N images, C channels, H = W = the images' side, Z latent.
"""

from torch import Tensor, nn

from gen_dist.draws import SampleDraws
from gen_dist.models.blocks import Chain
from gen_dist.models.layer_list import Convolution, Linear, sides_down
from gen_dist.models.layers import Dropout, Stack
from gen_dist.models.vae import VAESettings


class Encoder(nn.Module):
    """Images (N, C, H, W) to the mean and log variance of q(z|x), each (N, Z)."""

    def __init__(self, settings: VAESettings, size: int, channels: int) -> None:
        super().__init__()
        chain = Chain(channels, size)
        for layer in settings.encoder_layers(size):
            if isinstance(layer, Convolution):
                chain.convolve(layer.channels or channels, layer.kernel, layer.stride, bias=not layer.norm)
            elif isinstance(layer, Linear):
                chain.linear(layer.features, bias=not layer.norm)
            if layer.norm:
                chain.normalise()
            chain.activate(settings.activation)
        chain.flatten()
        chain.add(Dropout(settings.dropout, "dropout"))
        chain.linear(2 * settings.latent)
        self.layers = Stack(*chain.layers)

    def forward(self, x_NCHW: Tensor, draws: SampleDraws) -> tuple[Tensor, Tensor]:
        mean_NZ, log_variance_NZ = self.layers(x_NCHW, draws).float().chunk(2, dim=1)
        return mean_NZ, log_variance_NZ


class Decoder(nn.Module):
    """z (N, Z) to logits of the pixels (N, C, H, W); their sigmoid is the image in [0, 1].

    Has batch norm where the encoder has it: after whatever makes as many channels of the same side.
    """

    def __init__(self, settings: VAESettings, size: int, channels: int) -> None:
        super().__init__()
        layers = settings.encoder_layers(size)
        linears = [layer for layer in layers if isinstance(layer, Linear)]
        convolutions = [layer for layer in layers if isinstance(layer, Convolution)]
        chain = Chain(settings.latent)

        def finish(norm: bool) -> None:
            if norm:
                chain.normalise()
            chain.activate(settings.activation)

        for linear in reversed(linears):
            chain.linear(linear.features, bias=not linear.norm)
            finish(linear.norm)
        # The encoder's images, from the first, which is its input: side, channels, whether they come from batch norm.
        sides = sides_down(layers, size)
        widths = [channels, *(layer.channels or channels for layer in convolutions)]
        norms = [False, *(layer.norm for layer in convolutions)]
        chain.linear(widths[-1] * sides[-1] ** 2, bias=not norms[-1])
        chain.unflatten(widths[-1], sides[-1])
        for i, layer in reversed(list(enumerate(convolutions))):
            finish(norms[i + 1])
            chain.convolve_back(widths[i], layer.kernel, layer.stride, sides[i], bias=not norms[i])
        self.layers = nn.Sequential(*chain.layers)

    def forward(self, z_NZ: Tensor) -> Tensor:
        return self.layers(z_NZ).float()
