"""The family `growing`: a DCGAN that grows layer after layer (Karras et al. 2017, progressive growing)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from gen_dist.models.base import AdversarialSettings

if TYPE_CHECKING:
    from torch import nn


class GrowingSettings(AdversarialSettings):
    """Starts with small images; each stage doubles their side: it fades in, then trains on."""

    objectives: ClassVar = ("gan",)

    family: Literal["growing"]
    discriminator_norm: Literal["spectral", "none"] = Field(
        "none", description="spectral (Miyato et al. 2018), or none"
    )
    generator_width: int = Field(64, ge=1, le=1024, description="channels before the generator's last layer")
    discriminator_width: int = Field(64, ge=1, le=1024, description="channels of the discriminator's first layer")
    start_size: int = Field(8, ge=4, le=512, description="side of the first stage's images, at least")
    stage_steps: int = Field(2000, ge=1, description="steps that a stage trains after it has faded in")
    fade_steps: int = Field(1000, ge=0, description="steps over which a stage fades in")

    def construct(self, size: int, channels: int) -> dict[str, nn.Module]:
        raise NotImplementedError
