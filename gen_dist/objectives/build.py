"""The objective of a configuration."""

from gen_dist.config import RunConfig
from gen_dist.config.objective import GANObjectiveSettings, VAEGANObjectiveSettings, VAEObjectiveSettings
from gen_dist.models.base import AdversarialSettings
from gen_dist.objectives.base import Objective
from gen_dist.objectives.gan import GANObjective
from gen_dist.objectives.one_stage import OneStageGANObjective
from gen_dist.objectives.vae import VAEObjective
from gen_dist.objectives.vaegan import VAEGANObjective


def build_objective(config: RunConfig) -> Objective:
    model = config.model
    match config.objective:
        case VAEObjectiveSettings() as objective if not isinstance(model, AdversarialSettings):
            return VAEObjective(model, objective)
        case VAEGANObjectiveSettings() as objective if isinstance(model, AdversarialSettings):
            return VAEGANObjective(model, objective)
        case GANObjectiveSettings() as objective if isinstance(model, AdversarialSettings):
            return (OneStageGANObjective if objective.updates == "one_stage" else GANObjective)(model, objective)
    raise AssertionError("RunConfig validates that model and objective fit")
