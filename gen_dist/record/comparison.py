"""What two runs recorded, side by side: settings, losses, state hashes, and the first tensor that differs."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from gen_dist.config import RESULT_FIELDS
from gen_dist.errors import UserError
from gen_dist.record.checkpoints import read_checkpoint
from gen_dist.record.run_record import RunRecord

Losses = Mapping[int, Mapping[str, float]]  # step to name to value
Verdict = Literal["identical", "different", "nothing to compare"]


class Absent(enum.Enum):
    """Stands where one of the two has no value at all; None is a value."""

    ABSENT = "missing"


ABSENT = Absent.ABSENT


@dataclass(frozen=True)
class SettingDifference:
    """`decides`: whether the setting is one of those that decide the weights."""

    key: str
    a: object
    b: object
    decides: bool


@dataclass(frozen=True)
class LossDifference:
    """Two values of one loss at one step; None where only the other run recorded it."""

    step: int
    name: str
    a: float | None
    b: float | None

    @property
    def relative(self) -> float | None:
        """|a - b| over the larger of |a| and |b|, so 0 to 2; None where one is missing."""
        if self.a is None or self.b is None:
            return None
        larger = max(abs(self.a), abs(self.b))
        return abs(self.a - self.b) / larger if larger else 0.0


@dataclass(frozen=True)
class LossComparison:
    """Over `steps`, those recorded in both. `only_a` and `only_b` are names that the other run has at none of them."""

    steps: tuple[int, ...]
    first: LossDifference | None
    largest: LossDifference | None
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]


@dataclass(frozen=True)
class HashComparison:
    """Over `steps`, those with a hash in both. `last_equal` is the last one before `first_different`."""

    steps: tuple[int, ...]
    last_equal: int | None
    first_different: int | None


@dataclass(frozen=True)
class TensorDifference:
    """The first of two checkpoints' tensors to differ. `largest` is the largest absolute difference, NaN where a value
    is infinite in both; `how` says in words why there is none.
    """

    file: str
    name: str
    largest: float | None
    how: str = ""


@dataclass(frozen=True)
class CheckpointDifference:
    """`tensor` is None where all are equal to the bit, although the hashes are not."""

    step: int
    tensor: TensorDifference | None


@dataclass(frozen=True)
class Comparison:
    settings: tuple[SettingDifference, ...]
    losses: LossComparison
    hashes: HashComparison
    checkpoint: CheckpointDifference | None

    @property
    def first_different(self) -> int | None:
        """The earliest step at which a loss or a hash differs."""
        loss = self.losses.first.step if self.losses.first else None
        return min((step for step in (loss, self.hashes.first_different) if step is not None), default=None)

    @property
    def verdict(self) -> Verdict:
        if self.first_different is not None:
            return "different"
        return "identical" if self.losses.steps or self.hashes.steps else "nothing to compare"


def compare_runs(a: RunRecord, b: RunRecord) -> Comparison:
    """Compare all that both runs recorded.

    Tensors are read where checkpoints of the same step differ, and from the first two of them only.

    Raises:
        UserError: a file of these checkpoints is corrupt.
    """
    step = compare_hashes(*({s: c.hash for s, c in run.checkpoints.items()} for run in (a, b))).first_different
    differing = None
    if step is not None:
        differing = CheckpointDifference(step, compare_tensors(a.checkpoints[step].path, b.checkpoints[step].path))
    settings = compare_settings(_with_data(a), _with_data(b))
    return Comparison(settings, compare_losses(a.losses, b.losses), compare_hashes(a.hashes, b.hashes), differing)


def compare_settings(a: Mapping[str, object], b: Mapping[str, object]) -> tuple[SettingDifference, ...]:
    """The settings that differ, those that decide the weights first, else in the order in which they are written.

    `data.path` decides only where it is not known whether the images behind it (`data_hash`) are the same ones.
    """
    known = "data_hash" in a and "data_hash" in b
    fields = (*RESULT_FIELDS, "data_hash" if known else "data.path")
    differing = [
        SettingDifference(key, a.get(key, ABSENT), b.get(key, ABSENT), _below(key, fields))
        for key in dict.fromkeys([*a, *b])
        if a.get(key, ABSENT) != b.get(key, ABSENT) and (known or key != "data_hash")
    ]
    return tuple(sorted(differing, key=lambda difference: not difference.decides))


def compare_losses(a: Losses, b: Losses) -> LossComparison:
    """Compare over the steps that both have, at each step in the order in which the losses were recorded."""
    steps = tuple(sorted(a.keys() & b.keys()))
    differing = [
        LossDifference(step, name, a[step].get(name), b[step].get(name))
        for step in steps
        for name in dict.fromkeys([*a[step], *b[step]])
        if a[step].get(name) != b[step].get(name)
    ]
    numbers = [difference for difference in differing if difference.relative is not None]
    names_a, names_b = (dict.fromkeys(name for step in steps for name in losses[step]) for losses in (a, b))
    return LossComparison(
        steps,
        next(iter(differing), None),
        max(numbers, key=lambda difference: difference.relative or 0.0, default=None),
        tuple(name for name in names_a if name not in names_b),
        tuple(name for name in names_b if name not in names_a),
    )


def compare_hashes(a: Mapping[int, str], b: Mapping[int, str]) -> HashComparison:
    """Compare over the steps that both have."""
    steps = tuple(sorted(a.keys() & b.keys()))
    first = next((step for step in steps if a[step] != b[step]), None)
    equal = [step for step in steps if first is None or step < first]
    return HashComparison(steps, equal[-1] if equal else None, first)


def compare_tensors(a: Path, b: Path) -> TensorDifference | None:
    """The first tensor, by file and then by name, whose bits differ between the checkpoints in folders `a` and `b`.

    Raises:
        UserError: a checkpoint is corrupt.
    """
    files_a, files_b = ((path, read_checkpoint(path)) for path in (a, b))
    for file in sorted(name for name in files_a[1].keys() | files_b[1].keys() if name.endswith(".safetensors")):
        tensors_a, tensors_b = _tensors(file, *files_a), _tensors(file, *files_b)
        for name in sorted(tensors_a.keys() | tensors_b.keys()):
            if difference := _difference(file, name, tensors_a.get(name), tensors_b.get(name)):
                return difference
    return None


def _difference(file: str, name: str, a: np.ndarray | None, b: np.ndarray | None) -> TensorDifference | None:
    if a is None or b is None:
        return TensorDifference(file, name, None, f"missing in {'a' if a is None else 'b'}")
    if a.shape != b.shape:
        return TensorDifference(file, name, None, f"shape {list(a.shape)} in a, {list(b.shape)} in b")
    if a.dtype != b.dtype:
        return TensorDifference(file, name, None, f"{a.dtype} in a, {b.dtype} in b")
    if a.tobytes() == b.tobytes():
        return None
    with np.errstate(invalid="ignore"):  # infinity less infinity: not a number, and shown as that
        return TensorDifference(file, name, float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max()))


def _tensors(file: str, path: Path, files: Mapping[str, bytes]) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    if file not in files:
        return {}
    try:
        return load(files[file])
    except (SafetensorError, ValueError, KeyError, TypeError):
        raise UserError(f"checkpoint file '{path / file}': holds no tensors; restore it") from None


def _with_data(run: RunRecord) -> dict[str, object]:
    known = [checkpoint.data_hash for checkpoint in run.checkpoints.values() if checkpoint.data_hash]
    return {**run.settings, "data_hash": known[-1]} if known else run.settings


def _below(key: str, fields: tuple[str, ...]) -> bool:
    return any(key == field or key.startswith(field + ".") for field in fields)
