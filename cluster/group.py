"""The workers that train together, and how one generation of them becomes the next.

To change a generation all members halt: at the end of a step if nothing is wrong, else at once, each as far as it has
got. The furthest decides where the next one goes on; no other is more than one phase behind.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from gen_dist.cluster.member import Member
from gen_dist.cluster.membership import NEW, Membership, Rendezvous
from gen_dist.cluster.policy import choose_reporter
from gen_dist.config import RunConfig
from gen_dist.engine.ownership import decide_ownership
from gen_dist.standing import Place, Standing

FOREVER = float("inf")


@dataclass
class Change:
    """The end of a generation, until all members have halted."""

    deadline: float  # time.monotonic()
    gently: bool


class Group:
    """`members` are in the order of their ranks."""

    def __init__(self) -> None:
        self.members: list[Member] = []
        self.generation = NEW
        self.change: Change | None = None
        self.reporter: Member | None = None
        self.stops = False  # all have been told to stop

    @property
    def has_halted(self) -> bool:
        return self.change is not None and all(member.halted for member in self.members)

    @property
    def has_ended(self) -> bool:
        return bool(self.members) and all(member.halted and member.halted.ended for member in self.members)

    @property
    def standings(self) -> list[Standing]:
        """Of all members; they have halted."""
        return [member.halted.standing for member in self.members if member.halted]

    @property
    def is_between_steps(self) -> bool:
        furthest = max(self.standings)
        return furthest.settled and furthest.committed == 0

    def halt(self, seconds: float, gently: bool) -> None:
        """Ask all members to, who have so many seconds. What was asked gently may be asked again otherwise."""
        if self.change is not None and (gently or not self.change.gently):
            return
        self.change = Change(time.monotonic() + seconds, gently)
        for member in self.members:
            if member.halted is None:
                member.asked["halt"] = member.actor.halt.remote(self.generation, gently)

    def expect(self, seconds: float) -> None:
        """All members are new, and on their way to where a generation begins."""
        self.change = Change(time.monotonic() + seconds, gently=False)

    def begin(self, config: RunConfig, rendezvous: Rendezvous, recorded: int) -> Standing:
        """The next generation, of these members, once all have halted; returns where it begins."""
        standings = self.standings
        furthest = max(standings)
        present = self.members.index(self.reporter) if self.reporter in self.members else None
        reporter = choose_reporter(standings, present)
        self.reporter = self.members[reporter]
        workers = len(self.members)
        shares = config.cluster.shares
        fitting = shares if shares and len(shares) == workers else None  # given for the number at the start
        ownership = decide_ownership(config.train.microbatches, workers, fitting)
        self.generation, self.change = self.generation + 1, None
        for rank, member in enumerate(self.members):
            member.rank, member.halted = rank, None
            place = Place(rank, ownership, furthest, rank == reporter, recorded)
            member.actor.proceed.remote(Membership(self.generation, place, rendezvous))
            if self.stops:  # it may be new
                member.actor.request_stop.remote()
            member.is_at(f"generation {self.generation}, rendezvous")
        return furthest

    def stop(self) -> None:
        """At the end of the step in progress."""
        self.stops = True
        for member in self.members:
            member.actor.request_stop.remote()

    def replace_all(self, members: Sequence[Member]) -> None:
        """By others, whom none of the former ones may meet."""
        self.members, self.generation, self.reporter = list(members), self.generation + 1, None
