"""`gen-dist evaluate`: a run's scores, on the terminal, in a file, and in W&B."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from gen_dist.cgroups import cpus
from gen_dist.errors import UserError
from gen_dist.evaluating.crew import Crew, Threads
from gen_dist.evaluating.evaluate import evaluate
from gen_dist.evaluating.figures import GROUPS, Figure
from gen_dist.evaluating.material import LEAST_IMAGES, gather_material
from gen_dist.evaluating.record import FILE, Record, write_record
from gen_dist.launch.generating import check_seed
from gen_dist.launch.showing_progress import progress_shown
from gen_dist.launch.telling_wandb import tell_wandb
from gen_dist.results.files import check_out
from gen_dist.results.trained import Trained
from gen_dist.scores.estimate import Estimate, number_text
from gen_dist.scores.inception import load_inception

MOST_IMAGES, MOST_WORKERS = 100_000, 1024
COLUMNS = ("score", "this run", "95 % interval", "real images", "better")


@dataclass(frozen=True)
class Wanted:
    """`data`: images that were held out. `scores`: names of groups, "" for all. `count`: images, at most.

    `inception`: file of its weights.
    """

    data: str | None
    scores: str
    count: int
    seed: int
    workers: int | None
    address: str | None
    inception: Path | None = None

    def check(self) -> None:
        """Raises UserError for what is out of range."""
        if not LEAST_IMAGES <= self.count <= MOST_IMAGES:
            raise UserError(f"--count {self.count}: must be between {LEAST_IMAGES} and {MOST_IMAGES}")
        if self.workers is not None and not 1 <= self.workers <= MOST_WORKERS:
            raise UserError(f"--workers {self.workers}: must be between 1 and {MOST_WORKERS}")
        check_seed(self.seed)
        for name in self.groups:
            if name not in GROUPS:
                raise UserError(f"--scores {name}: unknown; there are {', '.join(GROUPS)}")

        if self.inception is not None and "inception" not in self.groups:
            raise UserError(f"--inception {self.inception}: --scores {self.scores} does not look; add inception to it")

    @property
    def groups(self) -> list[str]:
        """Each once, in the order in which they are told."""
        asked = [part.strip() for part in self.scores.split(",") if part.strip()] or list(GROUPS)
        return [*(name for name in GROUPS if name in asked), *(name for name in asked if name not in GROUPS)]


def evaluate_run(run: Path, wanted: Wanted, out: Path | None, raw: bool) -> Record:
    """Score the run's last checkpoint, print what came out, keep it in `out`, in the run's folder by default.

    Raises:
        UserError: no run, no checkpoint, no images, a diverged model, a place that cannot be written to.
    """
    wanted.check()
    path = run / FILE if out is None else out
    trained = Trained.open(run, raw)
    check_out(path, (".json",))
    if not os.access(path.parent, os.W_OK):
        raise UserError(f"{path}: cannot be written: the folder is not yours; name another file with --out")
    inception = None if wanted.inception is None else load_inception(wanted.inception)
    material = gather_material(trained, wanted.data, wanted.count, wanted.seed, print)
    for note in material.notes:
        print(f"note: {note}")
    with crew_of(wanted) as crew, progress_shown("scored") as progress:
        found = evaluate(trained, material, crew, wanted.groups, wanted.seed, progress, inception)
    if not found.figures:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in found.left_out.items())
        raise UserError(f"--scores {wanted.scores}: nothing to compute: {reasons}")
    record = Record(
        trained.step, "raw" if raw else "averaged", wanted.seed, wanted.data or trained.config.data.path,
        material.held_out, material.parts * material.part_size, material.parts, found.figures, found.left_out,
        material.notes,
    )  # fmt: skip
    write_record(record, path)
    show(record)
    print(path)
    print(tell_of_scores(trained.path, record))
    return record


@contextmanager
def crew_of(wanted: Wanted) -> Iterator[Crew]:
    if wanted.address is None:
        yield Threads(wanted.workers or cpus())
        return
    from gen_dist.cluster.crew import cluster_crew

    with cluster_crew(wanted.address, wanted.workers) as crew:
        yield crew


def tell_of_scores(run: Path, record: Record) -> str:
    rows = [[*row_of(figure)] for figure in record.figures]
    values = {figure.name: figure.estimate.value for figure in record.figures}
    return tell_wandb(run, "the scores", lambda tracker: tracker.scores(values, ([*COLUMNS], rows)))


def show(record: Record) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in COLUMNS:
        table.add_column(title, justify="left" if title in ("score", "better") else "right")
    for figure in record.figures:
        table.add_row(*row_of(figure))
    Console().print(table)
    parts = "one part" if record.parts == 1 else f"{record.parts} parts"
    where = "held-out images" if record.held_out else "images of the training set"
    for name, reason in record.left_out.items():
        print(f"left out: {name}: {reason}")
    print(f"step {record.step:,}, {record.images:,} {where} in {parts}, as many samples")


def row_of(figure: Figure) -> tuple[str, str, str, str, str]:
    unit = f" ({figure.kind.unit})" if figure.kind.unit else ""
    floor = "" if figure.floor is None else number_text(figure.floor.value)
    return (
        figure.kind.title + unit,
        number_text(figure.estimate.value),
        interval(figure.estimate),
        floor,
        figure.kind.better,
    )


def interval(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    return f"{number_text(estimate.low)} … {number_text(estimate.high)}"
