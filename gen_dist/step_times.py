"""Where the time of steps went: seconds of each part, by phase and rank. Pure.

Shapes: P parts, R ranks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

Record = Mapping[str, Mapping[str, Sequence[float]]]  # phase to part to seconds a step of each rank
FLAT_RANKS = 32  # more have no series of their own

# What a rank measures. At every moment its training thread is in one of them.
MEASURED = ("data_wait", "decode", "augment", "to_device", "forward", "backward", "reduce", "optimise", "bookkeeping",
            "other")  # fmt: skip
# What is told: `reduce` is split into waiting for the other ranks and exchanging bytes with them.
PARTS = ("data_wait", "decode", "augment", "to_device", "forward", "backward", "wait", "exchange", "optimise",
         "bookkeeping", "other")  # fmt: skip
DATA = ("data_wait", "decode", "augment")  # of waiting for the loader: what its threads did meanwhile


class Span(NamedTuple):
    """From `start` on, in seconds by the clock of its rank, for `seconds`."""

    phase: str
    part: str
    start: float
    seconds: float

    @property
    def end(self) -> float:
        return self.start + self.seconds


def split_reduce(measured: np.ndarray) -> np.ndarray:
    """From what each rank measured in one phase, float64 (len(MEASURED), R), to PARTS, float64 (len(PARTS), R).

    All ranks leave a collective at about the same time, so the rank that was in it for the shortest time came last: it
    waited for nobody, and what it took is what moving the bytes takes.
    """
    place = MEASURED.index("reduce")
    exchange = np.full(measured.shape[1], measured[place].min())
    return np.vstack([measured[:place], measured[place] - exchange, exchange, measured[place + 1 :]])


@dataclass
class StepTimes:
    """Sums over phases that were done; `seconds` by phase, float64 (P, R)."""

    seconds: dict[str, np.ndarray] = field(default_factory=dict)
    steps: int = 0

    def add(self, phase: str, measured: np.ndarray) -> None:
        """One more occurrence of a phase, as its ranks measured it; see `split_reduce`."""
        found = split_reduce(measured)
        self.seconds[phase] = self.seconds[phase] + found if phase in self.seconds else found

    @property
    def ranks(self) -> int:
        return next((table.shape[1] for table in self.seconds.values()), 0)

    def by_rank(self) -> np.ndarray:
        """Seconds a step, all phases together: float64 (P, R)."""
        none = np.zeros((len(PARTS), self.ranks))
        return np.sum([none, *self.seconds.values()], axis=0) / max(1, self.steps)

    def share(self, parts: Sequence[str]) -> float:
        """Of all ranks' time."""
        table = self.by_rank()
        return float(table[[PARTS.index(part) for part in parts]].sum() / table.sum())


def to_record(times: StepTimes) -> dict[str, dict[str, list[float]]]:
    """Phase to part to seconds a step of each rank, to the microsecond; parts that took none are left out."""
    return {
        phase: {
            part: [round(float(value) / max(1, times.steps), 6) for value in row]
            for part, row in zip(PARTS, table, strict=True)
            if row.any()
        }
        for phase, table in times.seconds.items()
    }


def flat_times(record: Record) -> dict[str, float]:
    """Series to plot: the ranks' mean of each part, of each part of each phase, and each part of each rank."""
    if not record:
        return {}
    times = from_record(record)
    flat: dict[str, float] = {}
    tables = {"time": times.by_rank(), **{f"time/{phase}": table for phase, table in times.seconds.items()}}
    for name, table in tables.items():
        flat |= {f"{name}/{part}": float(row.mean()) for part, row in zip(PARTS, table, strict=True)}
    for rank in range(min(times.ranks, FLAT_RANKS)):
        column = tables["time"][:, rank]
        flat |= {f"time/rank {rank}/{part}": float(value) for part, value in zip(PARTS, column, strict=True)}
    return flat


def from_record(record: Record) -> StepTimes:
    """What `to_record` made, as one step."""
    times = StepTimes(steps=1)
    for phase, parts in record.items():
        ranks = max(map(len, parts.values()), default=0)
        times.seconds[phase] = np.array([parts.get(part, [0.0] * ranks) for part in PARTS], dtype=np.float64)
    return times
