"""A whole run's configuration, and which of it decides the weights."""

from typing import Annotated

from pydantic import Field, model_validator

from gen_dist.config.data import DataSettings
from gen_dist.config.objective import GANObjectiveSettings, VAEGANObjectiveSettings, VAEObjectiveSettings
from gen_dist.config.optimizer import OptimizerSettings
from gen_dist.config.train import ClusterSettings, TrainSettings, WandbSettings
from gen_dist.models.base import AdversarialSettings
from gen_dist.models.registry import Model
from gen_dist.settings import Settings

Objective = VAEObjectiveSettings | GANObjectiveSettings | VAEGANObjectiveSettings


class RunConfig(Settings):
    preset: str = Field("", description="name of the preset this configuration came from")
    seed: int = Field(0, ge=0, lt=2**63, description="the only source of randomness")
    data: DataSettings = DataSettings()
    model: Annotated[Model, Field(discriminator="family")]
    objective: Annotated[Objective, Field(discriminator="kind")]
    optimizer: OptimizerSettings = OptimizerSettings()
    train: TrainSettings = TrainSettings()
    cluster: ClusterSettings = ClusterSettings()
    wandb: WandbSettings = WandbSettings()

    def notices(self) -> list[str]:
        """What a user should know of this run, a line each."""
        steps = self.train.steps
        found = self.model.notice(self.data.size, steps), self.optimizer.notice(steps)
        return [notice for notice in found if notice is not None]

    @model_validator(mode="after")
    def objective_fits_model(self) -> "RunConfig":
        family, kind = self.model.family, self.objective.kind
        if kind not in self.model.objectives:
            wanted = " or ".join(f"'{name}'" for name in self.model.objectives)
            proposed = f"objective.kind={self.model.objectives[0]}"
            raise ValueError(f"objective.kind '{kind}': model.family '{family}' needs {wanted}; use {proposed}")
        self.model.check(self.data.size)
        return self

    @model_validator(mode="after")
    def batch_norm_fits_objective(self) -> "RunConfig":
        """What needs each image's own gradient excludes batch norm, where images depend on each other."""
        model, objective = self.model, self.objective
        if not isinstance(model, AdversarialSettings) or not isinstance(objective, GANObjectiveSettings):
            return self
        if not model.mixes_images:
            return self
        for wanted, what in (
            (objective.updates == "one_stage", "objective.updates 'one_stage'"),
            (objective.loss == "wgan_gp", "objective.loss 'wgan_gp'"),
            (objective.r1 > 0, f"objective.r1 {objective.r1}"),
        ):
            if wanted:
                raise ValueError(
                    f"{what}: needs every image's own gradient, but model.discriminator_norm 'batch' mixes those of "
                    "a microbatch; use model.discriminator_norm=none, or spectral"
                )
        return self

    @model_validator(mode="after")
    def rates_fit_model(self) -> "RunConfig":
        rate = self.optimizer.discriminator_learning_rate
        if rate is not None and not isinstance(self.model, AdversarialSettings):
            raise ValueError(
                f"optimizer.discriminator_learning_rate {rate}: model.family '{self.model.family}' has no "
                "discriminator; use optimizer.discriminator_learning_rate=null, and optimizer.learning_rate"
            )
        return self

    @model_validator(mode="after")
    def shares_fit_batch(self) -> "RunConfig":
        shares = self.cluster.shares
        if shares is not None and sum(shares) != self.train.microbatches:
            raise ValueError(
                f"cluster.shares {shares}: they sum to {sum(shares)}, but the batch has "
                f"{self.train.microbatches} microbatches; make them sum to {self.train.microbatches}"
            )
        return self


# What decides the weights. Everything else may change when a run is continued.
RESULT_FIELDS = ("seed", "data.size", "data.augment", "model", "objective", "optimizer", "train.batch_size",
                 "train.microbatch_size", "train.precision", "train.threads", "train.ema_decay")  # fmt: skip


def flatten(tree: dict, prefix: str = "") -> dict[str, object]:
    """{"a": {"b": 1}} -> {"a.b": 1}."""
    flat: dict[str, object] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat


def result_settings(config: RunConfig) -> dict[str, object]:
    """The settings that decide the weights, flat: what a checkpoint must agree on."""
    flat = flatten(config.model_dump())
    return {k: v for k, v in flat.items() if any(k == f or k.startswith(f + ".") for f in RESULT_FIELDS)}
