"""What is minimised: the bound of a VAE, the game of a GAN, or both."""

from typing import Literal

from pydantic import Field, model_validator

from gen_dist.settings import Settings

GAUSSIAN_SIGMA = 1.0


class VAEObjectiveSettings(Settings):
    """The evidence lower bound (Kingma and Welling 2013)."""

    kind: Literal["vae"]
    likelihood: Literal["sigma", "gaussian", "bernoulli"] = Field(
        "sigma",
        description="sigma: Gaussian with the optimal shared variance (Rybkin et al. 2021); gaussian: with "
        "objective.sigma; bernoulli",
    )
    sigma: float | None = Field(
        None, gt=0, le=10, description="standard deviation of the gaussian likelihood; default: 1"
    )
    beta: float = Field(1.0, ge=0, le=1000, description="weight of the KL term (Higgins et al. 2017)")
    kl_warmup_steps: int = Field(0, ge=0, description="steps over which the KL term's weight rises from 0")
    free_bits: float = Field(
        0.0, ge=0, le=100, description="nats of KL that each latent value may have for nothing (Kingma et al. 2016)"
    )

    @model_validator(mode="after")
    def sigma_fits_likelihood(self) -> "VAEObjectiveSettings":
        if self.sigma is not None and self.likelihood != "gaussian":
            raise ValueError(
                f"objective.sigma {self.sigma}: not with objective.likelihood '{self.likelihood}'; "
                "use objective.likelihood=gaussian, or objective.sigma=null"
            )
        return self


class DiscriminationSettings(Settings):
    """What a discriminator is shown, and told."""

    real_label: float = Field(1.0, gt=0.5, le=1, description="one-sided label smoothing: target for real images")
    instance_noise: float = Field(0.0, ge=0, le=2, description="standard deviation of noise added to D's input")
    diffaugment: list[Literal["color", "translation", "cutout"]] = Field(
        [], description="DiffAugment (Zhao et al. 2020): changes of all that D sees; helps most with few images"
    )

    @model_validator(mode="after")
    def each_change_once(self) -> "DiscriminationSettings":
        once = list(dict.fromkeys(self.diffaugment))
        if once != self.diffaugment:
            written = ",".join(once)
            raise ValueError(
                f"objective.diffaugment {self.diffaugment}: names a change twice; use objective.diffaugment=[{written}]"
            )
        return self


class GANObjectiveSettings(DiscriminationSettings):
    """The game of generator and discriminator (Goodfellow et al. 2014)."""

    kind: Literal["gan"]
    loss: Literal["bce", "hinge", "least_squares", "wgan_gp"] = Field(
        "bce",
        description="bce: non-saturating; hinge (Lim and Ye 2017); least_squares (Mao et al. 2017); "
        "wgan_gp (Gulrajani et al. 2017)",
    )
    updates: Literal["alternating", "one_stage"] = Field(
        "alternating", description="one_stage: one phase trains both, one D pass over the fakes (Shen et al. 2021)"
    )
    discriminator_steps: int = Field(1, ge=1, le=16, description="D steps a G step, each on its own real batch")
    gradient_penalty: float | None = Field(None, gt=0, le=1000, description="weight of wgan_gp's penalty; default: 10")
    r1: float = Field(
        0.0, ge=0, le=1000, description="weight gamma of R1, gamma / 2 |grad D|^2 (Mescheder et al. 2018)"
    )
    r1_every: int = Field(16, ge=1, le=1024, description="R1 comes every so many steps, so many times as strong")
    balance_margin: float = Field(
        0.0, ge=0, le=10, description="who is behind by more than this takes extra steps; 0: nobody does"
    )
    balance_steps: int = Field(5, ge=1, le=64, description="extra steps a step, at most")

    @model_validator(mode="after")
    def parts_fit(self) -> "GANObjectiveSettings":
        loss = f"objective.loss '{self.loss}'"
        if self.gradient_penalty is not None and self.loss != "wgan_gp":
            raise ValueError(
                f"objective.gradient_penalty {self.gradient_penalty}: belongs to objective.loss 'wgan_gp', not to "
                f"{loss}; use objective.loss=wgan_gp, or objective.gradient_penalty=null and, if need be, objective.r1"
            )
        if self.real_label < 1 and self.loss in ("hinge", "wgan_gp"):
            raise ValueError(
                f"objective.real_label {self.real_label}: {loss} has no labels to smooth; use objective.real_label=1, "
                "or objective.loss=bce"
            )
        if self.balance_margin:
            if self.loss in ("hinge", "wgan_gp"):  # they differ even where D can only guess
                raise ValueError(
                    f"objective.balance_margin {self.balance_margin}: the losses of {loss} cannot be compared; "
                    "use objective.balance_margin=0, or objective.loss=bce"
                )
            if self.discriminator_steps > 1:
                raise ValueError(
                    f"objective.balance_margin {self.balance_margin}: decides how many D steps there are, and "
                    f"objective.discriminator_steps {self.discriminator_steps} too; use objective.discriminator_steps=1"
                )
        return self

    @model_validator(mode="after")
    def one_stage_is_possible(self) -> "GANObjectiveSettings":
        if self.updates != "one_stage":
            return self
        start = "objective.updates 'one_stage':"
        if self.loss in ("hinge", "least_squares"):
            raise ValueError(
                f"{start} objective.loss '{self.loss}' gives D no gradient for some fakes, from which G's could be "
                "made; use objective.loss=bce, or objective.updates=alternating"
            )
        for name, none in (("discriminator_steps", 1), ("balance_margin", 0)):
            if getattr(self, name) != none:
                raise ValueError(
                    f"{start} one phase trains both, so objective.{name} {getattr(self, name)} has no meaning; "
                    f"use objective.{name}={none}, or objective.updates=alternating"
                )
        return self


class VAEGANObjectiveSettings(DiscriminationSettings):
    """A VAE whose images are compared in the discriminator's features (Larsen et al. 2016)."""

    kind: Literal["vaegan"]
    beta: float = Field(1.0, ge=0, le=1000, description="weight of the KL term in the encoder's loss")
    gamma: float = Field(
        1e-3, ge=0, le=1000, description="weight of the reconstruction beside the game in the generator's loss"
    )
