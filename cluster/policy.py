"""What happened in, decision out. Pure, so tested without a cluster."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum


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


def root_cause(failures: Sequence[Failure]) -> Failure:
    """The failure that explains the others: when a worker dies, its peers' collectives fail as well.

    A dead worker cannot say where it was, but a peer that waited for it can.
    """
    cause = min(failures, key=lambda failure: (failure.kind, failure.rank))
    waiting = [failure for failure in failures if failure.kind is Kind.COLLECTIVE]
    return replace(cause, where=waiting[0].where) if cause.kind is Kind.DEATH and waiting else cause


def seconds_to_wait_for_more(failures: Sequence[Failure]) -> float:
    """How long to wait for the failure that explains these.

    A broken collective has its cause elsewhere, and Ray may need a moment to notice a dead process.
    """
    return 5.0 if all(failure.kind is Kind.COLLECTIVE for failure in failures) else 0.5
