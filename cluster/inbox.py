"""What workers tell of a run: each event goes to the record once, whoever tells it."""

from collections.abc import Callable, Sequence
from contextlib import suppress

import ray
from ray.exceptions import RayError

from gen_dist.cluster.member import Member
from gen_dist.cluster.membership import Said
from gen_dist.events import CheckpointReady, Event, StepDone


class Inbox:
    """`recorded` is the last step in the record, `saved` the last one whose state is kept."""

    def __init__(self, handle: Callable[[Event], None], first_step: int) -> None:
        self.handle = handle
        self.recorded = self.saved = first_step

    def take(self, member: Member, said: Said) -> None:
        for event in said.events[max(0, member.taken - said.first) :]:
            self.handle(event)
            match event:
                case StepDone():
                    self.recorded = max(self.recorded, event.step)
                case CheckpointReady():
                    self.saved = max(self.saved, event.step)
        member.taken = max(member.taken, said.first + len(said.events))

    def take_last(self, members: Sequence[Member], seconds: float) -> None:
        """What those that have ended still have to say; each has so many seconds."""
        for member in members:
            with suppress(RayError):  # it may die now, or hang
                self.take(member, ray.get(member.actor.poll.remote(member.taken, 0.0), timeout=seconds))
