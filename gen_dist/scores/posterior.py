"""What an encoder says of images, batch by batch: what the ELBO and tighter bounds are made of.

Shapes: N images of C x H x W, Z latent.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from gen_dist.draws import Draws, SampleDraws
from gen_dist.scores.inputs import blocks

Encoder = Callable[[Tensor, SampleDraws], tuple[Tensor, Tensor]]  # x_NCHW to mean_NZ, log_variance_NZ
Decoder = Callable[[Tensor], Tensor]  # z_NZ to logits_NCHW


def check(x_NCHW: Tensor, samples: int, batch_size: int) -> None:
    """Raises ValueError for what no score is defined of."""
    if x_NCHW.dtype != torch.float32 or x_NCHW.ndim != 4 or x_NCHW.numel() == 0:
        raise ValueError(f"images: {x_NCHW.dtype} {tuple(x_NCHW.shape)}; give float32 (N, C, H, W), at least 1 image")
    if not 0 <= float(x_NCHW.min()) <= float(x_NCHW.max()) <= 1:
        raise ValueError(f"images in {float(x_NCHW.min()):g} … {float(x_NCHW.max()):g}: give pixels in 0 … 1")
    if samples < 1 or batch_size < 1:
        raise ValueError(f"samples {samples}, batch_size {batch_size}: must be at least 1")


@dataclass(frozen=True)
class Posterior:
    """q(z|x) of the images at `positions`."""

    mean_NZ: Tensor
    log_variance_NZ: Tensor
    draws: Draws
    positions: np.ndarray

    def draw(self, sample: int) -> tuple[Tensor, Tensor]:
        """epsilon_NZ and the z_NZ made of it; the same for equal numbers."""
        draws = self.draws.at(sample, 0, self.positions, self.mean_NZ.device)
        epsilon_NZ = draws.normal("scores/epsilon", self.mean_NZ.shape[1])
        return epsilon_NZ, self.mean_NZ + torch.exp(0.5 * self.log_variance_NZ) * epsilon_NZ


def posteriors(
    encoder: Encoder, x_NCHW: Tensor, draws: Draws, batch_size: int, device: str | torch.device, first: int
) -> Iterator[tuple[slice, Tensor, Posterior]]:
    """Batch by batch: which images, they on the device, and what the encoder says of them."""
    for block in blocks(len(x_NCHW), batch_size):
        positions = np.arange(first + block.start, first + block.stop)
        x = x_NCHW[block].to(device)
        mean_NZ, log_variance_NZ = (part.float() for part in encoder(x, draws.at(0, 0, positions, device)))
        yield block, x, Posterior(mean_NZ, log_variance_NZ, draws, positions)


def per_image(nats_N: Tensor, images: int) -> Tensor:
    """As float64. Raises ValueError unless there is one number an image."""
    if nats_N.shape != (images,):
        raise ValueError(
            f"negative log likelihood of shape {tuple(nats_N.shape)}: give one number an image, ({images},)"
        )
    return nats_N.double()


@contextmanager
def evaluating(*parts: object) -> Iterator[None]:
    """Those that are modules in eval mode; afterwards every module in them is as it was."""
    modules = [module for part in parts if isinstance(part, nn.Module) for module in part.modules()]
    were = [module.training for module in modules]
    try:
        for module in modules:
            module.training = False
        yield
    finally:
        for module, was in zip(modules, were, strict=True):
            module.training = was
