"""One cell: a system trained with one seed, scored, written to a JSON file and a picture."""

import json
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.quality.cells import CORE_SECONDS, TABLES, Cell
from benchmarks.quality.data import Data
from benchmarks.quality.score import SHOWN, Scores, classifier_of, elbo_scores, sample_scores, samples_of
from benchmarks.quality.train import Trained, train_for
from gen_dist.atomic import write_atomic
from gen_dist.engine.hardware import detect_hardware
from gen_dist.record.pictures import image_grid, save_png

COLUMNS = 8


def run_cell(cell: Cell, data: Data, results: Path, core_seconds: float = CORE_SECONDS) -> dict[str, Any]:
    """Train, score, write; returns what is in the JSON file."""
    table = TABLES[cell.table]
    started = time.monotonic()
    trained = train_for(table.systems[cell.system], cell.seed, data.train, core_seconds)
    seconds = time.monotonic() - started
    scores, shown = score(cell, trained, data)
    facts = {
        "preset": trained.config.preset,
        "steps": trained.steps,
        "images": trained.steps * trained.config.train.batch_size,
        "core_seconds": round(trained.core_seconds, 1),
        "wall_seconds": round(seconds, 1),
        "precision": trained.config.train.precision,
        "losses": trained.losses,
    }
    return write_cell(cell, facts, scores, shown, results)


def score(cell: Cell, trained: Trained, data: Data) -> tuple[Scores, np.ndarray]:
    train, held_out = data.packs()
    engine = trained.engine
    if TABLES[cell.table].score == "negative_elbo":
        modules = engine.state.showing
        scores = elbo_scores(modules["encoder"], modules["decoder"], held_out)
        return scores, samples_of(engine, SHOWN)
    samples = samples_of(engine, min(len(train), 2000))
    return sample_scores(samples, train, held_out, classifier_of(train, held_out, data.train.parent)), samples[:SHOWN]


def write_cell(cell: Cell, facts: dict[str, Any], scores: Scores, shown: np.ndarray, results: Path) -> dict[str, Any]:
    machine = {"processor": processor(), "bf16": detect_hardware().bf16_on_cpu, "torch": torch.__version__}
    result = {"cell": cell.name, **facts, "scores": scores, "machine": machine}
    path = results / f"{cell.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_png(path.with_suffix(".png"), image_grid(shown, COLUMNS, scale=1))
    write_atomic(path, (json.dumps(result, indent=1) + "\n").encode())
    return result


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
