"""Run folders made by hand: a few recorded steps, checkpoints of two tensors."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from gen_dist.record.checkpoints import write_checkpoint
from gen_dist.record.run_folder import RunFolder

CONFIG = {"preset": "smoke", "seed": 0, "data": {"path": "x", "loader_threads": 1}, "train": {"steps": 4}}
WEIGHTS = {"d.w": np.arange(6, dtype=np.float32).reshape(2, 3), "g.w": np.ones(3, np.float32)}
STATE = {"format": 1, "data_hash": "d" * 64}


def make_run(path: Path, rows: Sequence[dict[str, Any]] = (), config: dict[str, Any] = CONFIG) -> Path:
    RunFolder.create(path, config, {}).unlock()
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def add_checkpoint(run: Path, step: int, hash: str, tensors: dict[str, np.ndarray] = WEIGHTS, **facts: Any) -> Path:
    state = json.dumps(STATE | {"step": step, "hash": hash} | facts).encode()
    return write_checkpoint(run, step, {"state.json": state, "weights.safetensors": save(tensors)}, keep=9)


def row(step: int, loss: float, **more: Any) -> dict[str, Any]:
    return {"step": step, "train/loss": loss, "perf/images_per_second": step * 10.0, **more}


ROWS = [row(1, 1.0), row(2, 2.0), row(3, 3.0)]


def changed(name: str, value: np.ndarray) -> dict[str, np.ndarray]:
    return WEIGHTS | {name: value}
