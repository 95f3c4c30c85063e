"""The ELBO (Kingma and Welling 2013), with the sigma-VAE likelihood (Rybkin, Daniilidis, Levine 2021)."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gen_dist.config.objective import VAEObjectiveSettings
from gen_dist.data.loader import Microbatch
from gen_dist.draws import SampleDraws
from gen_dist.models.vae import VAESettings
from gen_dist.objectives.base import Committed, Losses, Phase

LEAST_LOG_SIGMA = -6.0  # as in the paper's code: keeps the density bounded when a microbatch is fitted exactly
LEAST_VARIANCE = 1e-12  # far below the above; the logarithm of an exact 0 has no gradient


class VAEObjective:
    reads_per_step = 1
    pixel_range = (0.0, 1.0)
    shown: tuple[str, ...] = ("encoder", "decoder")

    def __init__(self, model: VAESettings, settings: VAEObjectiveSettings) -> None:
        self.latent, self.beta = model.latent, settings.beta
        self.negative_log_likelihood = {"sigma": sigma_nll, "bernoulli": bernoulli_nll}[settings.likelihood]

    def next_phase(self, step: int, committed: Sequence[Committed]) -> Phase | None:
        return None if committed else Phase("vae", ("encoder", "decoder"), 0, "loss", self.loss)

    def loss(self, modules: Mapping[str, nn.Module], microbatch: Microbatch, draws: SampleDraws) -> Losses:
        x_NCHW = microbatch.images
        mean_NZ, log_variance_NZ = modules["encoder"](x_NCHW, draws)
        z_NZ = mean_NZ + torch.exp(0.5 * log_variance_NZ) * draws.normal("epsilon", self.latent)
        logits_NCHW = modules["decoder"](z_NZ)
        reconstruction = self.negative_log_likelihood(logits_NCHW, x_NCHW)
        kl = 0.5 * (mean_NZ**2 + log_variance_NZ.exp() - log_variance_NZ - 1).sum()
        squared_error = ((torch.sigmoid(logits_NCHW.detach()) - x_NCHW) ** 2).mean(dim=(1, 2, 3)).sum()
        return {
            "loss": reconstruction + self.beta * kl,
            "reconstruction": reconstruction.detach(),
            "kl": kl.detach(),
            "mse": squared_error,
        }

    def sample(self, modules: Mapping[str, nn.Module], draws: SampleDraws) -> Tensor:
        return torch.sigmoid(modules["decoder"](draws.normal("latent", self.latent)))

    def reconstruct(self, modules: Mapping[str, nn.Module], images: Tensor, draws: SampleDraws) -> Tensor:
        return torch.sigmoid(modules["decoder"](self.posterior_means(modules, images, draws)))

    def posterior_means(self, modules: Mapping[str, nn.Module], images: Tensor, draws: SampleDraws) -> Tensor:
        mean_NZ, _ = modules["encoder"](images, draws)
        return mean_NZ


def sigma_nll(logits_NCHW: Tensor, x_NCHW: Tensor) -> Tensor:
    """Gaussian negative log likelihood in nats, summed; its one variance is the microbatch's mean squared error."""
    squared_error = (torch.sigmoid(logits_NCHW) - x_NCHW) ** 2
    variance = squared_error.mean().clamp(min=LEAST_VARIANCE)
    log_sigma = LEAST_LOG_SIGMA + F.softplus(0.5 * variance.log() - LEAST_LOG_SIGMA)
    return (0.5 * squared_error * torch.exp(-2 * log_sigma) + log_sigma + 0.5 * math.log(2 * math.pi)).sum()


def bernoulli_nll(logits_NCHW: Tensor, x_NCHW: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits_NCHW, x_NCHW, reduction="sum")
