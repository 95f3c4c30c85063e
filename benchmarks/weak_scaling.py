"""Weak scaling: what one and two workers do here, beside `plan`, and its curves for machines that are not there.

    python -m benchmarks.weak_scaling [--preset dcgan-64] [--batch 128] [--picture FILE.svg]

The batch is each worker's. The picture has a line for each rate of the machines' links; what `plan` assumes is printed.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.launch import describe_machine
from benchmarks.training_run import GEN_DIST, ROOT, run_command
from gen_dist.atomic import write_atomic
from gen_dist.charts.line_chart import Line, LineChart, to_svg
from gen_dist.data.bundled import Sheet
from tests.command import rows

WORKERS = (1, 2)
PROJECTED = [2**power for power in range(11)]
LINKS = {"100Mbit": "100 Mbit/s", "1Gbit": "1 Gbit/s", "10Gbit": "10 Gbit/s", "100Gbit": "100 Gbit/s"}
STEPS, SKIPPED = 23, 3
PLAN_SECONDS = 600.0


def measured(preset: str, batch: int, workers: int, folder: Path) -> float:
    """Seconds a step."""
    run = folder / f"run-{workers}"
    settings = [
        f"data.path={folder / 'images.npy'}", f"train.batch_size={batch * workers}", f"train.steps={STEPS}",
        "train.log_every=1", "train.sample_every=1000000", "wandb.mode=disabled",
    ]  # fmt: skip
    options = ["--run-dir", str(run), "--workers", str(workers)]
    run_command([sys.executable, *GEN_DIST, "train", preset, *options, *settings])
    return statistics.median(row["perf/step_seconds"] for row in rows(run)[SKIPPED:-1])


def planned(*arguments: str) -> Any:
    command = [sys.executable, *GEN_DIST, "plan", *arguments, "--json"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=PLAN_SECONDS)
    return json.loads(done.stdout)


def chart(preset: str, batch: int, curves: Sequence[dict[str, Any]]) -> LineChart:
    lines = [
        Line(name, [float(p["workers"]) for p in curve["points"]], [p["images_per_second"] for p in curve["points"]])
        for name, curve in zip(LINKS.values(), curves, strict=True)
    ]
    alone = curves[0]["points"][0]["images_per_second"]
    ideal = Line("as many times one worker", PROJECTED, [alone * number for number in PROJECTED])
    title = f"{preset}, {batch} images a worker: images/s, as gen-dist plan predicts"
    return LineChart(title, "machines", (*lines, ideal), log_x=True, log_y=True, dots=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Weak scaling.")
    parser.add_argument("--preset", default="dcgan-64")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--picture", type=Path, default=ROOT / "docs/images/weak-scaling.svg")
    given = parser.parse_args(arguments)
    print(describe_machine())
    with tempfile.TemporaryDirectory(prefix="gb-") as base:
        folder = Path(base)
        np.save(folder / "images.npy", Sheet.read("emoji").tiles())
        data = f"data.path={folder / 'images.npy'}"
        print("\n| workers here | s a step | plan | off |\n|---|---:|---:|---:|")
        for workers in WORKERS:
            seconds = measured(given.preset, given.batch, workers, folder)
            batch = f"train.batch_size={given.batch * workers}"
            found = planned(given.preset, data, batch, "--workers", str(workers))
            predicted = found["predictions"][0]["step_seconds"]
            print(f"| {workers} | {seconds:.3f} | {predicted:.3f} | {predicted / seconds - 1:+.0%} |", flush=True)
        numbers = ",".join(map(str, PROJECTED))
        links = ["--bandwidth", ",".join(LINKS), "--weak", "--workers", numbers]
        found = planned(given.preset, data, f"train.batch_size={given.batch}", *links)
    print(f"\n| machines | {' | '.join(LINKS.values())} |\n|---:|{'---:|' * len(LINKS)}")
    for number, points in zip(
        PROJECTED, zip(*(curve["points"] for curve in found["curves"]), strict=True), strict=True
    ):
        cells = [f"{point['images_per_second']:,.0f} ({point['efficiency']:.0%})" for point in points]
        print(f"| {number:,} | {' | '.join(cells)} |")
    print(f"\n{found['megabytes_exchanged']:.1f} MB a step; {found['assumptions']}")
    svg = to_svg(chart(given.preset, given.batch, found["curves"]), height=360, background="white")
    write_atomic(given.picture, svg.replace("currentColor", "#222").encode())
    print(f"picture: {given.picture}")


if __name__ == "__main__":
    main()
