"""The family `gan`: generator and discriminator from lists of layers, convolutional or not (Goodfellow et al. 2014)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from gen_dist.models.base import AdversarialSettings

if TYPE_CHECKING:
    from torch import nn

Activation = Literal["relu", "leaky_relu", "tanh"]


class GANSettings(AdversarialSettings):
    """What the reference systems drew up by hand."""

    objectives: ClassVar = ("gan",)

    family: Literal["gan"]
    generator_layers: list[str] = Field(
        ["fc256", "fc512", "fc1024"],
        description="such as [fc1024, map128bn, 64k5up, outk5up]; without out, a linear layer makes the pixels",
    )
    discriminator_layers: list[str] = Field(
        ["fc512", "fc256"], description="such as [64k5max, 128k5validmax, fc1024]; a linear layer makes the logit"
    )
    generator_activation: Activation = Field("relu", description="after each generator layer but the last")
    discriminator_activation: Activation = Field(
        "leaky_relu", description="after each discriminator layer but the last"
    )
    norm_place: Literal["before", "after"] = Field(
        "before",
        description="where the discriminator's batch norm stands: before its activation, or after it and dropout",
    )

    @property
    def mixes_images(self) -> bool:
        return super().mixes_images and any("bn" in layer for layer in self.discriminator_layers)

    def construct(self, size: int, channels: int) -> dict[str, nn.Module]:
        raise NotImplementedError
