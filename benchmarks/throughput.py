"""How fast a run trains on machines that are network namespaces, once it has found its pace."""

import os
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gen_dist.data.bundled import Sheet
from tests.command import finish, last_state, reached, rows
from tests.hosts import hosts
from tests.machines import Machine, cluster, furnish

LONGEST_SECONDS = 900.0
SETTLE_SECONDS = 50.0  # until a spare worker has started, which takes CPU time 15 s after the first step
ENDLESS = 1_000_000
STOPPED = 143  # the exit code after SIGTERM
AMPLE = 2.0  # CPUs of a machine while Ray starts there


class Steps(NamedTuple):
    settle: int  # so many are not counted: shares follow the machines' speeds
    all: int
    ends: bool = True  # with the last of them; else it would go on for ever, and is stopped


@dataclass(frozen=True)
class Pace:
    step: float  # seconds, the median
    spread: float  # of the counted steps: between the quartiles, as a part of the median
    sent: float  # bytes a step, by the host that sends or receives most
    hash: str  # of the last state


@contextmanager
def machines(cpus: Sequence[float], megabits: float | None) -> Iterator[tuple[list[Machine], str]]:
    """One for each number of CPUs, and the path of pictures to train on. Links without `megabits` are as fast as they
    are."""
    with (
        tempfile.TemporaryDirectory(prefix="gb-") as base,
        hosts(len(cpus), megabits, [AMPLE] * len(cpus)) as group,
    ):
        os.environ["TMPDIR"] = base
        images = Path(base) / "emoji.npy"
        np.save(images, Sheet.read("emoji").tiles())
        yield furnish(group), str(images)


@contextmanager
def held_to(made: Sequence[Machine], cpus: Sequence[float]) -> Iterator[None]:
    """These machines have so many CPUs; Ray is started before, as it is impatient."""
    for machine, share in zip(made, cpus, strict=True):
        machine.host.limit(share)
    try:
        yield
    finally:
        for machine in made:
            machine.host.limit(AMPLE)


@contextmanager
def held_cluster(made: Sequence[Machine], cpus: Sequence[float]) -> Iterator[str]:
    """A cluster of them; the first does not train."""
    with cluster(made, cpus=[0, *[1] * (len(made) - 1)]) as address, held_to(made, cpus):
        yield address


def train(machine: Machine, preset: str, steps: Steps, options: Sequence[str], watch: Sequence[Machine] = ()) -> Pace:
    """Train into `machine`'s folder, which the driver runs on. `watch`: whose traffic counts.

    Raises:
        SystemExit: the run failed, or took too long.
    """
    run = machine.home / "run"
    last = steps.all if steps.ends else ENDLESS
    ours = [f"train.steps={last}", "train.log_every=1", "train.sample_every=1000000", "wandb.mode=disabled"]
    process = machine.start("train", preset, "--run-dir", "run", *options, *ours)
    skipped = settle(process, run, steps.settle)
    counted = steps.all if steps.ends else skipped + steps.all - steps.settle
    before = traffic(watch)
    wait(process, reached(run, counted))
    passed = [after - earlier for after, earlier in zip(traffic(watch), before, strict=True)]
    if not steps.ends:
        process.send_signal(signal.SIGTERM)
    done = finish(process, LONGEST_SECONDS)
    if done.code != (0 if steps.ends else STOPPED):
        raise SystemExit(f"exit code {done.code}\n{done.out}\n{done.err}")
    seconds = [row["perf/step_seconds"] for row in rows(run)[skipped:counted]]
    if len(seconds) < 2:
        raise SystemExit(f"{steps.all} steps: {skipped} were over when the run had found its pace; take more")
    low, median, high = statistics.quantiles(seconds, n=4)
    sent = max(passed, default=0) / len(seconds)
    return Pace(median, (high - low) / median, sent, str(last_state(run)["hash"]))


def settle(process: subprocess.Popen[str], run: Path, steps: int) -> int:
    """Wait until the run has found its pace; returns how many steps it had done then."""
    wait(process, reached(run, 1))
    began = time.monotonic()
    wait(process, reached(run, steps))
    time.sleep(max(0.0, SETTLE_SECONDS - (time.monotonic() - began)))
    return len(rows(run))


def wait(process: subprocess.Popen[str], what: Callable[[], bool]) -> None:
    """Until that is so. Raises SystemExit if the process ends before, or it takes too long."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while not what():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            done = finish(process)
            raise SystemExit(f"ended too early or took too long, exit code {done.code}\n{done.out}\n{done.err}")
        time.sleep(0.02)


def traffic(made: Sequence[Machine]) -> list[int]:
    """Bytes in each direction of each machine."""
    return [count for machine in made for count in machine.host.traffic()]
