"""Time from process start to the first finished step, two local workers: gen-dist beside Ray Train's TorchTrainer.

Both train the `smoke` preset's DCGAN on the same images with the same losses and optimiser. The clock starts just
before the process is spawned and stops when the first row stands in its metrics.jsonl, which both write after each
step: gen-dist's supervisor, Ray Train's rank 0. All runs share a new cache folder (compiled kernels, the pack), which
the first run of each fills; those are not timed, but watched for memory, because watching takes time itself.
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
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from benchmarks.processes import MARK, Memory, cpu_model, end_leftovers

ROOT = Path(__file__).parents[1]
STEPS = 20  # of the preset
MEMORY_LIMIT = 2.5  # GB, for gen-dist
LONGEST_SECONDS = 180.0
GEN_DIST, RAY_TRAIN = "gen-dist", "Ray Train"


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


def run(name: str, cache: str, memory: Memory | None = None) -> Run:
    """Start one contestant and see it through to its end."""
    token = secrets.token_hex(32)
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    environment["XDG_CACHE_HOME"] = cache
    # gen-dist's Ray always asks for a token; the peer's must not stand open either.
    environment |= {MARK: token, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token, "RAY_USAGE_STATS_ENABLED": "0"}
    with tempfile.TemporaryDirectory(prefix="gb-") as base:  # short: Ray puts sockets deep below it
        folder, output = Path(base) / "run", Path(base) / "output"
        with open(output, "wb") as file:
            started = time.perf_counter()
            process = subprocess.Popen(command(name, folder), cwd=ROOT, env=environment, stdout=file, stderr=file)
            try:
                if memory:
                    memory.watch(process.pid)
                wait_until_row(folder / "metrics.jsonl", process, started)
                first = time.perf_counter() - started
                process.wait(LONGEST_SECONDS)
                ended = time.perf_counter() - started
            except subprocess.TimeoutExpired:
                raise SystemExit(f"{name}: not done after {LONGEST_SECONDS:.0f} s\n{tail(output)}") from None
            finally:
                process.kill()
                left = end_leftovers(token)
        if process.returncode or left:
            what = f"exit code {process.returncode}, processes left behind: {left}"
            raise SystemExit(f"{name}: {what}\n{tail(output)}")
        return Run(first, ended, read_model_seconds(folder), check_losses(name, folder / "metrics.jsonl"))


def wait_until_row(path: Path, process: subprocess.Popen[bytes], started: float) -> None:
    """Return when the file has its first whole line, or when the process has ended."""
    while process.poll() is None:
        with suppress(FileNotFoundError):
            if b"\n" in path.read_bytes():
                return
        if time.perf_counter() - started > LONGEST_SECONDS:
            raise subprocess.TimeoutExpired(process.args, LONGEST_SECONDS)
        time.sleep(0.005)


def tail(output: Path) -> str:
    return output.read_text(errors="replace")[-3000:]


def read_model_seconds(folder: Path) -> float:
    path = folder / "model.json"
    return json.loads(path.read_text()) if path.exists() else 0.0


def check_losses(name: str, metrics: Path) -> tuple[float, float]:
    """D's and G's losses at the last step; all steps must be there and finite."""
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    losses = [(row["train/discriminator_loss"], row["train/generator_loss"]) for row in rows]
    if len(losses) != STEPS or not all(math.isfinite(d + g) for d, g in losses):
        raise SystemExit(f"{name}: wanted {STEPS} steps with finite losses, got {losses}")
    return losses[-1]


def spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):6.2f} ({min(values):.2f}..{max(values):.2f})"


def describe_machine() -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in ("ray", "torch"))
    return f"{cpu_model()}, {len(os.sched_getaffinity(0))} cores; Python {platform.python_version()}, {versions}"


def report(runs: dict[str, list[Run]], memories: dict[str, Memory]) -> None:
    print(f"\n{'seconds, median (min..max)':28}{'first step':>22}{f'exit, {STEPS} steps':>24}")
    for name, own in runs.items():
        print(f"{name:28}{spread([r.first_step for r in own]):>22}{spread([r.exit for r in own]):>24}")
    for name, own in runs.items():
        print(f"{name}: losses at step {STEPS}: D {own[-1].losses[0]:.3f}, G {own[-1].losses[1]:.3f}")
    for name, memory in memories.items():
        print(f"{name}: at most {memory.peak / 1e9:.2f} GB (PSS) in {memory.processes} processes")
    verdict = "yes" if memories[GEN_DIST].peak < MEMORY_LIMIT * 1e9 else "NO"
    print(f"{GEN_DIST} under {MEMORY_LIMIT} GB: {verdict}")

    model = statistics.median(r.model for r in runs[RAY_TRAIN])
    first, ended = median_by_name(runs, "first_step"), median_by_name(runs, "exit")
    print(f"\nratios of medians, {GEN_DIST} / {RAY_TRAIN}:")
    print(f"  process exit: {ended[GEN_DIST] / ended[RAY_TRAIN]:.2f}")
    print(
        f"  first step, had importing and building the model ({model:.2f} s) cost {RAY_TRAIN} nothing: "
        f"{first[GEN_DIST] / (first[RAY_TRAIN] - model):.2f}"
    )
    print(f"  first step: {first[GEN_DIST] / first[RAY_TRAIN]:.2f}")


def median_by_name(runs: dict[str, list[Run]], field: str) -> dict[str, float]:
    return {name: statistics.median(getattr(r, field) for r in own) for name, own in runs.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="Start-up time of gen-dist beside Ray Train.")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each, interleaved (default 5)")
    repeats = parser.parse_args().repeats
    if repeats < 1:
        parser.error(f"--repeats {repeats}: must be at least 1")
    if missing := [name for name in ("pandas", "pyarrow") if find_spec(name) is None]:
        parser.error(f"Ray Train needs {' and '.join(missing)}: pip install -c constraints.txt {' '.join(missing)}")
    print(describe_machine(), flush=True)
    names = (GEN_DIST, RAY_TRAIN)
    memories = {name: Memory() for name in names}
    runs: dict[str, list[Run]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory(prefix="gb-") as cache:
        for name in names:
            run(name, cache, memories[name])
        for number in range(1, repeats + 1):
            for name in names:
                runs[name].append(run(name, cache))
            times = ", ".join(f"{name} {runs[name][-1].first_step:.2f} s" for name in names)
            print(f"run {number} of {repeats}, first step: {times}", flush=True)
    report(runs, memories)


if __name__ == "__main__":
    main()
