"""The workers that a run has lost, and what it says of them."""

from collections.abc import Callable
from dataclasses import replace

from gen_dist.cluster.failures import WorkerFailed
from gen_dist.cluster.policy import Failure, Kind, ends_run
from gen_dist.events import Event, Message
from gen_dist.standing import Standing


class Losses:
    def __init__(self, handle: Callable[[Event], None]) -> None:
        self.handle = handle
        self.all: list[Failure] = []
        self.untold: list[Failure] = []  # of them, until the others can say where they waited for the lost

    def add(self, failure: Failure, left: int) -> None:
        """`left`: workers that remain.

        Raises:
            WorkerFailed: the run cannot go on.
        """
        if ends_run(failure, self.all, left):
            raise WorkerFailed(failure)
        self.all.append(replace(failure, detail=""))
        self.untold.append(failure)

    def tell(self, standing: Standing | None) -> None:
        """A dead worker cannot say where it was, but those that waited for it can: there they go on."""
        for failure in self.untold:
            known = failure.kind is Kind.DEATH and standing is not None and not failure.agreed
            self.handle(Message(str(replace(failure, where=str(standing)) if known else failure)))
            if failure.detail:
                self.handle(Message(failure.detail, detail=True))
        self.untold.clear()
