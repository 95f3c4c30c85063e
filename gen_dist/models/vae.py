"""The family `vae`: an encoder, from a list of layers or a width, and its mirror image (Kingma and Welling 2013)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from gen_dist.models.base import ModelSettings

if TYPE_CHECKING:
    from torch import nn


class VAESettings(ModelSettings):
    """Convolutional or MLP encoder, mirrored."""

    objectives: ClassVar = ("vae",)

    family: Literal["vae"]
    width: int = Field(32, ge=1, le=1024, description="channels of the first encoder layer, doubled at each next")
    layers: list[str] = Field(
        [],
        description="the encoder's layers, such as [32k4s2bn, 32k3, fc512]; default: conv4 stride 2 with batch norm of "
        "width, 2 x width, ... until 4 to 7 pixels are left",
    )
    activation: Literal["relu", "leaky_relu", "tanh"] = Field("relu", description="after each layer")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout before the encoder's last layer")

    def construct(self, size: int, channels: int) -> dict[str, nn.Module]:
        from gen_dist.models.vae_modules import Decoder, Encoder

        return {"encoder": Encoder(self, size, channels), "decoder": Decoder(self, size, channels)}
