"""The tables of a report, as rows of text. Pure."""

from collections.abc import Sequence
from statistics import median

from gen_dist.evaluating.figures import KINDS, Figure
from gen_dist.evaluating.record import Record
from gen_dist.report.facts import RunFacts
from gen_dist.scores.estimate import Estimate, number_text
from gen_dist.yaml_text import inline_yaml

Table = list[list[str]]  # the first row has the titles
NOTHING = "–"


def summary(runs: Sequence[RunFacts]) -> Table:
    titles = ["run", "preset", "state", "steps", "images/s", "begun"]
    return [titles, *([run.name, run.preset, str(run.status.get("state", "unknown")), progress(run), pace(run),
                       run.created[:16].replace("T", " ")] for run in runs)]  # fmt: skip


def progress(run: RunFacts) -> str:
    return f"{run.step:,} of {run.config.train.steps:,}"


def pace(run: RunFacts) -> str:
    found = [value for row in run.rows if isinstance(value := row.get("perf/images_per_second"), int | float)]
    return f"{median(found):,.0f}" if found else NOTHING


def scores(runs: Sequence[RunFacts]) -> Table:
    """A row for each score that some run has; beside each, what real images have. Empty without any."""
    told = {run.name: run.scores for run in runs if run.scores and run.scores.figures}
    if not told:
        return []
    titles = ["score", *(title for name in told for title in (name, "real images")), "better"]
    about = [cell for one in told.values() for cell in (f"step {one.step:,}, {one.weights} weights", images(one))]
    figures = [{figure.name: figure for figure in one.figures} for one in told.values()]
    rows = []
    for name, kind in KINDS.items():
        own = [one.get(name) for one in figures]
        if any(own):
            rows.append([title_of(name, own), *(cell for one in own for cell in cells(one)), kind.better])
    return [titles, ["of", *about, ""], *rows]


def images(record: Record) -> str:
    return f"{record.images:,} {'held-out' if record.held_out else 'training'} images"


def cells(figure: Figure | None) -> list[str]:
    return [NOTHING, NOTHING] if figure is None else [estimate(figure.estimate), estimate(figure.floor)]


def title_of(name: str, figures: Sequence[Figure | None]) -> str:
    kind = KINDS[name]
    classifiers = {one.detail["classifier"] for one in figures if one and one.detail and "classifier" in one.detail}
    title = f"{kind.title}, {kind.unit}" if kind.unit else kind.title
    return f"{title} (different classifiers: do not compare)" if len(classifiers) > 1 else title


def estimate(found: Estimate | None) -> str:
    if found is None:
        return NOTHING
    value = number_text(found.value)
    return (
        value
        if found.low is None or found.high is None
        else f"{value} ({number_text(found.low)} … {number_text(found.high)})"
    )


def changes(run: RunFacts) -> Table:
    """Empty where nothing is changed."""
    rows = [[one.key, inline_yaml(one.preset), inline_yaml(one.run)] for one in run.changes]
    return [["setting", f"in {run.preset}", "in this run"], *rows] if rows else []


def events(run: RunFacts) -> Table:
    return [["step", "what happened"], *([f"{one.step:,}", one.text] for one in run.events)] if run.events else []


def last_losses(runs: Sequence[RunFacts]) -> Table:
    """What was recorded last, by metric."""
    rows = {run.name: run.rows[-1] for run in runs if run.rows}
    keys = dict.fromkeys(key for row in rows.values() for key in row if key.startswith("train/"))
    told = [[key.removeprefix("train/"), *(value_of(row, key) for row in rows.values())] for key in keys]
    return [["metric", *rows], *told] if told else []


def value_of(row: dict[str, object], key: str) -> str:
    value = row.get(key)
    return number_text(value) if isinstance(value, int | float) else NOTHING
