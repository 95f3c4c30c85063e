"""Which values of some settings make training fastest: what there is to try, and what came of it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gen_dist.errors import UserError
from gen_dist.presets import kinds_of
from gen_dist.profiling.tables import aligned

SHORT = {"microbatch_size": "train.microbatch_size", "batch_size": "train.batch_size", "threads": "train.threads",
         "precision": "train.precision", "reducer": "train.reducer", "loader_threads": "data.loader_threads",
         "prefetch": "data.prefetch"}  # fmt: skip
RESULT_DEPENDS = ("train.microbatch_size", "train.batch_size", "train.threads", "train.precision")


@dataclass(frozen=True)
class Setting:
    key: str
    value: str

    def __str__(self) -> str:
        return f"{self.key}={self.value}"


def axes_of(overrides: Sequence[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Settings with several values, by key, and the others as they are. Commas within brackets divide nothing, nor do
    those of a setting that may be any text.

    Raises:
        UserError: an empty value, or a key given twice.
    """
    axes: dict[str, list[str]] = {}
    fixed: dict[str, str] = {}
    for override in overrides:
        key, _, text = override.partition("=")
        key = SHORT.get(key, key)
        values = [text] if str in kinds_of(key) else split_outside_brackets(text)
        if key in (axes | fixed):
            raise UserError(f"{override}: {key} is given twice; give all its values at once, {key}=A,B")
        if not all(values):
            raise UserError(f"{override}: has an empty value; give KEY=A,B,C")
        if len(values) > 1 or key == "workers":
            axes[key] = values
        else:
            fixed[key] = text
    return axes, [f"{key}={text}" for key, text in fixed.items()]


def split_outside_brackets(text: str) -> list[str]:
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "[") - (letter == "]")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


Rates = Mapping[tuple[Setting, ...], float | str]  # images per second, or why there are none


def sweep_table(rates: Rates) -> list[str]:
    """A row for each combination, the fastest first; then those that could not be measured."""
    measured = sorted(
        ((rate, found) for found, rate in rates.items() if isinstance(rate, float)), key=lambda one: -one[0]
    )
    keys = [setting.key for setting in next(iter(rates))]
    rows = [["images/s", *keys]]
    rows += [[f"{rate:.4g}", *(setting.value for setting in found)] for rate, found in measured]
    lines = aligned(rows)
    for found, rate in rates.items():
        if isinstance(rate, str):
            lines.append(f"not measured: {' '.join(map(str, found))}: {rate}")
    return lines


def best_lines(rates: Rates) -> list[str]:
    """The fastest combination, to paste: a setting a line; and a word where a setting is part of the result."""
    measured = {found: rate for found, rate in rates.items() if isinstance(rate, float)}
    if not measured:
        return ["nothing could be measured"]
    best = max(measured, key=lambda found: measured[found])
    lines = ["best:", *(f"--workers {s.value}" if s.key == "workers" else str(s) for s in best)]
    decisive = [setting.key for setting in best if setting.key in RESULT_DEPENDS]
    if decisive:
        lines.append(f"({' and '.join(decisive)} decide the result too: runs with other values are other runs)")
    return lines
