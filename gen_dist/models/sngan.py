"""The family `sngan`: spectral normalisation in D, no batch norm there (Miyato et al. 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from gen_dist.models.base import AdversarialSettings, InitialWeights

if TYPE_CHECKING:
    from torch import nn


class SNGANSettings(AdversarialSettings):
    """A discriminator of residual blocks, or the paper's plain convolutions."""

    objectives: ClassVar = ("gan",)

    family: Literal["sngan"]
    latent: int = Field(128, ge=1, le=4096, description="size of the latent vector z")
    initial_weights: InitialWeights = Field(
        "glorot", description=AdversarialSettings.model_fields["initial_weights"].description
    )
    discriminator_norm: Literal["spectral", "none"] = Field(
        "spectral", description="spectral (Miyato et al. 2018), or none"
    )
    generator_width: int = Field(64, ge=1, le=1024, description="channels before the generator's last layer")
    discriminator_width: int = Field(64, ge=1, le=1024, description="channels of the discriminator's first layer")
    blocks: Literal["residual", "plain"] = Field(
        "residual",
        description="residual: D of residual blocks, one convolution at the full size in G and in D; plain: the "
        "paper's plain networks, which cost more at the same width",
    )

    def networks(self, size: int, channels: int) -> dict[str, nn.Module]:
        from gen_dist.models.sngan_layers import discriminator, generator

        return {"generator": generator(self, size, channels), "discriminator": discriminator(self, size, channels)}
