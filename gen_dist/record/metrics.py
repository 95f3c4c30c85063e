"""`metrics.jsonl`: one JSON object per recorded step, each step once, in order."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gen_dist.errors import UserError


class MetricsFile:
    """The metrics of a run, open for appending.

    Opening repairs what a crash left: an unfinished last line, or lines of zeros after a power cut, are cut off. So are
    the steps after `last`, where it is given: they are computed again, and what stopped the run may have spoilt them.
    Raises UserError where the file cannot be opened or is damaged anywhere else.
    """

    def __init__(self, path: Path, last: int | None = None) -> None:
        self.path = path
        try:
            rows, self._size = _parse(path.read_bytes() if path.exists() else b"", path, last)
            self._file = open(path, "ab", buffering=0)  # noqa: SIM115 (closed by close)
            self._file.truncate(self._size)
        except OSError as error:
            raise UserError(f"metrics '{path}': cannot be written ({error.strerror}); check your rights") from None
        self.last_step: int = rows[-1]["step"] if rows else 0

    def append(self, step: int, values: Mapping[str, Any]) -> bool:
        """Record `values` (JSON) at `step`, unless that step or a later one is there already; tells whether it did.

        Raises ValueError for a value that is not finite (JSON knows none), UserError where the disk refuses.
        """
        if step <= self.last_step:
            return False
        row = {"step": step} | {k: v if isinstance(v, str | Mapping) else float(v) for k, v in values.items()}
        line = (json.dumps(row, allow_nan=False) + "\n").encode()
        try:
            written = self._file.write(line)
            if written != len(line):  # a disk with a few bytes left takes a part; asking for the rest gives the reason
                self._file.write(line[written:])
        except OSError as error:
            self._file.truncate(self._size)  # a torn line must not stand in front of a later one
            hint = "free some room and resume"
            raise UserError(f"metrics '{self.path}': cannot be written ({error.strerror}); {hint}") from error
        self._size += len(line)
        self.last_step = step
        return True

    def sync(self) -> None:
        """Flush to the disk: a checkpoint must never survive a power cut that its metrics do not. Raises UserError."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise UserError(f"metrics '{self.path}': cannot be written ({error.strerror}); check the disk") from error

    def close(self) -> None:
        """Close the file; further calls do nothing."""
        self._file.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All recorded steps, also while the run writes: an unfinished last line is left out. No file gives no rows.

    Raises UserError where the file cannot be read or is damaged.
    """
    try:
        with open(path, "rb") as file:
            return _parse(file.read(), path)[0]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"metrics '{path}': cannot be read ({error.strerror}); check your rights") from None


def _parse(data: bytes, path: Path, last: int | None = None) -> tuple[list[dict[str, Any]], int]:
    """The rows up to step `last`, and the number of bytes up to the end of the last good line among them."""
    rows: list[dict[str, Any]] = []
    whole = position = 0
    bad = None
    for number, line in enumerate(data.splitlines(keepends=True), start=1):
        position += len(line)
        row = _row(line)
        if row is None or (rows and row["step"] <= rows[-1]["step"]):
            bad = bad or number
            continue
        if bad:  # a good line after a bad one: not the tail of a crash
            raise UserError(f"metrics '{path}': line {bad} is damaged; remove that line, or start a new run")
        if last is not None and row["step"] > last:
            break
        rows.append(row)
        whole = position
    return rows, whole


def _row(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and type(row.get("step")) is int else None
