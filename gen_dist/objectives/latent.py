"""The latent vector z: its prior, an encoder's posterior, and how far that is from N(0, 1).

Shapes: N images, Z latent values.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from gen_dist.draws import SampleDraws


@dataclass(frozen=True)
class Latent:
    """What z is drawn from when nothing is encoded: each of its values from N(0, 1), or from U(-1, 1)."""

    size: int
    prior: Literal["normal", "uniform"] = "normal"

    def draw(self, draws: SampleDraws) -> Tensor:
        """z_NZ, float32."""
        if self.prior == "uniform":
            return draws.uniform("latent", self.size, low=-1.0, high=1.0)
        return draws.normal("latent", self.size)


def draw_posterior(mean_NZ: Tensor, log_variance_NZ: Tensor, draws: SampleDraws) -> Tensor:
    """z ~ N(mean, variance), with a gradient to both (the reparametrisation of Kingma and Welling 2013)."""
    return mean_NZ + torch.exp(0.5 * log_variance_NZ) * draws.normal("epsilon", mean_NZ.shape[1])


def kl_to_normal(mean_NZ: Tensor, log_variance_NZ: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, 1)) of each latent value, in nats (N, Z)."""
    return 0.5 * (mean_NZ**2 + log_variance_NZ.exp() - log_variance_NZ - 1)


def charged_kl(kl_NZ: Tensor, free_bits: float) -> Tensor:
    """What the KL costs, summed over images, if each latent value has `free_bits` nats for nothing.

    As in Kingma et al. 2016 (Improved Variational Inference with Inverse Autoregressive Flow): the mean over the
    microbatch of each latent value's KL costs at least `free_bits`, and has no gradient below it. That mean is the
    microbatch's, never the batch's, so that the result does not depend on who computes what.
    """
    if free_bits == 0:
        return kl_NZ.sum()
    return len(kl_NZ) * kl_NZ.mean(dim=0).clamp(min=free_bits).sum()
