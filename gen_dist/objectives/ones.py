"""A stand-in for an objective: the same phases and parameters, but gradients of ones that cost next to nothing.

What is left of a step is exchanging gradients and following them, to measure these alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from gen_dist.data.loader import Microbatch
from gen_dist.draws import SampleDraws
from gen_dist.models.growth import parameters_in_use
from gen_dist.objectives.base import Committed, Losses, Objective, Phase


class Ones:
    """Like `objective`, whose phases it asks for; reads no images."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.reads_per_step, self.pixel_range = objective.reads_per_step, objective.pixel_range
        self.shown, self.latent = objective.shown, objective.latent

    def next_phase(self, step: int, committed: Sequence[Committed]) -> Phase | None:
        phase = self.objective.next_phase(step, committed)
        if phase is None:
            return None

        def loss(modules: Mapping[str, nn.Module], microbatch: Microbatch, draws: SampleDraws) -> Losses:
            parameters = [p for name in phase.trains for p in parameters_in_use(modules[name])]
            total = torch.stack([parameter.sum() for parameter in parameters]).sum()
            return {phase.minimises: total}

        return replace(phase, read=None, loss=loss)

    def decode(self, modules: Mapping[str, nn.Module], z_NZ: Tensor) -> Tensor:
        return self.objective.decode(modules, z_NZ)

    def posterior_means(self, modules: Mapping[str, nn.Module], images: Tensor, draws: SampleDraws) -> Tensor | None:
        return self.objective.posterior_means(modules, images, draws)
