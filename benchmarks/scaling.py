"""One, two and three machines of half a CPU each, beside what their processors and their links allow, and `plan`.

The bound is the lesser of two rates: of the machines' processors, which is the sum of what they do one by one, alone,
and of the links, on which the bytes that the busiest host sends or receives in a step take so long at the rate that
`gen-dist plan` measured. The driver and Ray's head have a machine of their own.

    python -m benchmarks.scaling [--preset vae-64-sharp] [--batch 128] [--megabits 1000] [--results FOLDER]

Each cell leaves a JSON file in the folder, so that what was stopped goes on.
"""

import argparse
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.launch import describe_machine
from benchmarks.throughput import Pace, Steps, train
from gen_dist.atomic import write_atomic
from tests.hosts import available, hosts
from tests.machines import Machine, cluster, furnish

PRESETS, BATCHES, LINKS, WORKERS = ("dcgan-64", "vae-64-sharp"), (128, 384), (1000, 100), (1, 2, 3)
CPUS = (0.5, 0.5, 0.5, 0.5)  # of the driver's machine, and of those that train
STEPS = Steps(2, 7)
MICROBATCH = {128: 4, 384: 8}  # small, so that three own nearly equal parts: 32 and 48 of them


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


@contextmanager
def machines(megabits: int) -> Iterator[tuple[list[Machine], str]]:
    """The driver's machine and the others, and the cluster's address."""
    with tempfile.TemporaryDirectory(prefix="gb-") as base, hosts(len(CPUS), megabits, CPUS) as group:
        os.environ["TMPDIR"] = base
        made = furnish(group)
        with cluster(made, cpus=[0, *[1] * (len(made) - 1)]) as address:
            yield made, address


def measure(cell: Cell) -> dict[str, object]:
    """Seconds a step by number of workers, as predicted and as they were, and bytes."""
    with machines(cell.megabits) as ((driver, *others), address):
        asked = ["plan", cell.preset, *cell.settings, "--address", address, "--workers", "1,2,3", "--json"]
        done = driver.gen_dist(*asked)
        if done.code:
            raise SystemExit(f"plan: exit code {done.code}\n{done.err}")
        found: dict[str, Pace] = {}
        for workers in WORKERS:
            shutil.rmtree(driver.home / "run", ignore_errors=True)
            options = ["--workers", str(workers), "--address", address, *cell.settings]
            found[str(workers)] = train(driver, cell.preset, STEPS, options, others)
            print(f"{cell.name}, {workers}: {found[str(workers)]}", flush=True)
    return {"plan": json.loads(done.out), "paces": {number: vars(pace) for number, pace in found.items()}}


def rows(cell: Cell, found: dict[str, Any]) -> list[str]:
    """Of the table, one for each number of workers."""
    paces = {int(number): Pace(**pace) for number, pace in found["paces"].items()}
    predicted = {row["workers"]: row["step_seconds"] for row in found["plan"]["predictions"]}
    slowest = min(1e6 / 8 * link["megabits_per_second"] for link in found["plan"]["links"])
    table = []
    for workers, pace in paces.items():
        bound = max(paces[1].step / workers, pace.sent / slowest if workers > 1 else 0.0)
        limit = "processors" if bound == paces[1].step / workers else "links"
        efficiency, off = paces[1].step / workers / pace.step, predicted[workers] / pace.step - 1
        table.append(
            f"| {cell.preset} | {cell.batch} | {cell.megabits} | {workers} | {cell.batch / pace.step:.1f} | {limit} "
            f"| {bound / pace.step:.2f} | {efficiency:.2f} | {off:+.0%} |"
        )
    return table


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
    cells = [
        Cell(*parts) for parts in product(given.preset or PRESETS, given.batch or BATCHES, given.megabits or LINKS)
    ]
    for cell in cells:
        path = given.results / cell.name
        if not path.exists():
            write_atomic(path, json.dumps(measure(cell), indent=1).encode())
    print("\n| preset | batch | Mbit/s | machines | images/s | bound by | of the bound | efficiency | plan |")
    print("|---|---:|---:|---:|---:|---|---:|---:|---:|")
    for cell in cells:
        print("\n".join(rows(cell, json.loads((given.results / cell.name).read_text()))))


if __name__ == "__main__":
    main()
