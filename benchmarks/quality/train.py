"""Trains a system of ours for a given time of one core, in this process, as one worker of one thread."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.quality.cells import System
from gen_dist.assignment import Assignment
from gen_dist.config import RunConfig
from gen_dist.data.pack import Pack
from gen_dist.data.pixels import kernels_used
from gen_dist.engine.engine import Engine
from gen_dist.engine.hardware import detect_hardware, resolve_hardware
from gen_dist.engine.ownership import Ownership
from gen_dist.engine.reproducibility import resolve_reproducibility
from gen_dist.kernels.warm_up import warm_up
from gen_dist.presets import load_config
from gen_dist.training import build_engine

FIRST_STEPS, TIMED_STEPS = 3, 10  # of a trial that tells how many steps the time is enough for
COMMON = ["train.device=cpu", "train.threads=1", "train.reducer=tree", "data.loader_threads=1"]


@dataclass(frozen=True)
class Trained:
    config: RunConfig
    engine: Engine
    steps: int
    core_seconds: float
    losses: dict[str, float]


def configure(system: System, seed: int, pack: Path, more: Sequence[str] = ()) -> RunConfig:
    overrides = [*COMMON, f"data.path={pack}", *system.overrides, f"seed={seed}", *more]
    config = resolve_hardware(load_config(system.preset, overrides), [detect_hardware()])
    return resolve_reproducibility(config, [])[0]


def train_for(system: System, seed: int, pack: Path, core_seconds: float, more: Sequence[str] = ()) -> Trained:
    """Train until the process has used `core_seconds` of processor time for it; compiling is not counted."""
    torch.set_num_threads(1)
    if system.decays:
        steps = int(core_seconds / seconds_a_step(configure(system, seed, pack, more), pack))
        more = [*more, f"optimizer.decay_steps={max(1, steps)}"]
    config = configure(system, seed, pack, more)
    engine = engine_of(config, pack)
    losses: dict[str, float] = {}
    started = time.process_time()
    while time.process_time() - started < core_seconds:
        losses = engine.step().losses
    used = time.process_time() - started
    engine.loader.close()
    return Trained(config, engine, engine.state.step, used, losses)


def seconds_a_step(config: RunConfig, pack: Path) -> float:
    """Processor time of a step, from a short trial."""
    engine = engine_of(config, pack)
    for _ in range(FIRST_STEPS):
        engine.step()
    started = time.process_time()
    for _ in range(TIMED_STEPS):
        engine.step()
    used = time.process_time() - started
    engine.loader.close()
    return used / TIMED_STEPS


def engine_of(config: RunConfig, path: Path) -> Engine:
    pack = Pack.open(path)
    warm_up(*kernels_used(pack, config.data.augment))
    ownership = Ownership.equal(config.train.microbatches, 1)
    return build_engine(Assignment(config, path, 0, ownership, None), pack, lambda where: None)
