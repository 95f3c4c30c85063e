"""A worker's events on their way to the supervisor: kept until it says that it has them."""

import threading
import time
from collections import deque
from collections.abc import Callable

from gen_dist.events import CheckpointReady, Event, Pictures

MOST_WAITING = 64  # events; then training waits for the supervisor
GATHER_SECONDS = 0.05  # between answers, where steps are shorter: an answer costs milliseconds of the same processor
ONLY_NOW = (Pictures, CheckpointReady)  # what other workers could not make once they have gone on


class Outbox:
    def __init__(self) -> None:
        self._waiting: deque[Event] = deque()
        self._taken = 0  # events that the supervisor has; the first that waits has this number
        self._answered = -GATHER_SECONDS
        self._changed = threading.Condition()

    def send(self, event: Event) -> None:
        """Waits while many are on their way; and for what must not be lost, until the supervisor has it."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) < MOST_WAITING)
            self._waiting.append(event)
            number = self._taken + len(self._waiting)
            self._changed.notify_all()
            if isinstance(event, ONLY_NOW):
                self._changed.wait_for(lambda: self._taken >= number)

    def read(self, taken: int, seconds: float, woken: Callable[[], bool] = lambda: False) -> list[Event]:
        """All events from number `taken` on, once there is one, or after `seconds`, or when `woken` and notified.

        `taken` is how many the reader has had: a call whose answer was lost may be made again.
        """
        with self._changed:
            if taken > self._taken + len(self._waiting):
                return []  # asked of a former run, which ended meanwhile
            for _ in range(taken - self._taken):
                self._waiting.popleft()
            self._taken = max(taken, self._taken)
            self._changed.notify_all()
            until = time.monotonic() + seconds
            self._changed.wait_for(lambda: bool(self._waiting) or woken(), seconds)
            gathered = min(until, self._answered + GATHER_SECONDS) - time.monotonic()
            self._changed.wait_for(lambda: woken() or self._is_urgent(), max(0.0, gathered))
            if self._waiting:
                self._answered = time.monotonic()
            return list(self._waiting)

    def _is_urgent(self) -> bool:
        return 2 * len(self._waiting) >= MOST_WAITING or any(isinstance(event, ONLY_NOW) for event in self._waiting)

    def wake(self) -> None:
        """Let `read` answer now."""
        with self._changed:
            self._changed.notify_all()
