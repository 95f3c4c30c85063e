"""The family `vae`: an encoder, from a list of layers or a width, and its mirror image (Kingma and Welling 2013)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from gen_dist.models.base import Activation, ModelSettings
from gen_dist.models.layer_list import ENCODER, Layer, check_size, doubling_layers, parse_layers, why_not_down

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
    activation: Activation = Field("relu", description="after each layer")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout before the encoder's last layer")

    @model_validator(mode="after")
    def layers_are_known(self) -> VAESettings:
        if self.layers:
            parse_layers("model.layers", self.layers, ENCODER)
        return self

    def encoder_layers(self, size: int) -> tuple[Layer, ...]:
        """All layers but the last, which makes mean and log variance."""
        return parse_layers("model.layers", self.layers, ENCODER) if self.layers else doubling_layers(self.width, size)

    def check(self, size: int) -> None:
        check_size(size, lambda other: why_not_down("model.layers", self.encoder_layers(other), other))

    def networks(self, size: int, channels: int) -> dict[str, nn.Module]:
        from gen_dist.models.autoencoder import Decoder, Encoder

        return {"encoder": Encoder(self, size, channels), "decoder": Decoder(self, size, channels)}
