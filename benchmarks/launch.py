"""Time from process start to the first finished step, two local workers: gen-dist beside Ray Train's TorchTrainer.

Both train the `smoke` preset's DCGAN on the same images with the same losses and optimiser. The clock starts just
before the process is spawned and stops when the first row stands in its metrics.jsonl, which both write after each
step: gen-dist's supervisor, Ray Train's rank 0. A first run of each warms the caches; it is not timed, but watched for
memory, because watching takes time itself.
"""

import argparse
import json
import math
import os
import platform
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
STEPS = 20  # of the preset
MEMORY_LIMIT_GB = 2.5
LONGEST_SECONDS = 180.0
GEN_DIST, RAY_TRAIN = "gen-dist", "Ray Train"
MARK = "GEN_DIST_BENCHMARK"  # in the environment of all that a run starts


@dataclass(frozen=True)
class Run:
    first_step: float  # seconds from process start
    exit: float
    model: float  # seconds that the peer spent on importing and building gen-dist's model
    losses: tuple[float, float]  # discriminator's and generator's, at the last step


def command(name: str, folder: Path) -> list[str]:
    if name == RAY_TRAIN:
        return [sys.executable, "-m", "benchmarks.ray_train_peer", str(folder)]
    train = ["train", "smoke", "--workers", "2", "--run-dir", str(folder), "wandb.mode=disabled"]
    return [sys.executable, "-m", "gen_dist.launch.cli", *train]


def run(name: str, watch: Callable[[int], None] | None = None) -> Run:
    """Start one contestant and see it through to its end; `watch` gets the process id once the clock has stopped."""
    token = secrets.token_hex(8)
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    environment |= {MARK: token, "RAY_USAGE_STATS_ENABLED": "0", "WANDB_MODE": "disabled"}
    # gen-dist asks for a token always; an open port is no advantage worth having.
    environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    with tempfile.TemporaryDirectory(prefix="gb-") as name_of_folder:  # short: Ray puts sockets deep below it
        folder = Path(name_of_folder) / "run"
        with open(Path(name_of_folder) / "output", "w+b") as output:
            started = time.perf_counter()
            process = subprocess.Popen(
                command(name, folder), cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
            )
            try:
                first = wait_for_row(folder / "metrics.jsonl", process, started, watch)
                while process.poll() is None and time.perf_counter() - started < LONGEST_SECONDS:
                    watch(process.pid) if watch else time.sleep(0.01)
                ended = time.perf_counter() - started
            finally:
                process.kill()
                process.wait()
                end_leftovers(token)
            if process.returncode or first is None:
                output.seek(0)
                tail = output.read().decode(errors="replace")[-3000:]
                raise SystemExit(f"{name}: exit code {process.returncode} after {ended:.0f} s\n{tail}")
        rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        model = folder / "model.json"
        model_seconds = json.loads(model.read_text()) if model.exists() else 0.0
    losses = [(row["train/discriminator_loss"], row["train/generator_loss"]) for row in rows]
    if len(rows) != STEPS or not all(math.isfinite(d + g) for d, g in losses):
        raise SystemExit(f"{name}: wanted {STEPS} finite losses, got {losses}")
    return Run(first, ended, model_seconds, losses[-1])
