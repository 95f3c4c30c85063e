"""Trains a system of ours as one worker of one thread, until it has had its share of a core's time.

Time is counted, not measured: a cell is charged for each phase what that phase took when the systems were timed side by
side (`timing.py`). So a cell does the same steps, and has the same result bit for bit, whatever else the machine does.
"""

import statistics
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
from gen_dist.events import Where
from gen_dist.kernels.warm_up import warm_up
from gen_dist.presets import load_config
from gen_dist.training import build_engine

UNTIMED_STEPS = 2  # at first, when memory is touched and code compiled
COMMON = ["train.device=cpu", "train.threads=1", "train.reducer=tree", "data.loader_threads=1"]

Costs = dict[str, float]  # core seconds of each phase, by its name


@dataclass
class Meter:
    """Notes every phase of an engine: how often, and the core seconds that each took."""

    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    since: float = 0.0

    def __call__(self, where: Where) -> None:
        now = time.process_time()
        if where.stage == "data":
            self.since = now
        elif where.stage == "commit":
            self.counts[where.phase] += 1
            if where.step > UNTIMED_STEPS or where.phase not in self.seconds:
                self.seconds[where.phase].append(now - self.since)

    def charged(self, costs: Mapping[str, float]) -> float:
        """Core seconds, at so much a phase."""
        return sum(count * costs[phase] for phase, count in self.counts.items())

    def medians(self) -> Costs:
        return {phase: statistics.median(found) for phase, found in self.seconds.items()}


@dataclass(frozen=True)
class Trained:
    config: RunConfig
    engine: Engine
    core_seconds: float  # as charged
    losses: dict[str, float]


def configure(system: System, seed: int, pack: Path, more: Sequence[str] = ()) -> RunConfig:
    overrides = [*COMMON, f"data.path={pack}", *system.overrides, f"seed={seed}", *more]
    config = resolve_hardware(load_config(system.preset, overrides), [detect_hardware()])
    return resolve_reproducibility(config, [])[0]


def train(system: System, seed: int, pack: Path, costs: Costs, core_seconds: float) -> Trained:
    """Step by step until `core_seconds` are used up at the prices `costs`."""
    torch.set_num_threads(1)
    more = []
    if system.decays:  # one phase a step
        more = [f"optimizer.decay_steps={max(1, round(core_seconds / sum(costs.values())))}"]
    config, meter = configure(system, seed, pack, more), Meter()
    engine = engine_of(config, pack, meter)
    losses: dict[str, float] = {}
    while meter.charged(costs) < core_seconds:
        losses = engine.step().losses
    engine.loader.close()
    return Trained(config, engine, meter.charged(costs), losses)


def time_phases(system: System, pack: Path, seconds: float) -> Costs:
    """Core seconds of each phase, from a trial of about so many that has every phase at least twice."""
    torch.set_num_threads(1)
    meter, config = Meter(), configure(system, 0, pack)
    engine = engine_of(config, pack, meter)
    least = 2 * max(1, getattr(config.objective, "r1", 0) and config.objective.r1_every)
    started = 0.0
    while engine.state.step < UNTIMED_STEPS + least or time.process_time() - started < seconds:
        engine.step()
        if engine.state.step == UNTIMED_STEPS:
            started = time.process_time()
    engine.loader.close()
    return meter.medians()


def engine_of(config: RunConfig, path: Path, meter: Meter) -> Engine:
    pack = Pack.open(path)
    warm_up(*kernels_used(pack, config.data.augment))
    ownership = Ownership.equal(config.train.microbatches, 1)
    return build_engine(Assignment(config, path, 0, ownership, None), pack, meter)
