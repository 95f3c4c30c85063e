"""Between a worker's thread that trains and those that answer: which generation is on, and who waits for whom."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from gen_dist.cluster.membership import NEW, Halted, Membership
from gen_dist.standing import Standing

if TYPE_CHECKING:
    from gen_dist.engine.process_groups import Connections
    from gen_dist.engine.tally import Asked


class Turn:
    """A worker's generation. One that was left is never gone back to."""

    def __init__(self) -> None:
        self.generation = NEW
        self.halted: Halted | None = None
        self.stop = self.pause = False
        self.connections: Connections
        self._next: Membership | None = None
        self._dismissed = False
        self._left = -1  # the last generation that was over at once, perhaps before it began here
        self._changed = threading.Condition()

    # The thread that trains.

    def wait(self, halted: Halted, tell: Callable[[], None]) -> Membership | None:
        """Until the next generation is known, or that there is none."""
        with self._changed:
            self.halted = halted
            self._changed.notify_all()
            tell()
            self._changed.wait_for(lambda: self._next is not None or self._dismissed)
            membership, self._next = self._next, None
            return membership

    def asked(self) -> Asked:
        from gen_dist.engine.tally import Asked

        return Asked(self.stop, self.pause)

    def check(self) -> None:
        """Raises GroupBroken if this generation is over: nothing it would compute is of use."""
        self.connections.check()

    # The threads that answer.

    def moved(self, standing: Standing) -> Halted:
        """A worker that has not been in any generation is elsewhere now."""
        with self._changed:
            halted = Halted(standing)
            if self.generation == NEW:
                self.halted = halted
            return halted

    def between_steps(self, do: Callable[[], None]) -> None:
        """Do it if the worker has halted between two steps; no generation begins meanwhile."""
        with self._changed:
            if self.halted is not None and self.halted.standing.settled and not self.halted.standing.committed:
                do()

    def leave(self, generation: int, gently: bool) -> None:
        with self._changed:
            if not gently:
                self._left = max(self._left, generation)
            if generation != self.generation or self.halted is not None:
                return
            if gently:
                self.pause = True
                return
        self.connections.break_off()

    def wait_halted(self, generation: int) -> Halted:
        with self._changed:
            # Not earlier: the call that began this generation may come after the one that ends it.
            self._changed.wait_for(lambda: self.halted is not None and self.generation >= generation)
            assert self.halted is not None
            return self.halted

    def give(self, membership: Membership | None) -> None:
        from gen_dist.engine.process_groups import Connections

        with self._changed:
            if membership is None:
                self._dismissed = True
                self._changed.notify_all()
                return
            if membership.generation <= self.generation:
                return
            rendezvous = membership.rendezvous
            self.connections = Connections((rendezvous.address, rendezvous.port))
            self.connections.broken = membership.generation <= self._left
            self.generation, self.halted, self.pause = membership.generation, None, False
            self._next = membership
            self._changed.notify_all()
