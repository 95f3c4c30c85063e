"""What a run folder holds that can be compared with another run's."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gen_dist.checkpointing import STATE
from gen_dist.config import flatten
from gen_dist.errors import UserError
from gen_dist.record.metrics import read_metrics
from gen_dist.record.run_folder import RunFolder


@dataclass(frozen=True)
class SavedCheckpoint:
    """`hash` covers all tensors, `data_hash` the images that the run was trained on."""

    path: Path
    hash: str
    data_hash: str | None


@dataclass(frozen=True)
class RunRecord:
    """What a run folder holds that can be compared; everything but `settings` by step, in order."""

    settings: dict[str, object]
    losses: dict[int, dict[str, float]]
    hashes: dict[int, str]
    checkpoints: dict[int, SavedCheckpoint]


def read_run(path: Path) -> RunRecord:
    """Read the run in folder `path`, which may be running.

    Raises:
        UserError: no run, or its configuration, metrics or the JSON of a checkpoint is damaged.
    """
    folder = RunFolder.open(path).path
    settings = flatten(RunFolder.open(path).config)
    losses: dict[int, dict[str, float]] = {}
    hashes: dict[int, str] = {}
    for row in read_metrics(folder / "metrics.jsonl"):
        if values := {key: _loss(folder, row, key) for key in row if key.startswith("train/")}:
            losses[row["step"]] = {key.removeprefix("train/"): value for key, value in values.items()}
        if (found := row.get("state_hash")) is not None:
            hashes[row["step"]] = _text(found, folder, row)
    checkpoints = read_checkpoint_facts(folder / "checkpoints")
    hashes |= {step: checkpoint.hash for step, checkpoint in checkpoints.items()}
    return RunRecord(settings, losses, dict(sorted(hashes.items())), checkpoints)


def read_checkpoint_facts(root: Path) -> dict[int, SavedCheckpoint]:
    """Step to what its checkpoint says of itself, for all checkpoints in folder `root`, in order.

    Raises:
        UserError: a checkpoint says nothing that can be understood.
    """
    found: dict[int, SavedCheckpoint] = {}
    for path in sorted(root.glob("step-[0-9]*")):
        try:
            facts = json.loads((path / STATE).read_bytes())
            step, digest, data = facts["step"], facts["hash"], facts.get("data_hash")
            understood = type(step) is int and isinstance(digest, str) and isinstance(data, str | None)
        except OSError as error:
            if not path.exists():  # a running run has just removed it
                continue
            hint = "restore it, or move that checkpoint out of the run"
            raise UserError(f"checkpoint file '{path / STATE}': cannot be read ({error.strerror}); {hint}") from None
        except (ValueError, TypeError, KeyError, AttributeError):
            understood = False
        if not understood:
            hint = "restore it, or move that checkpoint out of the run"
            raise UserError(f"checkpoint file '{path / STATE}': is damaged; {hint}")
        found[step] = SavedCheckpoint(path, digest, data)
    return dict(sorted(found.items()))


def _loss(folder: Path, row: Mapping[str, Any], key: str) -> float:
    value = row[key]
    if type(value) in (int, float) and abs(value) <= sys.float_info.max:
        return float(value)
    raise _damaged(folder, row, f"{key} is {repr(value)[:40]}, must be a finite number")


def _text(value: object, folder: Path, row: Mapping[str, Any]) -> str:
    if isinstance(value, str):
        return value
    raise _damaged(folder, row, f"state_hash is {repr(value)[:40]}, must be a string")


def _damaged(folder: Path, row: Mapping[str, Any], what: str) -> UserError:
    return UserError(f"metrics '{folder / 'metrics.jsonl'}': at step {row['step']}, {what}; remove that line")
