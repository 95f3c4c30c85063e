"""What a family of models is to the rest: a group of settings that can make its modules. Needs no torch.

A family is one file in this folder and one line in `registry.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from gen_dist.settings import Settings

if TYPE_CHECKING:
    from torch import nn

InitialWeights = Literal["normal", "uniform", "glorot"]
Activation = Literal["relu", "leaky_relu", "tanh"]
DropoutKind = Literal["element", "channel"]


class ModelSettings(Settings):
    """Subclasses add `family: Literal[NAME]` and what may be chosen.

    Attributes:
        objectives: kinds of objective that can train it; the first is what a message proposes.
    """

    objectives: ClassVar[tuple[str, ...]]

    latent: int = Field(128, ge=1, le=4096, description="size of the latent vector z")
    initial_weights: InitialWeights = Field(
        "uniform",
        description="normal: N(0, 0.02) (Radford et al. 2015); uniform: as torch's layers; glorot: as Keras' layers",
    )

    def check(self, size: int) -> None:
        """Raises ValueError, in one line with the nearest that works, if there is no such model of `size` pixels."""

    def notice(self, size: int, steps: int) -> str | None:
        """What a user should know of a run of so many steps, in one line; no reason to refuse it."""
        return None

    def networks(self, size: int, channels: int) -> dict[str, nn.Module]:
        """The modules by name, for images of channels x size x size; called under torch.device("meta")."""
        raise NotImplementedError


class AdversarialSettings(ModelSettings):
    """What models with a generator and a discriminator have in common."""

    latent: int = Field(100, ge=1, le=4096, description="size of the latent vector z")
    prior: Literal["normal", "uniform"] = Field("normal", description="of z: N(0, 1), or U(-1, 1)")
    initial_weights: InitialWeights = Field(
        "normal", description=ModelSettings.model_fields["initial_weights"].description
    )
    discriminator_norm: Literal["batch", "spectral", "none"] = Field(
        "batch", description="batch: (ghost) batch norm, but in the first layer; spectral (Miyato et al. 2018); none"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout after each discriminator block")
    dropout_kind: DropoutKind = Field("element", description="what is dropped: values, or whole maps")

    @property
    def mixes_images(self) -> bool:
        """Whether the discriminator's answer to an image depends on the others of its microbatch."""
        return self.discriminator_norm == "batch"
