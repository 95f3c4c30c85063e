"""What a lost worker, or a lost machine, costs three machines that are network namespaces."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from benchmarks.recovery_watch import Outcome, Rows, measure, measure_undisturbed
from tests.command import finish
from tests.hosts import available, hosts
from tests.machines import Machine, cluster, furnish

MACHINES = 3
KILLED_FAST, KILLED_SLOWLY, CUT = "killed, 3 machines, 1000 Mbit/s", "killed, 3 machines, 100 Mbit/s", "cable pulled"
MEGABITS = {KILLED_FAST: 1000, KILLED_SLOWLY: 100, CUT: 1000}
TRAIN_WORKER = "ray::TrainWorker"


def cannot() -> str | None:
    """Why there can be no machines here; None if there can."""
    return available()


@contextmanager
def running(name: str, preset: str, settings: Sequence[str], workers: int) -> Iterator[tuple[Rows, list[Machine]]]:
    """The record of a run on so many machines, the first of which has the head and the driver."""
    with tempfile.TemporaryDirectory(prefix="gb-") as base, hosts(workers, MEGABITS[name]) as group:
        os.environ["TMPDIR"] = base
        machines = furnish(group)
        with cluster(machines) as address:
            options = ["--workers", str(workers), "--address", address, "--run-dir", "run"]
            process = machines[0].start("train", preset, *options, *settings)
            try:
                yield Rows(machines[0].home / "run", process, None), machines
            finally:
                process.kill()
                finish(process)


def run_on_machines(name: str, preset: str, settings: Sequence[str], own: float | None) -> Outcome:
    """The last machine is struck."""
    with running(name, preset, settings, MACHINES) as (rows, machines):
        strike = machines[-1].host.cut if name == CUT else lambda: machines[-1].kill(TRAIN_WORKER)
        return measure(rows, strike, own)


def own_step_on_machines(name: str, preset: str, settings: Sequence[str]) -> float:
    """Seconds, of those that will be left."""
    with running(name, preset, settings, MACHINES - 1) as (rows, _):
        return measure_undisturbed(rows)
