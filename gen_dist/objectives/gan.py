"""The non-saturating GAN game (Goodfellow et al. 2014) with one-sided label smoothing (Salimans et al. 2016)."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gen_dist.config.objective import GANObjectiveSettings
from gen_dist.data.loader import Microbatch
from gen_dist.draws import SampleDraws
from gen_dist.models.base import AdversarialSettings
from gen_dist.objectives.base import Committed, Losses, Phase


class GANObjective:
    """k discriminator phases, each on its own real batch, then one generator phase."""

    pixel_range = (-1.0, 1.0)
    shown: tuple[str, ...] = ("generator",)

    def __init__(self, model: AdversarialSettings, settings: GANObjectiveSettings) -> None:
        self.latent, self.real_label = model.latent, settings.real_label
        self.reads_per_step = settings.discriminator_steps

    def next_phase(self, step: int, committed: Sequence[Committed]) -> Phase | None:
        done = len(committed)
        if done < self.reads_per_step:
            return Phase("discriminator", ("discriminator",), done, "discriminator_loss", self.discriminator_loss)
        if done == self.reads_per_step:
            return Phase("generator", ("generator",), None, "generator_loss", self.generator_loss)
        return None

    def discriminator_loss(
        self, modules: Mapping[str, nn.Module], microbatch: Microbatch, draws: SampleDraws
    ) -> Losses:
        with torch.no_grad():
            fake_NCHW = modules["generator"](draws.normal("latent", self.latent))
        # Separate passes, so that batch norm never mixes real and fake; real first, as its statistics are committed.
        real_logits = modules["discriminator"](microbatch.images, draws.within("real"))
        fake_logits = modules["discriminator"](fake_NCHW, draws.within("fake"))
        target = torch.full_like(real_logits, self.real_label)
        loss = F.binary_cross_entropy_with_logits(real_logits, target, reduction="sum") + F.softplus(fake_logits).sum()
        return {
            "discriminator_loss": loss,
            "real_score": torch.sigmoid(real_logits.detach()).sum(),
            "fake_score": torch.sigmoid(fake_logits.detach()).sum(),
        }

    def generator_loss(self, modules: Mapping[str, nn.Module], microbatch: Microbatch, draws: SampleDraws) -> Losses:
        fake_NCHW = modules["generator"](draws.normal("latent", self.latent))
        loss = F.softplus(-modules["discriminator"](fake_NCHW, draws.within("fake"))).sum()
        return {"generator_loss": loss}

    def sample(self, modules: Mapping[str, nn.Module], draws: SampleDraws) -> Tensor:
        return modules["generator"](draws.normal("latent", self.latent))

    def reconstruct(self, modules: Mapping[str, nn.Module], images: Tensor, draws: SampleDraws) -> None:
        return None

    def posterior_means(self, modules: Mapping[str, nn.Module], images: Tensor, draws: SampleDraws) -> None:
        return None
