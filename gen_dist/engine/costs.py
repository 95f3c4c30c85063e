"""What a step costs a worker, as measured: plain values, without torch."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Sent:
    """A vector that the ranks sum: a bucket of gradients, or the losses and statistics."""

    bytes: int
    early: float  # seconds before the end of the last microbatch's backward pass at which it is complete


@dataclass(frozen=True)
class PhaseCosts:
    """Means over the measured steps, in seconds."""

    name: str
    count: float  # how often a step has this phase, on average
    microbatch: float  # load, forward and backward of one
    fixed: float  # whatever the worker's share: norms, optimiser, averages
    sent: tuple[Sent, ...]


@dataclass(frozen=True)
class Costs:
    """Of a worker that computes alone, without anything to wait for."""

    phases: tuple[PhaseCosts, ...]

    @property
    def microbatch(self) -> float:
        """Seconds that a microbatch costs in a step, over all its phases."""
        return sum(phase.count * phase.microbatch for phase in self.phases)

    @property
    def fixed(self) -> float:
        return sum(phase.count * phase.fixed for phase in self.phases)


def blend(costs: Sequence[tuple[Costs, float]]) -> Costs:
    """The weighted mean of costs of the same configuration; weights sum to 1.

    Phases are those of the first: whether a step has an extra one may differ from machine to machine.
    """
    phases = []
    for phase in costs[0][0].phases:
        others = [
            (next((other for other in each.phases if other.name == phase.name), phase), weight)
            for each, weight in costs
        ]
        sent = tuple(
            Sent(vector.bytes, sum(other.sent[i].early * weight for other, weight in others))
            for i, vector in enumerate(phase.sent)
        )
        microbatch = sum(other.microbatch * weight for other, weight in others)
        fixed = sum(other.fixed * weight for other, weight in others)
        phases.append(PhaseCosts(phase.name, phase.count, microbatch, fixed, sent))
    return Costs(tuple(phases))
