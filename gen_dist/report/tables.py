"""The tables of a report, as rows of text. Pure."""

from collections.abc import Sequence
from statistics import median

from gen_dist.evaluating.figures import KINDS
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
    found = [row["perf/images_per_second"] for row in run.rows if "perf/images_per_second" in row]
    return f"{median(found):,.0f}" if found else NOTHING


def scores(runs: Sequence[RunFacts]) -> Table:
    """A row for each score that some run has; beside each, what real images have. Empty without any."""
    told = {run.name: {figure.name: figure for figure in run.scores.figures} for run in runs if run.scores}
    rows = []
    for name, kind in KINDS.items():
        if not any(name in own for own in told.values()):
            continue
        cells = []
        for own in told.values():
            figure = own.get(name)
            cells += [NOTHING, NOTHING] if figure is None else [estimate(figure.estimate), estimate(figure.floor)]
        rows.append([f"{kind.title}, {kind.unit}" if kind.unit else kind.title, *cells, kind.better])
    titles = ["score", *(title for name in told for title in (name, "real images")), "better"]
    return [titles, *rows] if rows else []


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
