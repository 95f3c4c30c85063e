"""What makes steps slow, and what its removal would gain. Pure.

The model of a step: in each phase every rank does its own part, all wait for the slowest, then the bytes are exchanged.
What steps take beyond that, because now one rank is late and now another, is taken to stay as it is.

Shapes: P parts, R ranks.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gen_dist.step_times import DATA, PARTS, StepTimes

LEAST_GAIN = 1.05  # of a bottleneck; below it a step is what computing takes
WAITING = ("wait", "exchange")
COMPUTE = ("forward", "backward")

Table = np.ndarray  # float64 (P, R): seconds a step, of one phase


@dataclass(frozen=True)
class Bottleneck:
    """`gain`: how many times as fast a step would be without it; `share`: of a step's time that goes into it."""

    name: str  # "data", "slow worker", "exchange", "optimise", "bookkeeping", "to device", "other", "compute"
    share: float
    gain: float
    rank: int  # whom it concerns most


def find_bottleneck(times: StepTimes) -> Bottleneck:
    """What costs the most of all that can be removed; "compute" where that is hardly anything.

    Raises ValueError for times of no step.
    """
    if not times.ranks:
        raise ValueError("no step was measured")
    found = [bottleneck(times, name) for name in REMOVALS]
    worst = max(found, key=lambda one: one.gain)
    if worst.gain >= LEAST_GAIN:
        return worst
    compute = rows(times.by_rank(), COMPUTE).sum(0)
    return Bottleneck("compute", times.share(COMPUTE), 1.0, int(compute.argmax()))


def bottleneck(times: StepTimes, name: str) -> Bottleneck:
    """What the removal of one thing would gain."""
    now = step_seconds(times)
    then = now - model(times, lambda table: table) + model(times, REMOVALS[name])
    of_rank = cost_by_rank(times, name)
    return Bottleneck(name, float((now - then) / now), float(now / then), int(of_rank.argmax()))


def step_seconds(times: StepTimes) -> float:
    """The same on all ranks, nearly."""
    return float(times.by_rank().sum(0).mean())


def model(times: StepTimes, changed: Callable[[Table], Table]) -> float:
    """Seconds of a step in whose phases the times are `changed`."""
    tables = [changed(table / max(1, times.steps)) for table in times.seconds.values()]
    return sum(float(own(table).max() + rows(table, ("exchange",)).max()) for table in tables)


def own(table: Table) -> np.ndarray:
    """Seconds of each rank without the others, float64 (R,)."""
    return table.sum(0) - rows(table, WAITING).sum(0)


def rows(table: Table, parts: tuple[str, ...]) -> Table:
    return table[[PARTS.index(part) for part in parts]]


def without(*parts: str) -> Callable[[Table], Table]:
    def change(table: Table) -> Table:
        changed = table.copy()
        changed[[PARTS.index(part) for part in parts]] = 0.0
        return changed

    return change


def as_fast_as_most(table: Table) -> Table:
    """Who computes for longer than the middle one (of two: the faster) computes as long as that."""
    changed = table.copy()
    places = [PARTS.index(part) for part in (*COMPUTE, "other")]
    seconds = table[places].sum(0)
    middle = np.sort(seconds)[(len(seconds) - 1) // 2]
    changed[places] *= np.minimum(1.0, np.divide(middle, seconds, out=np.ones_like(seconds), where=seconds > 0))
    return changed


REMOVALS: dict[str, Callable[[Table], Table]] = {
    "data": without(*DATA),
    "slow worker": as_fast_as_most,
    "exchange": without("exchange"),
    "optimise": without("optimise"),
    "bookkeeping": without("bookkeeping"),
    "to device": without("to_device"),
    "other": without("other"),
}


def cost_by_rank(times: StepTimes, name: str) -> np.ndarray:
    """Seconds a step that the removal takes from each rank, float64 (R,)."""
    tables = [table / max(1, times.steps) for table in times.seconds.values()]
    return np.sum([table.sum(0) - REMOVALS[name](table).sum(0) for table in tables], axis=0)
