"""Both players of a GAN trained in one phase (Shen et al. 2021: Training Generative Adversarial Networks in One Stage).

One pass of the discriminator over the generated images, forward and backward, serves both: its weights get the gradient
of D's loss on the way down, and what arrives at each image is rescaled to the gradient of G's loss. For an image's
two gradients are both the logit's, times the slope of either loss there. That needs a logit which depends on its own
image only, hence no batch norm in D. Both gradients are at the same, not yet updated D.
"""

from collections.abc import Mapping, Sequence
from functools import partial

from torch import nn

from gen_dist.data.loader import Microbatch
from gen_dist.draws import SampleDraws
from gen_dist.objectives.base import Committed, Losses, Phase
from gen_dist.objectives.gan import GANObjective


class OneStageGANObjective(GANObjective):
    """One phase, which trains generator and discriminator."""

    def next_phase(self, step: int, committed: Sequence[Committed]) -> Phase | None:
        if committed:
            return None
        r1 = self.discrimination.has_r1(step)
        name, loss = "both_r1" if r1 else "both", partial(self.both_losses, r1=r1)
        return Phase(name, ("generator", "discriminator"), 0, self.discrimination.minimises(r1), loss)

    def both_losses(
        self, modules: Mapping[str, nn.Module], microbatch: Microbatch, draws: SampleDraws, r1: bool
    ) -> Losses:
        fake_NCHW = self.sample(modules, draws)
        losses, logits_N = self.discrimination.losses(modules, microbatch.images, fake_NCHW, draws, r1)
        game, logits_N = self.discrimination.game, logits_N.detach()
        assert game.ratio is not None, "RunConfig validates that G's gradient can be made from D's"
        ratio_N111 = game.ratio(logits_N)[:, None, None, None]
        # What comes back to the images goes on to the generator alone; the penalties stop before them.
        fake_NCHW.register_hook(lambda gradient_NCHW: gradient_NCHW * ratio_N111)
        return losses | {"generator_loss": game.generator(logits_N).sum()}
