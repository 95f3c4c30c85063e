"""The two players of a GAN (Goodfellow et al. 2014), whatever layers they consist of.

Shapes: N images, C channels, H = W = the images' side, Z latent.
"""

from collections.abc import Iterable

from torch import Tensor, nn

from gen_dist.draws import SampleDraws
from gen_dist.models.layers import Stack


class Generator(nn.Module):
    """z (N, Z) to images (N, C, H, W) in [-1, 1]."""

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, z_NZ: Tensor) -> Tensor:
        return self.layers(z_NZ).float()


class Discriminator(nn.Module):
    """Images (N, C, H, W) in [-1, 1] to logits (N,)."""

    def __init__(self, layers: Iterable[nn.Module], features_after: int) -> None:
        """`features_after` layers make the features; the others turn them into the logit."""
        super().__init__()
        self.layers = Stack(*layers)
        self.features_after = features_after

    def forward(self, x_NCHW: Tensor, draws: SampleDraws) -> Tensor:
        return self.layers(x_NCHW, draws).float()

    def with_features(self, x_NCHW: Tensor, draws: SampleDraws) -> tuple[Tensor, Tensor]:
        """The logits, and what the last but one level makes of the images: (N, C', H', W'), or (N, C') if it is linear.

        With one level only, what that one makes.
        """
        features = self.layers.part(x_NCHW, draws, 0, self.features_after)
        logits_N = self.layers.part(features, draws, self.features_after, len(self.layers))
        return logits_N.float(), features.float()
