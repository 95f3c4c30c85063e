"""What a lost worker, or a lost machine, costs three machines that are network namespaces."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.recovery_watch import Outcome, Rows, measure
from tests.command import finish
from tests.hosts import available, hosts
from tests.machines import cluster, furnish

KILLED_FAST, KILLED_SLOWLY, CUT = "killed, 3 machines, 1000 Mbit/s", "killed, 3 machines, 100 Mbit/s", "cable pulled"
MEGABITS = {KILLED_FAST: 1000, KILLED_SLOWLY: 100, CUT: 1000}
TRAIN_WORKER = "ray::TrainWorker"


def cannot() -> str | None:
    """Why there can be no machines here; None if there can."""
    return available()


def run_on_machines(name: str, preset: str, settings: Sequence[str]) -> Outcome:
    """The last of three machines is struck; the first one has the head and the driver."""
    with tempfile.TemporaryDirectory(prefix="gb-") as base, hosts(3, MEGABITS[name]) as group:
        os.environ["TMPDIR"] = base
        machines = furnish(group)

        def strike() -> None:
            if name == CUT:
                machines[-1].host.cut()
            else:
                machines[-1].kill(TRAIN_WORKER)

        with cluster(machines) as address:
            options = ["--workers", "3", "--address", address, "--run-dir", "run"]
            process = machines[0].start("train", preset, *options, *settings)
            try:
                return measure(Rows(Path(machines[0].home) / "run", process, None), strike)
            finally:
                process.kill()
                finish(process)
