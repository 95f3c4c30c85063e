"""The game of generator and discriminator (Goodfellow et al. 2014), played in turns."""

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from gen_dist.config.objective import GANObjectiveSettings
from gen_dist.data.loader import Microbatch
from gen_dist.draws import SampleDraws
from gen_dist.models.base import AdversarialSettings
from gen_dist.objectives.balance import next_extra, reported
from gen_dist.objectives.base import Committed, Losses, Phase
from gen_dist.objectives.discrimination import Discrimination
from gen_dist.objectives.latent import Latent


class GANObjective:
    """k discriminator phases, each on its own real batch; one generator phase; what the balance rule adds."""

    pixel_range = (-1.0, 1.0)
    shown: tuple[str, ...] = ("generator",)

    def __init__(self, model: AdversarialSettings, settings: GANObjectiveSettings) -> None:
        self.latent = Latent(model.latent, model.prior)
        self.discrimination = Discrimination(settings)
        self.reads_per_step = settings.discriminator_steps
        self.margin, self.most_extra = settings.balance_margin, settings.balance_steps

    def next_phase(self, step: int, committed: Sequence[Committed]) -> Phase | None:
        done = len(committed)
        if done < self.reads_per_step:
            return self.discriminator_phase(done, read=done, r1=done == 0 and self.discrimination.has_r1(step))
        if done == self.reads_per_step:
            return self.generator_phase(done)
        behind = next_extra(committed, self.margin, self.most_extra) if self.margin else None
        if behind is None:
            return None
        # Real batch 0 again; what is drawn is fresh, as it belongs to the phase's number.
        return self.generator_phase(done) if behind == "generator" else self.discriminator_phase(done, read=0)

    def discriminator_phase(self, number: int, read: int, r1: bool = False) -> Phase:
        loss = partial(self.discriminator_loss, number=number, r1=r1)
        name = "discriminator_r1" if r1 else "discriminator"
        return Phase(name, ("discriminator",), read, self.discrimination.minimises(r1), loss)

    def generator_phase(self, number: int) -> Phase:
        return Phase("generator", ("generator",), None, "generator_loss", partial(self.generator_loss, number=number))

    def discriminator_loss(
        self, modules: Mapping[str, nn.Module], microbatch: Microbatch, draws: SampleDraws, number: int, r1: bool
    ) -> Losses:
        with torch.no_grad():
            fake_NCHW = self.sample(modules, draws)
        losses, fake_logits_N = self.discrimination.losses(modules, microbatch.images, fake_NCHW, draws, r1)
        return losses | self.extra_steps("discriminator", number, fake_logits_N)

    def generator_loss(
        self, modules: Mapping[str, nn.Module], microbatch: Microbatch, draws: SampleDraws, number: int
    ) -> Losses:
        seen_NCHW = self.discrimination.view(self.sample(modules, draws), draws.within("fake"))
        logits_N = modules["discriminator"](seen_NCHW, draws.within("fake"))
        loss = self.discrimination.game.generator(logits_N).sum()
        return {"generator_loss": loss} | self.extra_steps("generator", number, logits_N)

    def extra_steps(self, player: str, number: int, logits_N: Tensor) -> Losses:
        """Summed over images, as losses are."""
        if not self.margin:
            return {}
        shares = reported(player, number)
        return {name: logits_N.new_full((), value * len(logits_N)) for name, value in shares.items()}

    def sample(self, modules: Mapping[str, nn.Module], draws: SampleDraws) -> Tensor:
        """One image for each of the draws' positions."""
        return self.decode(modules, self.latent.draw(draws))

    def decode(self, modules: Mapping[str, nn.Module], z_NZ: Tensor) -> Tensor:
        return modules["generator"](z_NZ)

    def posterior_means(self, modules: Mapping[str, nn.Module], images: Tensor, draws: SampleDraws) -> None:
        return None
