"""Unequal machines: who owns how many microbatches follows from how long each rank took for one. Pure.

Every rank decides alike, from numbers that all have; which microbatch is computed where never changes the result.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from heapq import heapify, heapreplace
from itertools import accumulate, pairwise
from statistics import median

from gen_dist.engine.ownership import Ownership
from gen_dist.engine.tree import rounds

MEMORY = 8  # steps over which a rank's seconds are averaged
LEAST_STEPS = 5  # between two changes, and before the first
LEAST_GAIN = 0.03  # of the step's predicted time: a smaller one is not worth a change
DOUBT = 2.0  # by how many standard errors of the averages, about, a gain must be larger still
KEPT_STEPS = 4 * MEMORY  # a step that is older weighs next to nothing


class Balancer:
    """Follows the ranks' speeds from step to step.

    Every rank must have one of the same age: begin a new one, on all ranks, where the ranks change.
    """

    def __init__(self, ownership: Ownership) -> None:
        self.ownership = ownership
        self.history: deque[Sequence[float]] = deque(maxlen=KEPT_STEPS)
        self.exchanges: deque[float] = deque(maxlen=KEPT_STEPS)

    def note(self, seconds: Sequence[float], exchange: float = 0.0) -> Ownership:
        """Take in what a step took; returns the next step's ownership.

        Args:
            seconds: per microbatch, of each rank.
            exchange: of the gradients, over all phases, for the rank that waited least for it: the others' waiting is
                mostly for the slowest rank.

        Raises:
            ValueError: seconds are not one finite number above 0 for each rank.
        """
        check(seconds, self.ownership.workers)
        self.history.append(tuple(seconds))
        self.exchanges.append(exchange)
        decided = rebalance(self.ownership, self.history, self.exchanges)
        if decided != self.ownership:
            self.ownership = decided
            self.history.clear()
            self.exchanges.clear()
        return decided


def rebalance(ownership: Ownership, history: Sequence[Sequence[float]], exchanges: Sequence[float] = ()) -> Ownership:
    """The next step's ownership: another one only where that is clearly worth it.

    Args:
        ownership: the present one.
        history: the steps since it was decided, oldest first: seconds per microbatch of each rank.
        exchanges: seconds of each, see `Balancer.note`; none: the exchange costs nothing.

    Raises:
        ValueError: a step has not one finite number above 0 for each rank.
    """
    if len(history) < LEAST_STEPS:
        return ownership
    seconds = smoothed(history)
    piece_seconds = seconds_of_a_piece(ownership, seconds, median(exchanges or [0.0]))
    unsteady = noise(history) + spread(exchanges) / predicted(ownership, seconds, piece_seconds)
    doubt = DOUBT * unsteady / math.sqrt(min(len(history), MEMORY))
    return improve(ownership, seconds, piece_seconds, LEAST_GAIN + doubt)


def improve(
    ownership: Ownership, seconds: Sequence[float], piece_seconds: float, least_gain: float = LEAST_GAIN
) -> Ownership:
    """The best ownership for these speeds where it makes the step shorter by `least_gain` (a share of it), or the
    present one; see `choose_shares`."""
    chosen = choose_shares(ownership, seconds, piece_seconds)
    gain = 1 - predicted(chosen, seconds, piece_seconds) / predicted(ownership, seconds, piece_seconds)
    return chosen if gain >= least_gain else ownership


def smoothed(history: Sequence[Sequence[float]]) -> list[float]:
    """Each rank's seconds per microbatch: the average, at last exponential, of medians of three steps.

    A median of three steps does not see a single slow one.
    """
    for seconds in history:
        check(seconds, len(history[0]))
    averages = []
    for series in zip(*history, strict=True):
        medians = [median(series[i : i + 3]) for i in range(max(1, len(series) - 2))]
        average = 0.0
        for number, value in enumerate(medians, 1):
            average += (value - average) / min(number, MEMORY)
        averages.append(average)
    return averages


def noise(history: Sequence[Sequence[float]]) -> float:
    """How much a rank's seconds differ from one step to the next, relative, in the median; of the least steady rank."""
    return max(
        median(abs(after - before) for before, after in pairwise(series)) / median(series)
        for series in zip(*history, strict=True)
    )


def spread(exchanges: Sequence[float]) -> float:
    """How many seconds the exchange differs from one step to the next, in the median."""
    return median([abs(after - before) for before, after in pairwise(exchanges)] or [0.0])


