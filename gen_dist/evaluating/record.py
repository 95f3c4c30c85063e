"""An evaluation as it is kept: `evaluation.json` in the run's folder."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gen_dist.atomic import write_atomic
from gen_dist.errors import UserError
from gen_dist.evaluating.figures import Figure

FILE = "evaluation.json"


@dataclass(frozen=True)
class Record:
    """`images`: compared with, as many samples; `parts`: in which. `held_out`: whether the model had not seen them."""

    step: int
    weights: str  # averaged or raw
    seed: int
    data: str
    held_out: bool
    images: int
    parts: int
    figures: list[Figure]
    left_out: Mapping[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        about = {name: getattr(self, name) for name in ABOUT}
        return about | {"scores": {figure.name: figure.to_json() for figure in self.figures}}


ABOUT = ("step", "weights", "seed", "data", "held_out", "images", "parts", "left_out", "notes")
KINDS = {"step": int, "weights": str, "images": int, "parts": int, "data": str, "left_out": dict, "notes": list}


def write_record(record: Record, path: Path) -> None:
    """Raises UserError where it cannot be written."""
    try:
        write_atomic(path, (json.dumps(record.to_json(), indent=2) + "\n").encode())
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); name another file with --out") from None


def read_record(path: Path) -> Record | None:
    """What `write_record` wrote; None where there is nothing.

    Raises:
        UserError: it is damaged.
    """
    try:
        found = json.loads(path.read_bytes())
        figures = [Figure.from_json(name, value) for name, value in found["scores"].items()]
        record = Record(figures=figures, **{name: found[name] for name in ABOUT})
        if not all(isinstance(getattr(record, name), kind) for name, kind in KINDS.items()):
            raise ValueError
        return record
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); restore it, or evaluate again") from None
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError):
        raise UserError(f"{path}: is damaged; evaluate again") from None
