"""From the cells' files to the tables of docs/recipes.md: means, ratios with their intervals."""

import json
from pathlib import Path
from typing import Any

from benchmarks.quality.cells import SEEDS, Table
from gen_dist.draws import Draws
from gen_dist.scores.bootstrap import ratio_of_means

SHOWN = {
    "sliced_wasserstein": "sliced Wasserstein × 1000",
    "kernel_distance": "kernel distance (KD-lenet)",
    "frechet_distance": "Fréchet distance (FD-lenet)",
    "negative_elbo": "held-out negative ELBO, nats",
    "reconstruction": "reconstruction",
    "kl": "KL",
    "nearest_train": "to nearest training image",
    "nearest_held_out": "to nearest held-out image",
    "closer_to_train": "closer to training images",
}

Cells = dict[str, list[dict[str, Any]]]  # of a table, by system, seed by seed


def found_cells(results: Path, name: str, table: Table) -> Cells:
    """Those whose files are there; no system without any."""
    found = {system: read_cells(results, name, system) for system in table.systems}
    return {system: rows for system, rows in found.items() if rows}


def describe_table(table: Table, found: Cells) -> str:
    """Markdown: a row for each system, what real images have, and a line with what was asked for and found."""
    keys = [key for key in SHOWN if any(key in rows[0]["scores"] for rows in found.values())]
    lines = [
        "| system | seeds | steps | images | " + " | ".join(SHOWN[key] for key in keys) + " |",
        "|---" * (4 + len(keys)) + "|",
    ]
    for system, rows in found.items():
        cells = [spread([row["scores"][key] for row in rows]) for key in keys]
        counts = f"{len(rows)} | {mean([r['steps'] for r in rows]):,.0f} | {mean([r['images'] for r in rows]):,.0f}"
        lines.append(f"| `{system}` | {counts} | " + " | ".join(cells) + " |")
    real = next(iter(found.values()))[0]["scores"]  # the same in all cells
    for kind, figures in real_images(real).items():
        cells = [f"{figures[key]:.3g}" if key in figures else "" for key in keys]
        lines.append(f"| {kind} | | | | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", verdict(table, found)])


def real_images(scores: dict[str, float]) -> dict[str, dict[str, float]]:
    """What real images would score in the samples' place; nothing where only bounds are compared."""
    floors = {key.removesuffix("_floor"): value for key, value in scores.items() if key.endswith("_floor")}
    if not floors:
        return {}
    return {"training images": floors, "held-out images": {"nearest_train": scores["nearest_held_out_to_train"]}}


def verdict(table: Table, found: Cells) -> str:
    """Ours against the better of the others."""
    ours = found.get(table.ours)
    others = {system: rows for system, rows in found.items() if system != table.ours}
    if not ours or not others:
        return "Not all systems have been measured."
    best = min(others, key=lambda system: mean(compared(table, others[system])))
    ratio = ratio_of_means(compared(table, ours), compared(table, others[best]), Draws(0))
    above = "" if table.score == "negative_elbo" else " above the floor"
    interval = f"{100 * ratio.confidence:.0f} % bootstrap interval {ratio.low:.3f} to {ratio.high:.3f}"
    outcome = "reached" if ratio.ratio <= table.goal else "missed"
    return (
        f"{SHOWN[table.score]}{above}, `{table.ours}` / `{best}`: **{ratio.ratio:.3f}** ({interval}); "
        f"wanted at most {table.goal}: {outcome}."
    )


def compared(table: Table, rows: list[dict[str, Any]]) -> list[float]:
    """What the ratio is of: the score above its floor, where it has one."""
    return [row["scores"][table.score] - row["scores"].get(f"{table.score}_floor", 0.0) for row in rows]


def read_cells(results: Path, name: str, system: str) -> list[dict[str, Any]]:
    files = [results / name / f"{system}-{seed}.json" for seed in SEEDS]
    return [json.loads(file.read_text()) for file in files if file.exists()]


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def spread(values: list[float]) -> str:
    """The mean, and the ends."""
    return f"{mean(values):.4g} ({min(values):.4g} to {max(values):.4g})"