def choose_shares(ownership: Ownership, seconds: Sequence[float], piece_seconds: float = 0.0) -> Ownership:
    """The ownership under which a step is predicted to be shortest, of those with the best shares of whole blocks.

    Shares that cut the sum's tree into many pieces, such as 7 and 5 of 12, send so many times as much. Where that
    costs more than somebody's waiting, blocks of 2, 4, ... microbatches stay together; else those of one win.

    Args:
        ownership: the present one.
        seconds: per microbatch, of each rank.
        piece_seconds: how long the exchange takes for one piece of every rank, in one direction.
    """
    microbatches, workers = ownership.microbatches, ownership.workers
    candidates = [Ownership.from_shares(best_shares(microbatches, seconds, ownership.shares))]
    size = 2
    while piece_seconds > 0 and size < microbatches and -(-microbatches // size) >= workers:
        blocks = best_shares(-(-microbatches // size), seconds)
        bounds = accumulate(size * share for share in blocks)
        candidates.append(Ownership((0, *(min(bound, microbatches) for bound in bounds))))
        size *= 2
    return min(candidates, key=lambda candidate: predicted(candidate, seconds, piece_seconds))


def predicted(ownership: Ownership, seconds: Sequence[float], piece_seconds: float) -> float:
    """A step's seconds, without what is the same for every ownership.

    Each piece counts in full, though all but the last leave while others are computed: sending takes the processor up
    to as much time as it takes the network.
    """
    return step_seconds(ownership.shares, seconds) + piece_seconds * len(rounds(ownership))


def seconds_of_a_piece(ownership: Ownership, seconds: Sequence[float], exchange: float) -> float:
    """From how long the exchange of all pieces and of the sums took beyond computing, round after round."""
    end, every = step_seconds(ownership.shares, seconds), rounds(ownership)
    left = range(len(every) + 1, 1, -1)  # rounds from each one on, and that of the sums
    return min((exchange + end - latest(computed, seconds)) / n for computed, n in zip(every, left, strict=True))


def latest(computed: Mapping[int, int], seconds: Sequence[float]) -> float:
    """When the last of some ranks has computed so many microbatches."""
    return max(count * seconds[rank] for rank, count in computed.items())


def best_shares(microbatches: int, seconds: Sequence[float], present: Sequence[int] | None = None) -> list[int]:
    """The shares, none below 1, under which the slowest rank is done as early as possible.

    No rank then waits longer for it than it needs for one microbatch, unless the slowest has only one. Of all such
    shares, those that move the fewest microbatches from `present` are chosen.

    Args:
        microbatches: how many there are; at least as many as ranks.
        seconds: per microbatch, of each rank.
        present: the shares now; None: there are none.

    Raises:
        ValueError: fewer microbatches than ranks, or seconds that are not finite numbers above 0.
    """
    ranks = range(len(seconds))
    check(seconds, len(ranks))
    if microbatches < len(ranks):
        raise ValueError(f"{microbatches} microbatches for {len(ranks)} ranks: every rank needs at least one")
    shares = [1 for _ in ranks]
    done = [(2 * each, rank) for rank, each in enumerate(seconds)]  # when each would be, with one more
    heapify(done)
    for _ in range(microbatches - len(ranks)):  # to the one that is done first with it: no other way ends earlier
        _, rank = done[0]
        shares[rank] += 1
        heapreplace(done, ((shares[rank] + 1) * seconds[rank], rank))
    return shares if present is None else nearest(shares, seconds, present)


def nearest(shares: Sequence[int], seconds: Sequence[float], present: Sequence[int]) -> list[int]:
    """The shares nearest to `present` of all that end no later than `shares`, the best; see `best_shares`."""
    ranks, end = range(len(shares)), step_seconds(shares, seconds)
    forced = any(shares[rank] == 1 and seconds[rank] == end for rank in ranks)  # by a rank that cannot have less
    most, least = list(shares), [1 if forced else share for share in shares]
    for rank in ranks:
        while (most[rank] + 1) * seconds[rank] <= end and most[rank] < sum(shares):
            most[rank] += 1
        while least[rank] > 1 and least[rank] * seconds[rank] >= end:  # with one less it would wait for just one
            least[rank] -= 1
    chosen = [min(max(present[rank], least[rank]), most[rank]) for rank in ranks]
    while sum(chosen) < sum(shares):
        chosen[min((r for r in ranks if chosen[r] < most[r]), key=lambda r: (chosen[r] + 1) * seconds[r])] += 1
    while sum(chosen) > sum(shares):
        chosen[max((r for r in ranks if chosen[r] > least[r]), key=lambda r: chosen[r] * seconds[r])] -= 1
    return chosen


def step_seconds(shares: Sequence[int], seconds: Sequence[float]) -> float:
    """Until the slowest rank has computed its share."""
    return max(share * each for share, each in zip(shares, seconds, strict=True))


def check(seconds: Sequence[float], ranks: int) -> None:
    if len(seconds) != ranks or not all(math.isfinite(each) and each > 0 for each in seconds):
        raise ValueError(f"seconds {list(seconds)}: must be one finite number above 0 for each of {ranks} ranks")
