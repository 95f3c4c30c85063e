"""What a lost worker costs: gen-dist beside Ray Train's TorchTrainer, two local workers, the same kill in both.

While a run trains, one of its worker processes gets SIGKILL, or, gen-dist only, SIGSTOP; on three machines made of
network namespaces, a worker is killed, or its machine's cable is pulled. The overhead is the time from there to the
next finished step that the run had not finished before, less what such a step takes the workers that are left, which a
run of so many workers shows that nothing happens to (Ray Train starts as many as before). Steps are lost where they are
computed again. Ray Train saves a checkpoint every `CHECKPOINT_EVERY` steps, its only way back;
gen-dist needs none. Contestants take turns.

    python -m benchmarks.recovery [--preset smoke] [--repeats 5] [--without-peer] [--without-machines]
"""

import argparse
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import psutil

from benchmarks.launch import GEN_DIST, RAY_TRAIN, ROOT, describe_machine, spread
from benchmarks.processes import MARK, end_leftovers, train_workers
from benchmarks.recovery_machines import CUT, KILLED_FAST, KILLED_SLOWLY, cannot, own_step_on_machines, run_on_machines
from benchmarks.recovery_watch import Outcome, Rows, measure, measure_undisturbed
from gen_dist.data.bundled import Sheet

STOPPED = "stopped"
TITLES = {GEN_DIST: "ray::TrainWorker", STOPPED: "ray::TrainWorker", RAY_TRAIN: "ray::RayTrainWorker"}
WORKERS = 2
CHECKPOINT_EVERY = 25
ENDLESS = 1_000_000
GOAL_SECONDS = 1.0


def settings_of(images: Path) -> list[str]:
    return [f"data.path={images}", f"train.steps={ENDLESS}", "train.log_every=1", f"train.sample_every={ENDLESS}",
            f"train.checkpoint_every={ENDLESS}", "wandb.mode=disabled"]  # fmt: skip


def command(name: str, preset: str, folder: Path, images: Path, workers: int) -> list[str]:
    if name == RAY_TRAIN:
        peer = ["benchmarks.ray_train_peer", folder, preset, ENDLESS, CHECKPOINT_EVERY]
        return [sys.executable, "-m", *map(str, peer)]
    ours = ["gen_dist.launch.cli", "train", preset, "--workers", str(workers), "--run-dir", str(folder)]
    return [sys.executable, "-m", *ours, *settings_of(images)]


@contextmanager
def running(name: str, preset: str, images: Path, workers: int) -> Iterator[tuple[Rows, int]]:
    """The record of such a run, and the driver's process."""
    token = secrets.token_hex(32)
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    environment |= {MARK: token, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token, "RAY_USAGE_STATS_ENABLED": "0"}
    with tempfile.TemporaryDirectory(prefix="gb-") as base, open(Path(base) / "output", "wb") as file:
        folder = Path(base) / "run"
        process = subprocess.Popen(
            command(name, preset, folder, images, workers), cwd=ROOT, env=environment, stdout=file, stderr=file
        )
        try:
            yield Rows(folder, process, Path(base) / "output"), process.pid
        finally:
            process.kill()
            process.wait()
            end_leftovers(token)


def run(name: str, preset: str, images: Path, own: float | None) -> Outcome:
    with running(name, preset, images, WORKERS) as (rows, driver):
        return measure(rows, lambda: hurt_worker(driver, name), own)


def own_step(name: str, preset: str, images: Path) -> float | None:
    """Seconds, of those that will be left."""
    if name == RAY_TRAIN:
        return None
    with running(GEN_DIST, preset, images, WORKERS - 1) as (rows, _):
        return measure_undisturbed(rows)


def hurt_worker(driver: int, name: str) -> None:
    """The second one; a third is a spare that does not train."""
    workers = train_workers(psutil.Process(driver), TITLES[name])
    if len(workers) < WORKERS:
        raise SystemExit(f"{len(workers)} processes are called {TITLES[name]}, not {WORKERS}")
    if name == STOPPED:
        workers[1].suspend()
    else:
        workers[1].kill()


@dataclass(frozen=True)
class Contestant:
    name: str
    own: Callable[[str, Path], float | None]  # preset, images: seconds of a step of those left
    run: Callable[[str, Path, float | None], Outcome]


def contestants(peer: bool, machines: bool) -> list[Contestant]:
    local = [GEN_DIST, *([RAY_TRAIN] if peer else []), STOPPED]
    found = [Contestant(name, partial(own_step, name), partial(run, name)) for name in local]
    for name in (KILLED_FAST, KILLED_SLOWLY, CUT) if machines else ():

        def own(preset: str, images: Path, name: str = name) -> float:
            return own_step_on_machines(name, preset, settings_of(images))

        def start(preset: str, images: Path, own: float | None, name: str = name) -> Outcome:
            return run_on_machines(name, preset, settings_of(images), own)

        found.append(Contestant(name, own, start))
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="What a lost worker costs.")
    parser.add_argument("--preset", action="append", help="default: smoke and dcgan-64")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--without-peer", action="store_true")
    parser.add_argument("--without-machines", action="store_true")
    given = parser.parse_args(arguments)
    print(describe_machine())
    reason = "not wanted" if given.without_machines else cannot()
    if reason:
        print(f"no machines: {reason}")
    taking_part = contestants(not given.without_peer, not reason)
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "emoji.npy"
        np.save(images, Sheet.read("emoji").tiles())
        for preset in given.preset or ["smoke", "dcgan-64"]:
            found: dict[str, list[Outcome]] = {one.name: [] for one in taking_part}
            own = {one.name: one.own(preset, images) for one in taking_part}
            for _ in range(given.repeats):
                for one in taking_part:
                    found[one.name].append(one.run(preset, images, own[one.name]))
                    print(f"{preset}, {one.name}: {found[one.name][-1]}", flush=True)
            print_table(preset, found)


def print_table(preset: str, found: dict[str, list[Outcome]]) -> None:
    print(f"\n{preset}: seconds beyond a step, median (min..max); beyond the silence allowed; steps lost; seconds of a "
          "step of those left")  # fmt: skip
    for name, own in found.items():
        lost = "..".join(str(value) for value in sorted({min(o.lost for o in own), max(o.lost for o in own)}))
        beyond = "-" if own[0].allowed is None else spread([o.overhead - (o.allowed or 0) for o in own])
        print(f"{name:34}{spread([o.overhead for o in own])}{beyond:>26}{lost:>8}{spread([o.step for o in own]):>24}")
    median = statistics.median(o.overhead for o in found[GEN_DIST])
    print(f"a kill costs at most {GOAL_SECONDS} s: {'yes' if median <= GOAL_SECONDS else 'NO'}")
    for name, own in found.items():
        if own[0].allowed is not None:
            median = statistics.median(o.overhead - (o.allowed or 0) for o in own)
            print(
                f"{name}: at most the silence allowed + {GOAL_SECONDS} s: {'yes' if median <= GOAL_SECONDS else 'NO'}"
            )


if __name__ == "__main__":
    main()
