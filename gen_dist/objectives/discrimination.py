"""The discriminator's side of a GAN: what it sees, what that costs it, and the penalties on its gradient.

Shapes: N images, C channels, H rows, W columns; images are in [-1, 1].
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from gen_dist.config.objective import DiscriminationSettings, GANObjectiveSettings
from gen_dist.draws import SampleDraws
from gen_dist.models.growth import as_generated
from gen_dist.objectives.adversarial import adversarial_loss
from gen_dist.objectives.base import Losses
from gen_dist.objectives.diffaugment import diffaugment
from gen_dist.objectives.penalties import gradient_penalty, r1_penalty

GRADIENT_PENALTY = 10.0  # of the paper


@dataclass(frozen=True)
class View:
    """What a discriminator sees of images, real or generated: called with x_NCHW and their draws, the same shape.

    DiffAugment (Zhao et al. 2020), then noise (Sonderby et al. 2017). Every image is changed on its own.
    """

    policy: tuple[str, ...]
    noise: float  # standard deviation

    @classmethod
    def of(cls, settings: DiscriminationSettings) -> "View":
        return cls(tuple(settings.diffaugment), settings.instance_noise)

    def __call__(self, x_NCHW: Tensor, draws: SampleDraws) -> Tensor:
        if self.policy:
            x_NCHW = diffaugment(x_NCHW, self.policy, draws)
        if self.noise:
            channels, height, width = x_NCHW.shape[1:]
            noise_NHWC = draws.normal("instance_noise", height, width, channels)
            x_NCHW = x_NCHW + self.noise * noise_NHWC.permute(0, 3, 1, 2)
        return x_NCHW


class Discrimination:
    """Everything that the discriminator of a GAN objective minimises."""

    def __init__(self, settings: GANObjectiveSettings) -> None:
        self.game, self.view = adversarial_loss(settings), View.of(settings)
        # Lazily: every so many steps, so many times as strong (Karras et al. 2020).
        self.r1_every, self.r1_weight = settings.r1_every, settings.r1 / 2 * settings.r1_every
        self.penalty_weight = 0.0
        if settings.loss == "wgan_gp":
            given = settings.gradient_penalty
            self.penalty_weight = GRADIENT_PENALTY if given is None else given

    def has_r1(self, step: int) -> bool:
        return self.r1_weight > 0 and step % self.r1_every == 0

    def minimises(self, r1: bool) -> str:
        """The name of the loss whose gradient D follows. The game's own is recorded without penalties."""
        return "discriminator_total" if r1 or self.penalty_weight else "discriminator_loss"

    def losses(
        self, modules: Mapping[str, nn.Module], images_NCHW: Tensor, fake_NCHW: Tensor, draws: SampleDraws, r1: bool
    ) -> tuple[Losses, Tensor]:
        """Sums over a microbatch's real images and as many generated ones, and D's logits of the latter."""
        discriminator, game = modules["discriminator"], self.game
        real_NCHW = as_generated(modules["generator"], images_NCHW)
        if r1:
            real_NCHW = real_NCHW.detach().requires_grad_()
        # Separate passes, so that batch norm never mixes real and fake; real first, as its statistics are committed.
        seen_real_NCHW = self.view(real_NCHW, draws.within("real"))
        real_logits_N = discriminator(seen_real_NCHW, draws.within("real"))
        seen_fake_NCHW = self.view(fake_NCHW, draws.within("fake"))
        fake_logits_N = discriminator(seen_fake_NCHW, draws.within("fake"))
        loss = total = game.real(real_logits_N).sum() + game.fake(fake_logits_N).sum()
        losses = {
            "discriminator_loss": loss,
            "real_score": game.score(real_logits_N.detach()).sum(),
            "fake_score": game.score(fake_logits_N.detach()).sum(),
        }
        if self.penalty_weight:
            between = draws.within("between")
            losses["gradient_penalty"] = gradient_penalty(
                lambda x_NCHW: discriminator(x_NCHW, between), seen_real_NCHW, seen_fake_NCHW, between.uniform("share")
            )
            total = total + self.penalty_weight * losses["gradient_penalty"]
        if r1:  # with respect to the images before they are changed
            losses["r1"] = r1_penalty(real_logits_N, real_NCHW)
            total = total + self.r1_weight * losses["r1"]
        return losses | {self.minimises(r1): total}, fake_logits_N
