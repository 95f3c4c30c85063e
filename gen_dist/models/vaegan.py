"""The family `vaegan`: a VAE whose decoder is a GAN's generator (Larsen et al. 2016)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from gen_dist.models.base import AdversarialSettings
from gen_dist.models.dcgan import DCGANSettings
from gen_dist.models.vae import VAESettings

if TYPE_CHECKING:
    from torch import nn


class VAEGANSettings(AdversarialSettings):
    """The encoder of `vae`, the generator and discriminator of `dcgan`."""

    objectives: ClassVar = ("vaegan",)

    family: Literal["vaegan"]
    latent: int = Field(128, ge=1, le=4096, description="size of the latent vector z")
    prior: Literal["normal"] = Field("normal", description="of z: N(0, 1), which the KL term compares with")
    encoder_width: int = Field(32, ge=1, le=1024, description="channels of the encoder's first layer")
    generator_width: int = Field(64, ge=1, le=1024, description="channels before the generator's last layer")
    discriminator_width: int = Field(64, ge=1, le=1024, description="channels of the discriminator's first layer")

    @property
    def encoder(self) -> VAESettings:
        return VAESettings(family="vae", latent=self.latent, width=self.encoder_width)

    @property
    def players(self) -> DCGANSettings:
        """The settings of a DCGAN of this generator and this discriminator."""
        shared = self.model_dump(include=DCGANSettings.model_fields.keys() - {"family"})
        return DCGANSettings(family="dcgan", **shared)

    def check(self, size: int) -> None:
        self.encoder.check(size)
        self.players.check(size)

    def networks(self, size: int, channels: int) -> dict[str, nn.Module]:
        from gen_dist.models.autoencoder import Encoder

        return {"encoder": Encoder(self.encoder, size, channels), **self.players.networks(size, channels)}
