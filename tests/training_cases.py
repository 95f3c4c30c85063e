"""Small runs in this process, for tests of the engine."""

from collections.abc import Sequence
from pathlib import Path

from gen_dist.assignment import Assignment
from gen_dist.config import RunConfig
from gen_dist.data.pack import Pack
from gen_dist.engine.engine import Engine
from gen_dist.engine.hardware import detect_hardware, resolve_hardware
from gen_dist.engine.ownership import Ownership
from gen_dist.engine.reproducibility import resolve_reproducibility
from gen_dist.presets import load_config
from gen_dist.training import build_engine

SMALL = ["data.size=16", "train.device=cpu", "train.precision=fp32"]
VAE = ["model.latent=4", "model.width=4", "train.batch_size=16", "train.microbatch_size=4"]
DCGAN = ["model.latent=4", "model.generator_width=4", "model.discriminator_width=4", "train.batch_size=16",
         "train.microbatch_size=4", "train.ema_decay=0.9"]  # fmt: skip

# Every random and every stateful part that the project has, in both families.
CASES = {
    "vae": ("vae-64", [*VAE, "model.dropout=0.3"]),
    "vae-bernoulli": ("vae-64", [*VAE, "objective.likelihood=bernoulli", "objective.beta=2", "train.ema_decay=0.9"]),
    "dcgan": (
        "dcgan-64",
        [*DCGAN, "model.dropout=0.2", "model.instance_noise=0.1", "data.augment.horizontal_flip=true"],
    ),
    "dcgan-k2": ("dcgan-64", [*DCGAN, "objective.discriminator_steps=2", "objective.real_label=0.9"]),
}


def case(name: str, overrides: Sequence[str] = ()) -> RunConfig:
    preset, own = CASES[name]
    config = resolve_hardware(load_config(preset, [*SMALL, *own, *overrides]), [detect_hardware()])
    return resolve_reproducibility(config, 1, [])[0]


def engine_of(config: RunConfig, pack: Path, resume: dict[str, bytes] | None = None) -> Engine:
    """One worker that owns all microbatches."""
    ownership = Ownership.equal(config.train.microbatches, 1)
    return build_engine(Assignment(config, pack, 0, ownership, resume), Pack.open(pack), lambda where: None)


def run_steps(engine: Engine, count: int) -> list[dict[str, float]]:
    return [engine.step().losses for _ in range(count)]
