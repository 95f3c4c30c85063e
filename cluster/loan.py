"""A worker's state for a newcomer, taken between two steps by whoever can: the thread that trains, if it does."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from gen_dist.assignment import Files

if TYPE_CHECKING:
    from gen_dist.training import Trainer


class Loan:
    def __init__(self) -> None:
        self._wanted = False
        self._made: Files | None = None
        self._changed = threading.Condition()

    def between_steps(self, trainer: "Trainer") -> None:
        """Lend, if that was asked for. Called by the thread that trains, also when it has halted there."""
        with self._changed:
            if self._wanted:
                self._wanted, self._made = False, trainer.lend()
                self._changed.notify_all()

    def ask(self, trainer: "Trainer", is_idle: Callable[[], bool]) -> Files:
        """The state, with a journal begun. `is_idle`: whether the trainer has halted between two steps."""
        with self._changed:
            self._wanted, self._made = True, None
        if is_idle():
            self.between_steps(trainer)
        with self._changed:
            self._changed.wait_for(lambda: self._made is not None)
            made, self._made = self._made, None
            assert made is not None
            return made
