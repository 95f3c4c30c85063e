"""From Ray's exceptions to one line for the user."""

import re
from typing import Any

from ray.exceptions import GetTimeoutError, RayError, RayTaskError

from gen_dist.cluster.policy import Failure, Kind
from gen_dist.engine.collectives import is_collective
from gen_dist.errors import RunError, UserError

BORN_DEAD = "the process could not start"


class WorkerFailed(RunError):
    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure), failure.detail)
        self.failure = failure


def explain(error: RayError, rank: int, host: str, where: str) -> Failure:
    """What happened to a worker.

    Raises:
        UserError: the worker refused its input.
    """
    if isinstance(error, RayTaskError):
        cause: Any = error.cause
        if isinstance(cause, UserError):
            raise UserError(str(cause)) from None
        line = str(cause) if isinstance(cause, RunError) else f"{type(cause).__name__}: {first_line(str(cause))}"
        where = next(iter(getattr(cause, "__notes__", [])), where)  # as the worker knew it itself
        kind = Kind.COLLECTIVE if is_collective(cause) else Kind.EXCEPTION
        return Failure(rank, host, where, kind, line, without_colours(str(error)), isinstance(cause, RunError))
    if isinstance(error, GetTimeoutError):
        return Failure(rank, host, where, Kind.DEATH, "it did not answer in time: the machine or the cluster is busy")
    cause = describe_death(error)
    kind = Kind.EXCEPTION if cause.startswith(BORN_DEAD) else Kind.DEATH
    return Failure(rank, host, where, kind, cause, without_colours(str(error)))


def describe_death(error: BaseException) -> str:
    """Ray's notice of a dead actor, in one line without its advice."""
    text = without_colours(str(error))
    if "creation task" in text:  # it never lived: the last line of the traceback says why
        return f"{BORN_DEAD}: " + text.strip().splitlines()[-1].strip()[:300]
    text = " ".join(text.split())
    if "connection error code 2" in text:  # Ray cannot tell these apart either
        return "the process died: killed, crashed or out of memory"
    detail = text.partition("Worker exit detail:")[2].strip() or text
    return f"the process died: {detail[:200]}"


def first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "no message")[:300]


def without_colours(text: str) -> str:
    return re.sub(r"\x1b\[\d+m", "", text)
