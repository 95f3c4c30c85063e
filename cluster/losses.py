"""The workers that a run has lost, what it says of them, and when it makes no sense to go on without them."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from gen_dist.cluster.failures import WorkerFailed
from gen_dist.cluster.member import Member
from gen_dist.cluster.policy import Failure, Kind, ends_run, is_futile
from gen_dist.errors import RunError
from gen_dist.events import Event, Message
from gen_dist.standing import Standing


class Losses:
    def __init__(self, handle: Callable[[Event], None]) -> None:
        self.handle = handle
        self.all: list[Failure] = []
        self.begun_at: list[Standing] = []  # generation by generation
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
            self.handle(Message(str(replace(failure, where=str(standing)) if known else failure), marks=True))
            if failure.detail:
                self.handle(Message(failure.detail, detail=True))
        self.untold.clear()

    def begin(self, standing: Standing, members: Sequence[Member]) -> None:
        """A generation of these members, who have halted, is to begin there.

        Raises:
            RunError: several began there, one after the other, and none got any further.
        """
        self.begun_at.append(standing)
        if is_futile(self.begun_at):
            broke = next((member.halted.broke for member in members if member.halted and member.halted.broke), "")
            cause = broke or next(map(str, reversed(self.all)), "nothing says why")
            raise RunError(f"every try to go on at {standing} failed: {cause}")
        self.tell(standing)
