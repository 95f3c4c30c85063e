"""What happened in, decision out. Pure, so tested without a cluster."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from gen_dist.standing import Standing

MOST_FUTILE = 5  # generations in a row that committed nothing
LEAST_SILENCE = 5.0  # seconds: a healthy worker answers within one even on a crowded machine
LEAST_STALL = 60.0
PHASES = 4.0  # of the longest phase seen, that a silent worker is waited for
STALL_PHASES = 20.0  # that a group is, whose workers answer but get no further


class Kind(IntEnum):
    """Why a worker ended, the most telling first: a later kind may be only the consequence of an earlier one."""

    DEATH = 0  # the process is gone
    EXCEPTION = 1
    COLLECTIVE = 2  # it waited for a peer that no longer answered


@dataclass(frozen=True)
class Failure:
    rank: int
    host: str
    where: str  # step, phase and stage, or "start-up"
    kind: Kind
    cause: str  # one line
    detail: str = ""  # traceback, for the log
    agreed: bool = False  # all ranks found it together, and the cause says who and where

    def __str__(self) -> str:
        return self.cause if self.agreed else f"rank {self.rank} on {self.host} failed in {self.where}: {self.cause}"

    @property
    def place(self) -> str:
        """Step and phase, without the stage."""
        return ", ".join(self.where.split(", ")[:2])


def root_cause(failures: Sequence[Failure]) -> Failure:
    """The failure that explains the others: when a worker dies, its peers' collectives fail as well.

    A dead worker cannot say where it was, but a peer that waited for it can.
    """
    cause = min(failures, key=lambda failure: (failure.kind, failure.rank))
    waiting = [failure for failure in failures if failure.kind is Kind.COLLECTIVE]
    return replace(cause, where=waiting[0].where) if cause.kind is Kind.DEATH and waiting else cause


def ends_run(failure: Failure, earlier: Sequence[Failure], left: int) -> bool:
    """Whether the run cannot go on after a failure; `left`: workers that remain, whose turn it would be.

    What a process raises may be its machine's fault, so another one tries. Two that raise in the same phase are not to
    blame. What all ranks agree on is nobody's fault either.
    """
    if failure.agreed:
        return True
    if failure.kind is not Kind.EXCEPTION:
        return False
    return left == 0 or any(one.kind is Kind.EXCEPTION and one.place == failure.place for one in earlier)


def is_futile(begun_at: Sequence[Standing]) -> bool:
    """Where the last generations began, one after the other: whether it makes no sense to try again."""
    return len(begun_at) > MOST_FUTILE and len(set(begun_at[-MOST_FUTILE - 1 :])) == 1


def choose_reporter(standings: Sequence[Standing], reporter: int | None) -> int:
    """Which of these workers tells the record: one that is as far as any, the present one if it can be."""
    furthest = max(standings)
    if reporter is not None and standings[reporter] == furthest:
        return reporter
    return standings.index(furthest)


@dataclass
class Patience:
    """How long to wait for whom, learnt from how long phases take."""

    most: float  # seconds, before anything is known
    longest: float | None = None

    def note(self, seconds: float) -> None:
        """A phase that took so long."""
        self.longest = seconds if self.longest is None else max(seconds, 0.9 * self.longest)

    @property
    def silence(self) -> float:
        """Seconds without an answer after which a worker is given up."""
        return self.most if self.longest is None else min(self.most, LEAST_SILENCE + PHASES * self.longest)

    @property
    def stall(self) -> float:
        """Seconds after which a group that answers, but gets no further, is broken up."""
        return self.most if self.longest is None else min(self.most, LEAST_STALL + STALL_PHASES * self.longest)
