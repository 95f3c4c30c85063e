"""The family `dcgan`: Radford et al. 2015, as in the PyTorch tutorial, at any size."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from gen_dist.models.base import AdversarialSettings

if TYPE_CHECKING:
    from torch import nn


class DCGANSettings(AdversarialSettings):
    """Widths double from level to level, up to eight times."""

    objectives: ClassVar = ("gan",)

    family: Literal["dcgan"]
    generator_width: int = Field(64, ge=1, le=1024, description="ngf: channels before the generator's last layer")
    discriminator_width: int = Field(64, ge=1, le=1024, description="ndf: channels of the discriminator's first layer")
    generator_kernel: int = Field(4, ge=2, le=7, description="side of the generator's kernels")
    discriminator_kernel: int = Field(4, ge=2, le=7, description="side of the discriminator's kernels")
    up: Literal["transpose", "resize"] = Field(
        "transpose",
        description="how the generator doubles sides: transposed convolution, or nearest neighbour, then one",
    )

    def networks(self, size: int, channels: int) -> dict[str, nn.Module]:
        from gen_dist.models.dcgan_layers import discriminator, generator

        return {"generator": generator(self, size, channels), "discriminator": discriminator(self, size, channels)}
