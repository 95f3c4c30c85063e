"""VAE-GAN (Larsen et al. 2016: Autoencoding beyond Pixels Using a Learned Similarity Metric).

Three phases a step, on one real batch. `docs/recipes.md` has the formulas.

Shapes: N images, C channels, H rows, W columns, Z latent; images are in [-1, 1].
"""

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from gen_dist.config.objective import VAEGANObjectiveSettings
from gen_dist.data.loader import Microbatch
from gen_dist.draws import SampleDraws
from gen_dist.models.adversaries import Discriminator
from gen_dist.models.base import AdversarialSettings
from gen_dist.objectives.adversarial import cross_entropy
from gen_dist.objectives.base import Committed, Losses, Phase
from gen_dist.objectives.discrimination import View
from gen_dist.objectives.latent import Latent, draw_posterior, kl_to_normal

Modules = Mapping[str, nn.Module]


class VAEGANObjective:
    """Each phase draws the noise and makes the images that it needs anew, with the weights as they are by then."""

    reads_per_step = 1
    pixel_range = (-1.0, 1.0)
    shown: tuple[str, ...] = ("encoder", "generator")

    def __init__(self, model: AdversarialSettings, settings: VAEGANObjectiveSettings) -> None:
        self.latent = Latent(model.latent, model.prior)
        self.beta, self.gamma = settings.beta, settings.gamma
        self.game, self.view = cross_entropy(settings.real_label), View.of(settings)

    def next_phase(self, step: int, committed: Sequence[Committed]) -> Phase | None:
        phases = (
            Phase("encoder", ("encoder",), 0, "encoder_loss", self.encoder_loss),
            Phase("generator", ("generator",), 0, "generator_total", self.generator_loss),
            Phase("discriminator", ("discriminator",), 0, "discriminator_loss", self.discriminator_loss),
        )
        return phases[len(committed)] if len(committed) < len(phases) else None

    def encoder_loss(self, modules: Modules, microbatch: Microbatch, draws: SampleDraws) -> Losses:
        x_NCHW = microbatch.images
        mean_NZ, log_variance_NZ = modules["encoder"](x_NCHW, draws)
        made_NCHW = modules["generator"](draw_posterior(mean_NZ, log_variance_NZ, draws))
        _, reconstruction = self.compare(modules, made_NCHW, x_NCHW, draws)
        kl = kl_to_normal(mean_NZ, log_variance_NZ).sum()
        squared_error = (0.5 * (made_NCHW.detach() - x_NCHW)) ** 2  # of pixels in [0, 1], as a VAE's
        return {
            "encoder_loss": reconstruction + self.beta * kl,
            "reconstruction": reconstruction,
            "kl": kl,
            "mse": squared_error.mean(dim=(1, 2, 3)).sum(),
        }

    def generator_loss(self, modules: Modules, microbatch: Microbatch, draws: SampleDraws) -> Losses:
        made_NCHW = self.autoencode(modules, microbatch.images, draws)
        sample_NCHW = self.sample(modules, draws)
        logits_N, reconstruction = self.compare(modules, made_NCHW, microbatch.images, draws)
        sample_logits_N = self.judge(modules, sample_NCHW, draws.within("fake"))
        game = self.game.generator(logits_N).sum() + self.game.generator(sample_logits_N).sum()
        return {"generator_total": self.gamma * reconstruction + game, "generator_loss": game}

    def discriminator_loss(self, modules: Modules, microbatch: Microbatch, draws: SampleDraws) -> Losses:
        with torch.no_grad():
            made_NCHW = self.autoencode(modules, microbatch.images, draws)
            sample_NCHW = self.sample(modules, draws)
        real_logits_N = self.judge(modules, microbatch.images, draws.within("real"))
        made_logits_N = self.judge(modules, made_NCHW, draws.within("reconstruction"))
        sample_logits_N = self.judge(modules, sample_NCHW, draws.within("fake"))
        game = self.game
        fake = game.fake(made_logits_N).sum() + game.fake(sample_logits_N).sum()
        return {
            "discriminator_loss": game.real(real_logits_N).sum() + fake,
            "real_score": game.score(real_logits_N.detach()).sum(),
            "reconstruction_score": game.score(made_logits_N.detach()).sum(),
            "fake_score": game.score(sample_logits_N.detach()).sum(),
        }

    def autoencode(self, modules: Modules, x_NCHW: Tensor, draws: SampleDraws) -> Tensor:
        """Images made from z ~ q(z|x), without a gradient to the encoder."""
        with torch.no_grad():
            mean_NZ, log_variance_NZ = modules["encoder"](x_NCHW, draws)
            z_NZ = draw_posterior(mean_NZ, log_variance_NZ, draws)
        return modules["generator"](z_NZ)

    def compare(self, modules: Modules, made_NCHW: Tensor, x_NCHW: Tensor, draws: SampleDraws) -> tuple[Tensor, Tensor]:
        """D's logits of reconstructions, and how far these are from their originals in D's features, summed.

        That is the negative log likelihood of a Gaussian of unit variance around the reconstruction's features, without
        its constant. Both images are changed by the same draws, so that equal images have equal features. Those of the
        originals are targets, without a gradient.
        """
        discriminator = cast(Discriminator, modules["discriminator"])
        draws = draws.within("reconstruction")
        logits_N, features = discriminator.with_features(self.view(made_NCHW, draws), draws)
        with torch.no_grad():
            _, wanted = discriminator.with_features(self.view(x_NCHW, draws), draws)
        return logits_N, 0.5 * ((features.float() - wanted.float()) ** 2).sum()

    def judge(self, modules: Modules, x_NCHW: Tensor, draws: SampleDraws) -> Tensor:
        """D's logits."""
        return modules["discriminator"](self.view(x_NCHW, draws), draws)

    def sample(self, modules: Modules, draws: SampleDraws) -> Tensor:
        """One image for each of the draws' positions."""
        return self.decode(modules, self.latent.draw(draws))

    def decode(self, modules: Modules, z_NZ: Tensor) -> Tensor:
        return modules["generator"](z_NZ)

    def posterior_means(self, modules: Modules, images: Tensor, draws: SampleDraws) -> Tensor:
        mean_NZ, _ = modules["encoder"](images, draws)
        return mean_NZ
