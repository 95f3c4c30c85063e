"""`gen-dist report`: what became of runs, on one page."""

from pathlib import Path

from gen_dist.charts.line_chart import Line, LineChart
from gen_dist.errors import UserError
from gen_dist.launch.latent import Wanted, encode_some
from gen_dist.record.run_folder import RunFolder
from gen_dist.report.facts import RunFacts
from gen_dist.report.write import FILE, write_report
from gen_dist.results.files import check_out
from gen_dist.results.latent_space import COLORS, view
from gen_dist.results.trained import Trained

POINTS, MOST_RUNS = 500, 12
ENDINGS = (".html", ".md")


def report(runs: list[Path], out: Path | None, with_latent: bool) -> tuple[Path, list[str]]:
    """Write a report of these runs; returns where, and notes about what is missing.

    Raises:
        UserError: no run, a damaged one, too many, a place that cannot be written to.
    """
    if len(runs) > MOST_RUNS:
        raise UserError(f"RUN: {len(runs)} runs; a report tells of at most {MOST_RUNS}")
    for run in runs:
        RunFolder.open(run)  # before anything is said of where the report is to be
    path = out or (runs[0] / FILE if len(runs) == 1 else Path(FILE))
    check_out(path, ENDINGS)
    return path, write_report(runs, path, latent=latent_chart if with_latent else None)


def latent_chart(run: RunFacts) -> LineChart | None:
    """Where the model puts some of its training images; None for a model that does not encode.

    Raises:
        UserError: no checkpoint, no data.
    """
    if run.config.objective.kind == "gan":
        return None
    trained = Trained.open(run.path)
    cloud, _ = encode_some(trained, Wanted(None, POINTS, 2, 0), downloads=False)
    shown = view(cloud, 2)
    y = shown.points[:, 1] if len(shown.axes) > 1 else shown.points[:, 0] * 0
    lines = tuple(Line(name, shown.points[chosen, 0].tolist(), y[chosen].tolist()) for name, chosen in cloud.classes())
    title = f"{len(cloud.z_NZ):,} images, step {trained.step:,}; upwards: {shown.axes[-1]}"
    return LineChart(title, shown.axes[0], lines, joined=False, colors=COLORS)
