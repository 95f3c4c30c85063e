"""The evidence lower bound (Kingma and Welling 2013), its KL weighted (Higgins et al. 2017) and warmed up."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from gen_dist.config.objective import VAEObjectiveSettings
from gen_dist.data.loader import Microbatch
from gen_dist.draws import SampleDraws
from gen_dist.models.base import ModelSettings
from gen_dist.objectives.base import Committed, Losses, Phase
from gen_dist.objectives.latent import Latent, charged_kl, draw_posterior, kl_to_normal
from gen_dist.objectives.likelihoods import likelihood


class VAEObjective:
    """One phase, which trains encoder and decoder."""

    reads_per_step = 1
    pixel_range = (0.0, 1.0)
    shown: tuple[str, ...] = ("encoder", "decoder")

    def __init__(self, model: ModelSettings, settings: VAEObjectiveSettings) -> None:
        self.latent = Latent(model.latent)
        self.negative_log_likelihood = likelihood(settings)
        self.beta, self.warmup_steps, self.free_bits = settings.beta, settings.kl_warmup_steps, settings.free_bits

    def next_phase(self, step: int, committed: Sequence[Committed]) -> Phase | None:
        return None if committed else Phase("vae", ("encoder", "decoder"), 0, "loss", self.loss)

    def loss(self, modules: Mapping[str, nn.Module], microbatch: Microbatch, draws: SampleDraws) -> Losses:
        x_NCHW = microbatch.images
        mean_NZ, log_variance_NZ = modules["encoder"](x_NCHW, draws)
        logits_NCHW = modules["decoder"](draw_posterior(mean_NZ, log_variance_NZ, draws))
        reconstruction = self.negative_log_likelihood(logits_NCHW, x_NCHW).sum()
        kl_NZ = kl_to_normal(mean_NZ, log_variance_NZ)
        squared_error = (torch.sigmoid(logits_NCHW.detach()) - x_NCHW) ** 2
        return {
            "loss": reconstruction + self.kl_weight(draws.step) * charged_kl(kl_NZ, self.free_bits),
            "reconstruction": reconstruction.detach(),
            "kl": kl_NZ.detach().sum(),  # the true one, without weight and free bits
            "mse": squared_error.mean(dim=(1, 2, 3)).sum(),
        }

    def kl_weight(self, step: int) -> float:
        """Of the step after `step` finished ones: rises in equal parts, to beta in the last step of the warm-up."""
        return self.beta * min(1.0, (step + 1) / max(1, self.warmup_steps))

    def decode(self, modules: Mapping[str, nn.Module], z_NZ: Tensor) -> Tensor:
        return torch.sigmoid(modules["decoder"](z_NZ))

    def posterior_means(self, modules: Mapping[str, nn.Module], images: Tensor, draws: SampleDraws) -> Tensor:
        mean_NZ, _ = modules["encoder"](images, draws)
        return mean_NZ
