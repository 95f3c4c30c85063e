"""How fast a step is, beside the same networks in plain torch loops and Pythae's trainer, in one run, turn by turn.

python -m benchmarks.step [--only dcgan-64] [--turns 3] [--seconds 15] [--peers FOLDER]
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.launch import describe_machine
from benchmarks.peers.install import default_folder, python_of
from benchmarks.step.operations import operations_per_image
from benchmarks.training_run import GEN_DIST, run_command
from gen_dist.data.bundled import Sheet
from tests.command import rows

ROOT = Path(__file__).parents[2]
CORES = 2
PLAIN, PYTHAE = "plain loop, fp32, 2 threads", "Pythae's trainer, fp32, 2 threads"
SKIPPED = 3  # steps of ours at first


@dataclass(frozen=True)
class System:
    """A way to train; `options` of ours, or none for a peer."""

    name: str
    options: tuple[str, ...] = ()
    peer: str = ""  # "plain" or "pythae"
    precision: str = ""  # for its share of what the machine can do


@dataclass(frozen=True)
class Table:
    """Systems for one preset; the first is what the others are compared with."""

    preset: str
    batch: int
    steps: int  # of ours in a turn
    systems: tuple[System, ...]
    goals: tuple[tuple[str, str, float], ...]  # who, beside whom, at least how many times as fast


def two(*settings: str) -> tuple[str, ...]:
    return ("--workers", "2", *settings)


BF16, FP32 = "train.precision=bf16", "train.precision=fp32"
VAES = (
    System(PLAIN, peer="plain"),
    System(PYTHAE, peer="pythae"),
    System("2 workers", two("train.precision=auto")),
)
VAE_GOALS = (("2 workers", PLAIN, 1.5), ("2 workers", PYTHAE, 3.0))
TABLES = (
    Table(
        "dcgan-64", 128, 12,
        (
            System(PLAIN, peer="plain"),
            System("bf16, 2 workers", two(BF16), precision="bf16"),
            System("bf16, 2 workers, microbatch 16", two(BF16, "train.microbatch_size=16")),
            System("bf16, 2 workers, microbatch 64", two(BF16, "train.microbatch_size=64")),
            System("bf16, 1 worker of 2 threads", ("--workers", "1", BF16, "train.threads=2")),
            System("bf16, 2 workers, ddp", two(BF16, "train.reducer=ddp")),
            System("fp32, 2 workers", two(FP32), precision="fp32"),
            System("bf16, 2 workers, one-stage updates",
                   two(BF16, "objective.updates=one_stage", "model.discriminator_norm=spectral")),
        ),
        (
            ("bf16, 2 workers", PLAIN, 2.0),
            ("fp32, 2 workers", PLAIN, 1.2),
            ("bf16, 2 workers, one-stage updates", PLAIN, 2.5),
            ("bf16, 2 workers", "bf16, 1 worker of 2 threads", 1.1),
            ("bf16, 2 workers, ddp", "bf16, 1 worker of 2 threads", 1.1),
        ),
    ),
    Table("vae-64", 128, 30, VAES, VAE_GOALS),
    Table("vae-mnist", 256, 150, VAES, VAE_GOALS),
)  # fmt: skip


class Bench:
    def __init__(self, folder: Path, peers: Path, seconds: float) -> None:
        self.folder, self.peers, self.seconds = folder, peers, seconds

    def images(self, preset: str) -> Path:
        """Bundled pictures at the preset's size, grey for digits."""
        path = self.folder / f"{preset}.npy"
        if not path.exists():
            tiles = Sheet.read("emoji").tiles()
            digits = preset == "vae-mnist"
            images = tiles[:, :28, :28, :1] if digits else tiles.repeat(2, 1).repeat(2, 2)[:, :64, :64]
            np.save(path, np.ascontiguousarray(images))
        return path

    def measure(self, table: Table, system: System) -> float:
        """Images per second, from the median of steps. Raises SystemExit where it cannot be measured."""
        if not system.peer:
            return table.batch / statistics.median(self.ours(table, system))
        python = sys.executable if system.peer == "plain" else str(python_of(self.peers, "pythae") or "")
        if not python:
            raise SystemExit(f"pythae: no environment in {self.peers}; run make bench-step, which makes it")
        module = f"benchmarks.step.{'plain' if system.peer == 'plain' else 'with_pythae'}"
        command = [python, "-m", module, table.preset, str(self.images(table.preset)), str(CORES), str(self.seconds)]
        done = subprocess.run(
            command, cwd=ROOT, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        return table.batch / statistics.median(map(float, done.stdout.split()))

    def ours(self, table: Table, system: System) -> list[float]:
        with tempfile.TemporaryDirectory(prefix="gb-") as base:
            run = Path(base) / "run"
            settings = [
                f"data.path={self.images(table.preset)}", f"train.steps={table.steps}", "train.log_every=1",
                "train.sample_every=1000000", "wandb.mode=disabled", f"train.batch_size={table.batch}",
            ]  # fmt: skip
            run_command(
                [sys.executable, *GEN_DIST, "train", table.preset, "--run-dir", str(run), *settings, *system.options]
            )
            return [row["perf/step_seconds"] for row in rows(run)[SKIPPED:-1]]


def ceiling(seconds: float) -> dict[str, float]:
    """The best rates of two processes of one thread each, together."""
    command = [sys.executable, "-m", "benchmarks.step.ceiling", "1", str(seconds)]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(CORES)]
    found = [json.loads(process.communicate()[0]) for process in running]
    return {name: sum(one[name] for one in found) for name in found[0]}


