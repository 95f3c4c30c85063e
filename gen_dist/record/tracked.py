"""What a run folder holds for W&B, and how much of it W&B has."""

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from gen_dist.atomic import write_atomic
from gen_dist.record.metrics import read_metrics
from gen_dist.step_times import flat_times

PICTURE_KINDS = ("samples", "reconstructions")  # the run folder's picture folders, and the keys they have in W&B
PICTURE = re.compile(r"step-(\d{8,})\.png")


def recorded(path: Path) -> tuple[list[dict[str, Any]], list[tuple[int, str, Path]]]:
    """Rows, and pictures with step and kind, that the run has recorded."""
    pictures = [
        (int(found[1]), kind, file)
        for kind in PICTURE_KINDS
        for file in (path / kind).glob("step-*.png")
        if (found := PICTURE.fullmatch(file.name))  # the user may keep pictures of their own there
    ]
    rows = [row | flat_times(row.pop("time", {})) for row in read_metrics(path / "metrics.jsonl")]
    return rows, pictures


def read_mark(path: Path) -> dict[str, Any]:
    """The last steps that W&B has, and the folders in which."""
    mark: dict[str, Any] = {"rows": 0, "pictures": 0, "folders": []}
    with suppress(FileNotFoundError):
        mark |= json.loads((path / "wandb" / "gen-dist.json").read_bytes())
    return mark


def write_mark(path: Path, last: dict[str, int]) -> None:
    """For the next start, when W&B has ended in order."""
    folders = sorted(folder.name for folder in (path / "wandb").glob("offline-run-*"))
    write_atomic(path / "wandb" / "gen-dist.json", json.dumps(last | {"folders": folders}).encode() + b"\n")


def hide_torn_folders(path: Path, whole: list[str]) -> None:
    """Out of `wandb sync`'s sight, unless they are whole."""
    for folder in (path / "wandb").glob("offline-run-*"):
        if folder.name not in whole:
            folder.rename(folder.with_name(f"torn-{folder.name}"))
