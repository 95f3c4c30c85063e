"""The networks that Pythae trains: layer for layer those of our VAE at 28 x 28 (`cells.VAE_AT_28`), in plain torch.

Imported by both environments: Pythae's, which trains them, and ours, which scores them.
"""

import torch
from torch import Tensor, nn

LATENT, WIDTH, SIDE = 128, 32, 7


class Encoder(nn.Module):
    """(N, 1, 28, 28) to mean and log variance, (N, Z) each."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, WIDTH, 4, 2, 1, bias=False), nn.BatchNorm2d(WIDTH), nn.ReLU(),
            nn.Conv2d(WIDTH, 2 * WIDTH, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * WIDTH), nn.ReLU(),
            nn.Flatten(), nn.Linear(2 * WIDTH * SIDE * SIDE, 2 * LATENT),
        )  # fmt: skip

    def forward(self, x_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        mean_NZ, log_variance_NZ = self.layers(x_NCHW).chunk(2, dim=1)
        return mean_NZ, log_variance_NZ


class Decoder(nn.Module):
    """(N, Z) to logits (N, 1, 28, 28)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(LATENT, 2 * WIDTH * SIDE * SIDE, bias=False), nn.Unflatten(1, (2 * WIDTH, SIDE, SIDE)),
            nn.BatchNorm2d(2 * WIDTH), nn.ReLU(),
            nn.ConvTranspose2d(2 * WIDTH, WIDTH, 4, 2, 1, bias=False), nn.BatchNorm2d(WIDTH), nn.ReLU(),
            nn.ConvTranspose2d(WIDTH, 1, 4, 2, 1),
        )  # fmt: skip

    def forward(self, z_NZ: Tensor) -> Tensor:
        return self.layers(z_NZ)


def pixels(logits_NCHW: Tensor) -> Tensor:
    """What Pythae's decoders return. In float32 a sigmoid may be 1, whose logarithm its loss then cuts off."""
    return torch.sigmoid(logits_NCHW)