def report(table: Table, rates: dict[str, list[float]], best: dict[str, float]) -> list[str]:
    medians = {name: statistics.median(found) for name, found in rates.items()}
    first = table.systems[0].name
    lines = [f"\n| {table.preset}, batch {table.batch} | images/s (turns) | beside the first |", "|---|---:|---:|"]
    for name, found in rates.items():
        spread = f"{medians[name]:.1f} ({min(found):.1f} to {max(found):.1f})"
        lines.append(f"| {name} | {spread} | {medians[name] / medians[first]:.2f} |")
    for name, beside, least in table.goals:
        ratio = medians[name] / medians[beside]
        lines.append(f"{name}: {ratio:.2f} × {beside}, at least {least}: {'yes' if ratio >= least else 'NO'}")
    operations = operations_per_image(table.preset)
    lines.append(f"operations an image: {operations / 1e9:.2f} GFLOP")
    for system in table.systems:
        if system.precision:
            most = max(rate for name, rate in best.items() if name.startswith(system.precision))
            lines.append(f"{system.name}: {operations * medians[system.name] / most:.2f} of the machine's best rate, "
                         f"{most / 1e9:.0f} GFLOP/s")  # fmt: skip
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="How fast a step is.")
    parser.add_argument("--only", action="append", choices=[table.preset for table in TABLES])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=15.0, help="of a peer's turn")
    parser.add_argument("--peers", type=Path, default=default_folder())
    given = parser.parse_args(arguments)
    print(describe_machine(), flush=True)
    best = ceiling(1.0)
    print("; ".join(f"{name}: {rate / 1e9:.0f} GFLOP/s" for name, rate in best.items()), flush=True)
    with tempfile.TemporaryDirectory(prefix="gb-") as folder:
        bench = Bench(Path(folder), given.peers, given.seconds)
        for table in TABLES:
            if given.only and table.preset not in given.only:
                continue
            rates: dict[str, list[float]] = defaultdict(list)
            for turn in range(given.turns):
                for system in table.systems:
                    rates[system.name].append(bench.measure(table, system))
                    print(f"turn {turn + 1}: {system.name}: {rates[system.name][-1]:.1f} images/s", flush=True)
            print("\n".join(report(table, rates, best)), flush=True)


if __name__ == "__main__":
    main()
