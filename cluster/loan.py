"""A worker's state for a newcomer, taken between two steps by whoever can: the thread that trains, if it does."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from gen_dist.assignment import Files

if TYPE_CHECKING:
    from gen_dist.training import Trainer

LOOK_SECONDS = 0.2  # between looks whether the trainer has halted, which ends a step without its end


class Loan:
    def __init__(self) -> None:
        self._boxes: list[list[Files]] = []  # of those that wait
        self._changed = threading.Condition()

    def between_steps(self, trainer: "Trainer") -> None:
        """Lend to all who wait. Called by the thread that trains, or, when it has halted there, by another."""
        with self._changed:
            if self._boxes:
                files = trainer.lend()
                for box in self._boxes:
                    box.append(files)
                self._boxes.clear()
                self._changed.notify_all()

    def ask(self, at_rest: Callable[[], None]) -> Files:
        """The state, with a journal begun. `at_rest` calls `between_steps` if the trainer has halted between two."""
        box: list[Files] = []
        with self._changed:
            self._boxes.append(box)
        while not box:
            at_rest()
            with self._changed:
                self._changed.wait_for(lambda: bool(box), LOOK_SECONDS)
        return box[0]
