"""What makes steps slow, and what its removal would gain. Pure.

The model of a step: in each phase every rank does its own part, all wait for the slowest, then the bytes are exchanged.
What steps take beyond that, because now one rank is late and now another, is taken to stay as it is.

Shapes: P parts, R ranks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gen_dist.step_times import COUNTED, DATA, PARTS, StepTimes

LEAST_GAIN = 1.05  # of a bottleneck; below it a step is what computing takes
WAITING = ("wait", "exchange")
COMPUTE = ("forward", "backward")
MOST = 0.6  # of a cost: then it is one rank's

Table = np.ndarray  # float64 (P, R): seconds a step, of one phase
Removal = Callable[[Table, np.ndarray], Table]  # of a phase's table and its ranks' microbatches, float64 (R,)


@dataclass(frozen=True)
class Bottleneck:
    """`gain`: how many times as fast a step would be without it; `share`: of a step's time that goes into it."""

    name: str  # one of REMOVALS, or "compute"
    share: float
    gain: float
    rank: int  # whom it concerns most
    is_of_one: bool = False  # whether it concerns hardly anyone else


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
    then = now - model(times, lambda table, owned: table) + model(times, REMOVALS[name])
    cost = cost_by_rank(times, name)
    is_of_one = times.ranks > 1 and float(cost.max()) > MOST * float(np.abs(cost).sum())
    return Bottleneck(name, float((now - then) / now), float(now / then), int(cost.argmax()), is_of_one)


def step_seconds(times: StepTimes) -> float:
    """The same on all ranks, nearly."""
    return float(times.by_rank().sum(0).mean())


def model(times: StepTimes, changed: Removal) -> float:
    """Seconds of a step in whose phases the times are `changed`."""
    tables = [changed(table, owned) for table, owned in phases_of(times)]
    return sum(float(own(table).max() + rows(table, ("exchange",)).max()) for table in tables)


def phases_of(times: StepTimes) -> list[tuple[Table, np.ndarray]]:
    """Each phase's seconds in a step, and its ranks' microbatches."""
    place, steps = COUNTED.index("microbatches"), max(1, times.steps)
    return [(table / steps, times.counted[phase][place] / steps) for phase, table in times.seconds.items()]


def own(table: Table) -> np.ndarray:
    """Seconds of each rank without the others, float64 (R,)."""
    return table.sum(0) - rows(table, WAITING).sum(0)


def rows(table: Table, parts: tuple[str, ...]) -> Table:
    return table[[PARTS.index(part) for part in parts]]


def without(*parts: str) -> Removal:
    def change(table: Table, owned: np.ndarray) -> Table:
        changed = table.copy()
        changed[[PARTS.index(part) for part in parts]] = 0.0
        return changed

    return change


def computing_for(table: Table, seconds: np.ndarray) -> Table:
    """The same, but that each rank computes for so many seconds, float64 (R,)."""
    changed = table.copy()
    places = [PARTS.index(part) for part in COMPUTE]
    now = table[places].sum(0)
    changed[places] *= np.divide(seconds, now, out=np.ones_like(now), where=now > 0)
    return changed


def paces(table: Table, owned: np.ndarray) -> np.ndarray:
    """Each rank's seconds per microbatch."""
    return rows(table, COMPUTE).sum(0) / np.where(owned > 0, owned, 1.0)


def all_as_fast(table: Table, owned: np.ndarray) -> Table:
    """Who is slower than the middle one (of two: the faster) is as fast, and owns as much as if it always had been."""
    each = paces(table, owned)
    middle = np.sort(each)[(len(each) - 1) // 2]
    if each.max() <= middle or not owned.all():
        return table
    whole = np.ceil(owned.sum() / len(owned))
    return computing_for(table, np.minimum(each * owned, np.minimum(each, middle) * whole))


def evenly_shared(table: Table, owned: np.ndarray) -> Table:
    """Microbatches can be cut up at will, so that all are done at the same time."""
    if not owned.all():
        return table
    together = owned.sum() / (1 / np.maximum(paces(table, owned), 1e-9)).sum()
    return computing_for(table, np.full(len(owned), together))


REMOVALS: dict[str, Removal] = {
    "data": without(*DATA),
    "slow worker": all_as_fast,
    "uneven shares": evenly_shared,
    "exchange": without("exchange"),
    "optimise": without("optimise"),
    "bookkeeping": without("bookkeeping"),
    "to device": without("to_device"),
    "other": without("other"),
}


def cost_by_rank(times: StepTimes, name: str) -> np.ndarray:
    """Seconds a step that the removal takes from each rank, float64 (R,)."""
    return np.sum([t.sum(0) - REMOVALS[name](t, owned).sum(0) for t, owned in phases_of(times)], axis=0)


def loading_gain(times: StepTimes, threads: int, more: int) -> float:
    """How many times as fast a step would be with `more` loader threads than its `threads`, if CPUs are free for them.

    The threads' work is the same, done by more of them; a rank waits for what does not fit beside the rest of its step.
    """
    now = step_seconds(times)
    place, steps = COUNTED.index("loading"), max(1, times.steps)
    loading = np.sum([table[place] for table in times.counted.values()], axis=0) / steps
    waits = rows(times.by_rank(), DATA).sum(0)
    then = np.maximum(now - waits, loading / more)
    return float(now / np.minimum(then, now).max())


def seconds_of(times: StepTimes, parts: Sequence[str]) -> float:
    """The mean over ranks, a step."""
    return float(rows(times.by_rank(), tuple(parts)).sum(0).mean())
