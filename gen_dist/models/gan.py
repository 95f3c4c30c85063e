"""The family `gan`: generator and discriminator from lists of layers, convolutional or not (Goodfellow et al. 2014)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from gen_dist.models.base import Activation, AdversarialSettings
from gen_dist.models.layer_list import (
    DISCRIMINATOR,
    GENERATOR,
    Layer,
    check_size,
    parse_layers,
    why_not_down,
    why_not_up,
)

if TYPE_CHECKING:
    from torch import nn

GENERATOR_KEY, DISCRIMINATOR_KEY = "model.generator_layers", "model.discriminator_layers"


class GANSettings(AdversarialSettings):
    """What the reference systems drew up by hand."""

    objectives: ClassVar = ("gan",)

    family: Literal["gan"]
    generator_layers: list[str] = Field(
        ["fc256", "fc512", "fc1024"],
        description="such as [fc1024, map128bn, 64k5up, outk5up], or [fc256, fc512]: a linear layer makes the pixels",
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

    @model_validator(mode="after")
    def layers_are_known(self) -> GANSettings:
        self.parsed()
        return self

    def parsed(self) -> tuple[tuple[Layer, ...], tuple[Layer, ...]]:
        """The generator's layers and the discriminator's.

        Raises:
            ValueError: one line about a layer that there is not.
        """
        return (
            parse_layers(GENERATOR_KEY, self.generator_layers, GENERATOR),
            parse_layers(DISCRIMINATOR_KEY, self.discriminator_layers, DISCRIMINATOR),
        )

    @property
    def mixes_images(self) -> bool:
        _, discriminator = self.parsed()
        return super().mixes_images and any(layer.norm for layer in discriminator)

    def check(self, size: int) -> None:
        up, down = self.parsed()
        check_size(
            size, lambda other: why_not_up(GENERATOR_KEY, up, other) or why_not_down(DISCRIMINATOR_KEY, down, other)
        )

    def networks(self, size: int, channels: int) -> dict[str, nn.Module]:
        from gen_dist.models.listed_layers import discriminator, generator

        return {"generator": generator(self, size, channels), "discriminator": discriminator(self, size, channels)}
