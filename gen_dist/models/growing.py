"""The family `growing`: a DCGAN that grows layer after layer (Karras et al. 2017, progressive growing)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from gen_dist.models.base import AdversarialSettings, InitialWeights
from gen_dist.models.sides import SMALLEST, halve, pyramid

if TYPE_CHECKING:
    from torch import nn


class GrowingSettings(AdversarialSettings):
    """Starts with small images; each stage doubles their side: it fades in, then trains on."""

    objectives: ClassVar = ("gan",)

    family: Literal["growing"]
    initial_weights: InitialWeights = Field(
        "glorot", description=AdversarialSettings.model_fields["initial_weights"].description
    )
    discriminator_norm: Literal["spectral", "none"] = Field(
        "none", description="spectral (Miyato et al. 2018), or none"
    )
    generator_width: int = Field(32, ge=1, le=1024, description="channels before the generator's last layer")
    discriminator_width: int = Field(32, ge=1, le=1024, description="channels of the discriminator's first layer")
    start_size: int = Field(8, ge=4, le=512, description="side of the first stage's images, at least")
    stage_steps: int = Field(2000, ge=1, description="steps that a stage trains after it has faded in")
    fade_steps: int = Field(1000, ge=0, description="steps over which a stage fades in")

    def check(self, size: int) -> None:
        largest = halve(size)
        if size < 2 * SMALLEST:
            raise ValueError(
                f"data.size {size}: too small to grow to from {SMALLEST} pixels; use data.size={2 * SMALLEST} or more, "
                "or model.family=dcgan"
            )
        if self.start_size > largest:
            raise ValueError(
                f"model.start_size {self.start_size}: the last stage doubles the side to data.size {size}, so the "
                f"first can have {largest} at most; use model.start_size={largest} or less"
            )

    def stage_sides(self, size: int) -> list[int]:
        """Sides of the stages' images, the first stage's first; the last is `size`."""
        return [side for side in reversed(pyramid(size)) if side >= self.start_size]

    def last_stage_step(self, size: int) -> int:
        """How many steps are finished when the last stage begins to fade in: the next one makes images of `size`."""
        later = len(self.stage_sides(size)) - 2
        return self.stage_steps + later * (self.fade_steps + self.stage_steps)

    def notice(self, size: int, steps: int) -> str | None:
        needed = self.last_stage_step(size)
        if steps > needed:
            return None
        return (
            f"train.steps {steps}: the model begins to make images of data.size {size} after {needed} steps; until "
            "then they are smaller ones, enlarged; train longer, or make model.stage_steps and model.fade_steps smaller"
        )

    def networks(self, size: int, channels: int) -> dict[str, nn.Module]:
        from gen_dist.models.growing_modules import Discriminator, Generator

        return {"generator": Generator(self, size, channels), "discriminator": Discriminator(self, size, channels)}


def growth_at(step: int, stages: int, stage_steps: int, fade_steps: int) -> tuple[int, float]:
    """The stage, counted from 0, that the step after `step` finished ones is in, and how much of it has faded in.

    Stage 0 trains for `stage_steps`. Every other one fades in over `fade_steps`, then trains for `stage_steps`; the
    last for ever. While a stage fades in, its share rises linearly from 1 / (fade_steps + 1) and stays below 1: with
    a share of 0, a step would teach the new layers nothing.
    """
    if step < stage_steps:
        return 0, 1.0
    passed, within = divmod(step - stage_steps, fade_steps + stage_steps)
    stage = 1 + passed
    if stage >= stages:
        return stages - 1, 1.0
    return stage, min(1.0, (within + 1) / (fade_steps + 1))
