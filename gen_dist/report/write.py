"""A report as files."""

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gen_dist.atomic import write_atomic
from gen_dist.charts.line_chart import LineChart
from gen_dist.errors import RunError, UserError
from gen_dist.report.facts import RunFacts, read_runs
from gen_dist.report.html import to_html
from gen_dist.report.markdown import to_markdown
from gen_dist.report.pictures import Shown, pictures_of

FILE = "report.html"
OURS = re.compile(r"(curve|latent|samples|training|reconstructions)-[\d-]+\.(svg|png|gif)")  # files of Markdown


def write_report(
    paths: Sequence[Path],
    out: Path,
    animated: bool = True,
    latent: Callable[[RunFacts], LineChart | None] | None = None,
) -> list[str]:
    """Write a report of these runs to `out`, HTML or Markdown by its ending; returns notes about what is missing.

    Args:
        animated: with an animation of the samples, which takes a second or more.
        latent: makes a view of a run's latent space.

    Raises:
        UserError: no run, a damaged one, a place that cannot be written to.
    """
    runs = read_runs([*paths])
    notes: list[str] = []
    shown: dict[str, Shown] = {}
    for run in runs:
        found = pictures_of(run, animated, notes.append)
        try:
            view = latent(run) if latent else None
        except (UserError, RunError) as error:
            notes.append(f"no view of the latent space: {error}")
            view = None
        shown[run.name] = Shown(found.samples, found.animation, found.reconstructions, view)
    try:
        if out.suffix.lower() == ".md":
            write_markdown(runs, shown, notes, out)
        else:
            write_atomic(out, to_html(runs, shown, notes).encode(errors="replace"))
    except OSError as error:
        raise UserError(f"--out {out}: cannot be written ({error.strerror}); give another place") from None
    return notes


def write_markdown(runs: Sequence[RunFacts], shown: Mapping[str, Shown], notes: Sequence[str], out: Path) -> None:
    """The pictures first, so that a text that is there has all of them. Raises OSError."""
    folder = out.with_name(f"{out.stem}-files")
    text, files = to_markdown(runs, shown, notes, folder.name)
    if folder.is_dir() and not all(OURS.fullmatch(path.name) for path in folder.iterdir()):
        raise UserError(f"--out {out}: its pictures go to '{folder}', which holds other files; give another name")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir()
        for name, content in files.items():
            (partial / name).write_bytes(content)
        shutil.rmtree(folder, ignore_errors=True)  # an earlier report's
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    write_atomic(out, text.encode(errors="replace"))
