"""How a run would scale on machines that are not there: any number of them, all like one that was measured. Pure.

The model is that of `step_time`, in closed form, since all machines and links are alike: one worker a machine, each
with a link of its own to a network that holds nobody up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from gen_dist.cluster.link_ends import Link
from gen_dist.cluster.step_time import PROCESSOR_SHARE, Parts, latency_of
from gen_dist.engine.costs import Costs, PhaseCosts
from gen_dist.engine.ownership import Ownership
from gen_dist.engine.tree import rounds

LEAST_GAIN = 1.1  # of twice the workers, for them to pay
HALF = 0.5


@dataclass(frozen=True)
class Point:
    """Of a curve."""

    workers: int
    images: int  # a step
    parts: Parts
    efficiency: float  # to as many workers, each of which does whole steps alone

    @property
    def images_per_second(self) -> float:
        return self.images / self.parts.seconds


def project(
    costs: Costs, link: Link, workers: int, microbatches: int, images: int, ring: bool, alone: int | None = None
) -> Point:
    """A step of `microbatches` in all (`images` images) on so many workers.

    `alone`: how many microbatches a worker's step has that it does alone, where that is another number.

    Raises ValueError for more workers than microbatches.
    """
    ownership = Ownership.equal(microbatches, workers)
    leaving = [max(ownership.shares)] if ring else [max(computed.values()) for computed in rounds(ownership)]
    compute = exchange = latency = fixed = 0.0
    for phase in costs.phases:
        computed = leaving[-1] * phase.microbatch
        end = exchange_end(phase, leaving, link, workers, ring)
        compute += phase.count * computed
        exchange += phase.count * max(0.0, end - computed)
        latency += phase.count * latency_of(phase, range(workers), link.latency_seconds, ring)
        fixed += phase.count * phase.fixed
    parts = Parts(compute, exchange, latency, fixed)
    alone = alone or microbatches
    ideal = workers * alone / (alone * costs.microbatch + costs.fixed)  # microbatches per second
    return Point(workers, images, parts, microbatches / parts.seconds / ideal)


def exchange_end(phase: PhaseCosts, leaving: Sequence[int], link: Link, workers: int, ring: bool) -> float:
    """Seconds from a phase's begin until all have the sums: as `step_time.exchange_end`.

    `leaving`: after how many microbatches pieces leave, round after round.
    """
    network, busy, others = 0.0, 0.0, (workers - 1) / workers
    for number, microbatches in enumerate(leaving, 1):
        for vector in phase.sent:
            seconds = others * vector.bytes / link.bytes_per_second
            network = max(network, busy + microbatches * phase.microbatch - vector.early) + (2 if ring else 1) * seconds
            busy += PROCESSOR_SHARE * seconds if number < len(leaving) else 0.0
    network = max(network, busy + leaving[-1] * phase.microbatch)
    if not ring:
        network += sum(others * vector.bytes / link.bytes_per_second for vector in phase.sent)
    return network


def curve(
    costs: Costs, link: Link, numbers: Sequence[int], microbatches: int, images: int, *, ring: bool, weak: bool
) -> list[Point]:
    """A point for each number of workers.

    Args:
        microbatches, images: of a step; of each worker's part of it where `weak`. Where not, numbers of workers above
            `microbatches` have no point.
    """
    if weak:
        return [project(costs, link, n, n * microbatches, n * images, ring, microbatches) for n in numbers]
    return [project(costs, link, n, microbatches, images, ring) for n in numbers if n <= microbatches]


def where_it_stops(points: Sequence[Point]) -> int | None:
    """The number of workers beyond which twice as many are never 1.1 times as fast, as far as the curve tells."""
    last = 0
    for number, (point, following) in enumerate(pairwise(points), 1):
        gain, doublings = following.images_per_second / point.images_per_second, following.workers / point.workers / 2
        if gain >= LEAST_GAIN**doublings:
            last = number
    return points[last].workers if last < len(points) - 1 else None


def where_half_is_lost(points: Sequence[Point]) -> int | None:
    """The first number of workers whose efficiency is below a half."""
    return next((point.workers for point in points if point.efficiency < HALF), None)
