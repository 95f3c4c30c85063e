"""Every setting of a run: frozen, validated, documented. Knows neither torch nor ray.

Cross-field rules live in validators and raise ValueError with a message ready for the user.
"""

from gen_dist.config.data import AugmentSettings, DataSettings, DecodingSettings, PrepareSettings
from gen_dist.config.optimizer import OptimizerSettings
from gen_dist.config.run import RESULT_FIELDS, RunConfig, flatten, result_settings
from gen_dist.config.train import ClusterSettings, TrainSettings, WandbSettings

__all__ = [
    "RESULT_FIELDS", "AugmentSettings", "ClusterSettings", "DataSettings", "DecodingSettings", "OptimizerSettings",
    "PrepareSettings", "RunConfig", "TrainSettings", "WandbSettings", "flatten", "result_settings",
]  # fmt: skip
