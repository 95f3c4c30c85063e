"""How far a worker is, and where it goes on: what a broken group needs to know to become another. Needs no torch."""

from dataclasses import dataclass

from gen_dist.engine.ownership import Ownership


@dataclass(frozen=True, order=True)
class Standing:
    """Later ones are greater. Workers of one group never differ by more than one phase.

    Attributes:
        step: finished steps.
        settled: the last of them is done with: the states were compared, and it was reported.
        committed: phases of the step after it.
    """

    step: int
    settled: bool
    committed: int

    def __str__(self) -> str:
        return f"step {self.step + 1}, phase {self.committed + 1}" if self.settled else f"the end of step {self.step}"


@dataclass(frozen=True)
class Place:
    """A worker's part in a group.

    Attributes:
        standing: where the group goes on; a worker that is behind catches up by itself.
        reports: whether it is the one that tells the record.
        recorded: the last step that the record has; the one that reports tells what came after it.
    """

    rank: int
    ownership: Ownership
    standing: Standing
    reports: bool
    recorded: int
