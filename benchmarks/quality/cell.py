"""One cell: a system trained with one seed, scored, written to a JSON file and a picture."""

import json
import platform
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.quality.cells import CORE_SECONDS, TABLES, Cell
from benchmarks.quality.data import Data
from benchmarks.quality.pythae_networks import LATENT, Decoder, Encoder
from benchmarks.quality.score import (
    MOST_SAMPLES,
    SEED,
    SHOWN,
    Scores,
    classifier_of,
    elbo_scores,
    sample_scores,
    samples_of,
)
from benchmarks.quality.timing import run_pythae
from benchmarks.quality.train import Costs, Trained, train
from gen_dist.atomic import write_atomic
from gen_dist.draws import Draws
from gen_dist.engine.hardware import detect_hardware
from gen_dist.record.pictures import image_grid, save_png
from gen_dist.showing import to_uint8

COLUMNS = 8


def run_cell(cell: Cell, data: Data, costs: Costs, results: Path) -> None:
    """Train one of our systems, score it, write."""
    trained = train(TABLES[cell.table].systems[cell.system], cell.seed, data.train, costs, CORE_SECONDS)
    scores, shown = score(cell, trained, data)
    steps, config = trained.engine.state.step, trained.config
    facts = {
        "settings": cell.settings(costs),
        "preset": config.preset,
        "steps": steps,
        "images": steps * config.train.batch_size,
        "core_seconds": round(trained.core_seconds, 1),
        "precision": config.train.precision,
        "losses": trained.losses,
    }
    write_cell(cell, facts, scores, shown, results)


def run_pythae_cell(cell: Cell, data: Data, costs: Costs, peers: Path, results: Path) -> None:
    """The same for Pythae: its networks, trained there, are scored here."""
    with tempfile.TemporaryDirectory() as out:
        steps = round(CORE_SECONDS / costs["step"])
        facts = run_pythae(data.train.parent, peers, cell.seed, ["--steps", str(steps)], Path(out))
        encoder, decoder = (load_network(kind, Path(out)) for kind in (Encoder, Decoder))
    _, held_out = data.packs()
    scores = elbo_scores(lambda x, draws: encoder(x), decoder, held_out)
    z_NZ = Draws(SEED).at(0, 0, np.arange(SHOWN)).normal("latent", LATENT)
    with torch.no_grad():
        shown = to_uint8(torch.sigmoid(decoder(z_NZ)), (0.0, 1.0))
    facts = facts | {
        "settings": cell.settings(costs),
        "preset": "",
        "core_seconds": round(steps * costs["step"], 1),
        "precision": "fp32",
    }
    write_cell(cell, facts, scores, shown, results)


def load_network(kind: type[nn.Module], folder: Path) -> nn.Module:
    network = kind().eval()
    with np.load(folder / f"{kind.__name__.lower()}.npz", allow_pickle=False) as saved:
        network.load_state_dict({name: torch.from_numpy(saved[name]) for name in saved.files})
    return network


def score(cell: Cell, trained: Trained, data: Data) -> tuple[Scores, np.ndarray]:
    train, held_out = data.packs()
    engine = trained.engine
    if TABLES[cell.table].score == "negative_elbo":
        modules = engine.state.showing
        scores = elbo_scores(modules["encoder"], modules["decoder"], held_out)
        return scores, samples_of(engine, SHOWN)
    samples = samples_of(engine, min(len(train), MOST_SAMPLES))
    return sample_scores(samples, train, held_out, classifier_of(train, held_out, data.train.parent)), samples[:SHOWN]


def write_cell(cell: Cell, facts: dict[str, Any], scores: Scores, shown: np.ndarray, results: Path) -> None:
    machine = {"processor": processor(), "bf16": detect_hardware().bf16_on_cpu, "torch": torch.__version__}
    result = {"cell": cell.name, **facts, "scores": scores, "machine": machine}
    path = results / f"{cell.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_png(path.with_suffix(".png"), image_grid(shown, COLUMNS, scale=1))
    write_atomic(path, (json.dumps(result, indent=1) + "\n").encode())


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
