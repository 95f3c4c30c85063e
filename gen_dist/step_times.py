"""Where the time of steps went: seconds of each part, by phase and rank. Pure.

Shapes: P parts, R ranks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

Record = Mapping[str, Mapping[str, Sequence[float]]]  # see `to_record`
FLAT_RANKS = 32  # more have no series of their own

# What a rank measures. At every moment its training thread is in one of them.
MEASURED = ("data_wait", "decode", "augment", "to_device", "forward", "backward", "reduce", "agree", "optimise",
            "bookkeeping", "other")  # fmt: skip
# What is told: time in collectives is split into waiting for the other ranks and exchanging bytes with them.
PARTS = ("data_wait", "decode", "augment", "to_device", "forward", "backward", "wait", "exchange", "optimise",
         "bookkeeping", "other")  # fmt: skip
COLLECTIVES = ("reduce", "agree")
DATA = ("data_wait", "decode", "augment")  # of waiting for the loader: what its threads did meanwhile
COUNTED = ("microbatches", "loading")  # beside the time: how many, and the seconds of the loader's threads together


class Span(NamedTuple):
    """From `start` on, in seconds by the clock of its rank, for `seconds`; step 1 is the first."""

    step: int
    phase: str
    part: str
    start: float
    seconds: float

    @property
    def end(self) -> float:
        return self.start + self.seconds


def split_collectives(measured: np.ndarray) -> np.ndarray:
    """From what each rank measured in one phase, float64 (len(MEASURED), R), to PARTS, float64 (len(PARTS), R).

    All ranks leave a collective at about the same time, so the rank that was in it for the shortest time came last: it
    waited for nobody, and what it took is what moving the bytes takes.
    """
    first, count = MEASURED.index(COLLECTIVES[0]), len(COLLECTIVES)
    both = measured[first : first + count]
    exchange = np.full(measured.shape[1], both.min(1).sum())
    return np.vstack([measured[:first], both.sum(0) - exchange, exchange, measured[first + count :]])


@dataclass
class StepTimes:
    """Sums over phases that were done; by phase, float64: `seconds` (P, R), `counted` (len(COUNTED), R)."""

    seconds: dict[str, np.ndarray] = field(default_factory=dict)
    counted: dict[str, np.ndarray] = field(default_factory=dict)
    steps: int = 0

    def add(self, phase: str, measured: np.ndarray, counted: np.ndarray) -> None:
        """One more occurrence of a phase, as its ranks measured it; see `split_collectives`."""
        self.add_told(phase, split_collectives(measured), counted)

    def add_told(self, phase: str, seconds: np.ndarray, counted: np.ndarray) -> None:
        known = phase in self.seconds
        self.seconds[phase] = self.seconds[phase] + seconds if known else seconds
        self.counted[phase] = self.counted[phase] + counted if known else counted

    @property
    def ranks(self) -> int:
        return next((table.shape[1] for table in self.seconds.values()), 0)

    @property
    def shares(self) -> tuple[float, ...]:
        """Each rank's microbatches in a phase of each name, one after the other: they change with ownership."""
        return tuple(np.concatenate([table[0] for table in self.counted.values()]) / max(1, self.steps))

    def by_rank(self) -> np.ndarray:
        """Seconds a step, all phases together: float64 (P, R)."""
        none = np.zeros((len(PARTS), self.ranks))
        return np.sum([none, *self.seconds.values()], axis=0) / max(1, self.steps)

    def share(self, parts: Sequence[str]) -> float:
        """Of all ranks' time."""
        table = self.by_rank()
        return float(table[[PARTS.index(part) for part in parts]].sum() / table.sum())


def to_record(times: StepTimes) -> dict[str, dict[str, list[float]]]:
    """Phase to part, or what was counted, to its value in a step for each rank; parts that took none are left out."""
    return {
        phase: {
            name: [round(float(value) / max(1, times.steps), 6) for value in row]
            for name, row in zip((*PARTS, *COUNTED), (*table, *times.counted[phase]), strict=True)
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
        seconds, counted = (
            np.array([parts.get(name, [0.0] * ranks) for name in names], dtype=np.float64) for names in (PARTS, COUNTED)
        )
        times.add_told(phase, seconds, counted)
    return times
