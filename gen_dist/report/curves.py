"""The curves of a report: which metrics belong in one chart, of one run or several. Pure."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gen_dist.charts.line_chart import Line, LineChart, Mark
from gen_dist.report.facts import RunFacts


@dataclass(frozen=True)
class Family:
    """Metrics of one chart: those whose key matches as a whole; the part in parentheses is the line's name."""

    title: str
    pattern: str
    log_y: bool = False
    from_zero: bool = False


FAMILIES = (
    Family("loss", r"train/(loss|encoder_loss|generator_total|reconstruction)"),
    Family("loss in the game", r"train/(discriminator_loss|generator_loss)"),
    Family("KL, nats an image", r"train/(kl)", from_zero=True),
    Family("mean squared error", r"train/(mse)", log_y=True),
    Family("what the discriminator says of images", r"train/(\w+_score)"),
    Family("gradient norm", r"train/gradient_norm_(\w+)", log_y=True),
    Family("learning rate", r"train/learning_rate_(\w+)", from_zero=True),
    Family("images per second", r"perf/(images_per_second)", from_zero=True),
    Family("share of the time spent waiting for data", r"perf/(data_wait)_fraction", from_zero=True),
    Family("distance between samples", r"health/((?:sample|real)_distance|nearest_\w+)", from_zero=True),
    Family("latent values in use", r"health/(active_units)", from_zero=True),
)


def charts(runs: Sequence[RunFacts]) -> list[LineChart]:
    """A chart for each family that some run has metrics of, the runs' events marked in each."""
    marks = tuple(
        Mark(float(event.step), prefixed(run, runs)(event.text)) for run in runs for event in run.events if run.rows
    )
    found = []
    for family in FAMILIES:
        lines = tuple(line for run in runs for line in lines_of(run, family, prefixed(run, runs)))
        if lines:
            found.append(LineChart(family.title, "step", lines, marks, log_y=family.log_y, from_zero=family.from_zero))
    return found


def prefixed(run: RunFacts, runs: Sequence[RunFacts]) -> Callable[[str], str]:
    return (lambda text: ": ".join(part for part in (run.name, text) if part)) if len(runs) > 1 else (lambda text: text)


def lines_of(run: RunFacts, family: Family, name: Callable[[str], str]) -> list[Line]:
    keys = dict.fromkeys(key for row in run.rows for key in row)  # in the order in which they came
    matches = [(key, found) for key in keys if (found := re.fullmatch(family.pattern, key))]
    lines = []
    for key, found in matches:
        points = [(float(row["step"]), float(row[key])) for row in run.rows if isinstance(row.get(key), int | float)]
        if points:
            x, y = zip(*points, strict=True)
            told = found[1].replace("_", " ") if "|" in family.pattern or "\\w" in family.pattern else ""
            lines.append(Line(name(told), x, y))
    return lines
