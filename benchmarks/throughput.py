"""How fast a run trains on machines that are network namespaces, once it has found its pace."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tests.command import finish, last_state, reached, rows, wait_for
from tests.machines import Machine

LONGEST_SECONDS = 900.0


class Steps(NamedTuple):
    settle: int  # so many are not counted
    all: int


@dataclass(frozen=True)
class Pace:
    step: float  # seconds, the median
    sent: float  # bytes a step, by the host that sends or receives most
    hash: str  # of the last state


def train(machine: Machine, preset: str, steps: Steps, options: Sequence[str], watch: Sequence[Machine] = ()) -> Pace:
    """Train into `machine`'s folder, which the driver runs on. `watch`: whose traffic counts.

    Raises:
        SystemExit: the run failed.
    """
    run = machine.home / "run"
    ours = [f"train.steps={steps.all}", "train.log_every=1", "train.sample_every=1000000", "wandb.mode=disabled"]
    process = machine.start("train", preset, "--run-dir", "run", *options, *ours)
    try:
        wait_for(reached(run, steps.settle), LONGEST_SECONDS)
        before = traffic(watch)
        wait_for(reached(run, steps.all), LONGEST_SECONDS)
        passed = [after - earlier for after, earlier in zip(traffic(watch), before, strict=True)]
    finally:
        done = finish(process, LONGEST_SECONDS)
    if done.code:
        raise SystemExit(f"exit code {done.code}\n{done.out}\n{done.err}")
    seconds = [row["perf/step_seconds"] for row in rows(run)[steps.settle :]]
    return Pace(
        statistics.median(seconds), max(passed, default=0) / (steps.all - steps.settle), str(last_state(run)["hash"])
    )


def traffic(machines: Sequence[Machine]) -> list[int]:
    """Bytes in each direction of each machine."""
    return [count for machine in machines for count in machine.host.traffic()]
