"""What a killed worker costs: gen-dist beside Ray Train's TorchTrainer, two local workers, the same kill in both.

While a run trains, one of its worker processes gets SIGKILL. The overhead is the time from there to the next finished
step that the run had not finished before, less what such a step takes the workers that are left. Steps are lost where
they are computed again. Ray Train saves a checkpoint every `CHECKPOINT_EVERY` steps, its only way back; gen-dist needs
none. Contestants take turns.

    python -m benchmarks.recovery [--preset smoke] [--repeats 5] [--without-peer]
"""

import argparse
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil

from benchmarks.launch import GEN_DIST, RAY_TRAIN, ROOT, describe_machine, spread, tail
from benchmarks.processes import MARK, end_leftovers, train_workers
from gen_dist.data.bundled import Sheet

WORKERS = {GEN_DIST: "ray::TrainWorker", RAY_TRAIN: "ray::RayTrainWorker"}
CHECKPOINT_EVERY = 25
WARM_STEPS, FOLLOWING_STEPS = 40, 12  # before the kill, and after it
ENDLESS = 1_000_000
LONGEST_SECONDS = 300.0
GOAL_SECONDS = 1.0


@dataclass(frozen=True)
class Outcome:
    overhead: float  # seconds
    lost: int  # steps
    step: float  # seconds, of those that were left


def command(name: str, preset: str, folder: Path, images: Path) -> list[str]:
    if name == RAY_TRAIN:
        return [
            sys.executable,
            "-m",
            "benchmarks.ray_train_peer",
            str(folder),
            preset,
            str(ENDLESS),
            str(CHECKPOINT_EVERY),
        ]
    settings = [f"data.path={images}", f"train.steps={ENDLESS}", "train.log_every=1", "train.sample_every=1000000",
                "train.checkpoint_every=1000000", "wandb.mode=disabled"]  # fmt: skip
    return [
        sys.executable,
        "-m",
        "gen_dist.launch.cli",
        "train",
        preset,
        "--workers",
        "2",
        "--run-dir",
        str(folder),
        *settings,
    ]


def run(name: str, preset: str, images: Path) -> Outcome:
    token = secrets.token_hex(32)
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    environment |= {MARK: token, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token, "RAY_USAGE_STATS_ENABLED": "0"}
    with tempfile.TemporaryDirectory(prefix="gb-") as base:
        folder, output = Path(base) / "run", Path(base) / "output"
        with open(output, "wb") as file:
            process = subprocess.Popen(
                command(name, preset, folder, images), cwd=ROOT, env=environment, stdout=file, stderr=file
            )
            try:
                watch = Rows(folder / "metrics.jsonl", process, output)
                watch.until(lambda: len(watch.steps) >= WARM_STEPS)
                killed = kill_worker(process.pid, WORKERS[name])
                before = max(watch.steps)
                seen = len(watch.steps)
                watch.until(lambda: max(watch.steps) >= before + FOLLOWING_STEPS)
            finally:
                process.kill()
                process.wait()
                end_leftovers(token)
    return judge(watch, seen, before, killed)


def judge(watch: "Rows", seen: int, before: int, killed: float) -> Outcome:
    """`seen` rows had been read when the worker was killed, the last of step `before`."""
    later = list(zip(watch.steps, watch.times, strict=True))[seen:]
    new = [(step, at) for step, at in later if step > before]
    lost = sum(step <= before for step, _ in later)
    steps = [after - at for (_, at), (_, after) in pairwise(new)]
    own = statistics.median(steps)
    return Outcome(new[0][1] - killed - own, lost, own)


class Rows:
    """The steps in a metrics file that grows, and when each came."""

    def __init__(self, path: Path, process: "subprocess.Popen[bytes]", output: Path) -> None:
        self.path, self.process, self.output = path, process, output
        self.steps: list[int] = []
        self.times: list[float] = []

    def until(self, done) -> None:  # type: ignore[no-untyped-def]
        deadline = time.perf_counter() + LONGEST_SECONDS
        while not done():
            with suppress(FileNotFoundError):
                lines = self.path.read_bytes().split(b"\n")[:-1]
                for line in lines[len(self.steps) :]:
                    self.steps.append(json.loads(line)["step"])
                    self.times.append(time.perf_counter())
            if self.process.poll() is not None or time.perf_counter() > deadline:
                raise SystemExit(f"it ended, or got no further in {LONGEST_SECONDS:.0f} s\n{tail(self.output)}")
            time.sleep(0.002)


def kill_worker(driver: int, title: str) -> float:
    """The last one that was started; returns when."""
    workers = train_workers(psutil.Process(driver), title)
    if len(workers) < 2:
        raise SystemExit(f"{len(workers)} processes are called {title}, not 2")
    workers[-1].kill()
    return time.perf_counter()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="What a killed worker costs.")
    parser.add_argument("--preset", action="append", help="default: smoke and dcgan-64")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--without-peer", action="store_true")
    given = parser.parse_args(arguments)
    print(describe_machine())
    names = [GEN_DIST] if given.without_peer else [GEN_DIST, RAY_TRAIN]
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "emoji.npy"
        np.save(images, Sheet.read("emoji").tiles())
        for preset in given.preset or ["smoke", "dcgan-64"]:
            found: dict[str, list[Outcome]] = {name: [] for name in names}
            for _ in range(given.repeats):
                for name in names:
                    found[name].append(run(name, preset, images))
                    print(f"{preset}, {name}: {found[name][-1]}", flush=True)
            print(f"\n{preset}: seconds beyond a step, median (min..max); steps lost; seconds of a step of those left")
            for name, own in found.items():
                lost = "..".join(str(value) for value in sorted({min(o.lost for o in own), max(o.lost for o in own)}))
                print(f"{name:12}{spread([o.overhead for o in own])}{lost:>8}{spread([o.step for o in own]):>24}")
            median = statistics.median(o.overhead for o in found[GEN_DIST])
            print(f"at most {GOAL_SECONDS} s and no step lost: {'yes' if median <= GOAL_SECONDS else 'NO'}")


if __name__ == "__main__":
    main()
