"""One, two and three machines of half a CPU each, beside what their processors and their links allow, and `plan`.

The bound is the lesser of two rates: of the machines' processors, which is so many times what one does alone, and of
the links, on which each of W machines must send and receive 2 (W - 1) / W of the gradients at the rate that
`gen-dist plan` measured. The driver and Ray's head have a machine of their own.

    python -m benchmarks.scaling [--preset vae-64] [--batch 128] [--megabits 1000] [--results FOLDER]

Each cell leaves a JSON file in the folder, so that what was stopped goes on.
"""

import argparse
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.launch import describe_machine
from benchmarks.throughput import Pace, Steps, held_cluster, machines, train
from gen_dist.atomic import write_atomic
from tests.hosts import available

PRESETS, BATCHES, LINKS, WORKERS = ("dcgan-64", "vae-64"), (128, 384), (1000, 100), (1, 2, 3)
CPUS = (0.5, 0.5, 0.5, 0.5)  # of the driver's machine, and of those that train
STEPS = Steps(14, 24, ends=False)  # shares follow speeds after some ten steps
ALONE = Steps(3, 11, ends=False)
MICROBATCH = {128: 4, 384: 8}  # small, so that three own nearly equal parts: 32 and 48 of them
BOUND_GOAL, PLAN_GOAL = 0.9, 0.15
PLAN_SECONDS = 600.0


@dataclass(frozen=True)
class Cell:
    """One preset at one batch size on links of one rate."""

    preset: str
    batch: int
    megabits: int

    @property
    def name(self) -> str:
        return f"{self.preset}-{self.batch}-{self.megabits}.json"

    @property
    def settings(self) -> list[str]:
        size = MICROBATCH[self.batch]
        return [f"train.batch_size={self.batch}", f"train.microbatch_size={size}", "train.checkpoint_every=1000000"]


@dataclass(frozen=True)
class Row:
    """Of a cell, for one number of workers. Seconds are a step's."""

    workers: int
    seconds: float
    processors: float  # seconds, if nothing but computing took time
    links: float  # seconds, if nothing but the gradients' way took time
    predicted: float
    sent: float  # bytes, as counted

    @property
    def of_bound(self) -> float:
        return max(self.processors, self.links) / self.seconds

    @property
    def off(self) -> float:
        return self.predicted / self.seconds - 1


def measure(cell: Cell) -> dict[str, object]:
    """Seconds a step by number of workers, as predicted and as they were, and bytes."""
    with machines(CPUS, cell.megabits) as (made, images), held_cluster(made, CPUS) as address:
        driver, *others = made
        settings = [f"data.path={images}", *cell.settings, "--address", address]
        done = driver.gen_dist("plan", cell.preset, *settings, "--workers", "1,2,3", "--json", seconds=PLAN_SECONDS)
        if done.code:
            raise SystemExit(f"plan: exit code {done.code}\n{done.err}")
        found: dict[str, Pace] = {}
        for workers in WORKERS:
            shutil.rmtree(driver.home / "run", ignore_errors=True)
            options = ["--workers", str(workers), *settings]
            found[str(workers)] = train(driver, cell.preset, ALONE if workers == 1 else STEPS, options, others)
            print(f"{cell.name}, {workers}: {found[str(workers)]}", flush=True)
    return {"plan": json.loads(done.out), "paces": {number: vars(pace) for number, pace in found.items()}}


def rows(found: dict[str, Any]) -> list[Row]:
    paces = {int(number): Pace(**pace) for number, pace in found["paces"].items()}
    plan = found["plan"]
    predicted = {row["workers"]: row["step_seconds"] for row in plan["predictions"]}
    slowest = min(1e6 / 8 * link["megabits_per_second"] for link in plan["links"])
    phases = plan["machines"][0]["phases"]
    needed = sum(phase["count"] * sum(vector["bytes"] for vector in phase["sent"]) for phase in phases)
    return [
        Row(
            workers, pace.step, paces[1].step / workers, 2 * (workers - 1) / workers * needed / slowest,
            predicted[workers], pace.sent,
        )
        for workers, pace in paces.items()
    ]  # fmt: skip


def describe(cell: Cell, row: Row) -> str:
    limit = "processors" if row.processors >= row.links else "links"
    return (
        f"| {cell.preset} | {cell.batch} | {cell.megabits} | {row.workers} | {cell.batch / row.seconds:.1f} "
        f"| {row.sent / 1e6:.1f} | {limit} | {row.of_bound:.2f} | {row.processors / row.seconds:.2f} | {row.off:+.0%} |"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="One, two and three machines.")
    parser.add_argument("--preset", action="append", choices=PRESETS)
    parser.add_argument("--batch", action="append", type=int, choices=BATCHES)
    parser.add_argument("--megabits", action="append", type=int, choices=LINKS)
    parser.add_argument("--results", type=Path, default=Path("runs/scaling"))
    given = parser.parse_args(arguments)
    if reason := available():
        raise SystemExit(f"no machines: {reason}")
    print(describe_machine())
    given.results.mkdir(parents=True, exist_ok=True)
    chosen = product(given.preset or PRESETS, given.batch or BATCHES, given.megabits or LINKS)
    table: list[tuple[Cell, Row]] = []
    for cell in [Cell(*parts) for parts in chosen]:
        path = given.results / cell.name
        if not path.exists():
            write_atomic(path, json.dumps(measure(cell), indent=1).encode())
        table += [(cell, row) for row in rows(json.loads(path.read_text()))]
    print("\n| preset | batch | Mbit/s | machines | images/s | MB sent | bound by | of the bound | efficiency | plan |")
    print("|---|---:|---:|---:|---:|---:|---|---:|---:|---:|")
    print("\n".join(describe(cell, row) for cell, row in table))
    several = [row for _, row in table if row.workers > 1]
    reached = sum(row.of_bound >= BOUND_GOAL for row in several)
    close = sum(abs(row.off) <= PLAN_GOAL for _, row in table)
    print(f"\nat least {BOUND_GOAL} of the bound: {reached} of {len(several)} rows with several machines")
    print(f"plan within {PLAN_GOAL:.0%}: {close} of {len(table)} rows")


if __name__ == "__main__":
    main()
