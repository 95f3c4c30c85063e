"""The objective of a configuration."""

from gen_dist.config import RunConfig
from gen_dist.config.objective import GANObjectiveSettings, VAEObjectiveSettings
from gen_dist.models.base import AdversarialSettings
from gen_dist.models.vae import VAESettings
from gen_dist.objectives.base import Objective
from gen_dist.objectives.gan import GANObjective
from gen_dist.objectives.vae import VAEObjective


def build_objective(config: RunConfig) -> Objective:
    model, objective = config.model, config.objective
    if isinstance(model, AdversarialSettings) and isinstance(objective, GANObjectiveSettings):
        return GANObjective(model, objective)
    if isinstance(model, VAESettings) and isinstance(objective, VAEObjectiveSettings):
        return VAEObjective(model, objective)
    raise AssertionError("RunConfig validates that model and objective fit")
