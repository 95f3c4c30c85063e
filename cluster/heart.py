"""Tells the workers that the supervisor lives, also while it writes to a slow disk: without a sign they leave.

Without Ray's control store no worker can be started or ended, and its nodes give up in the end. So the run ends
everywhere as soon as the store is gone, and the workers are told to leave, which takes no control store.
"""

import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any, Self

BEAT_SECONDS = 1.0
CONNECT_SECONDS = 1.5  # enough for a second try, where the first packet was lost
MOST_MISSED = 3  # in a row


class Heart:
    def __init__(self, actors: Callable[[], Sequence[Any]], head: tuple[str, int]) -> None:
        """`actors` are asked for before every beat, from another thread. `head`: where the control store listens."""
        self._actors, self._head = actors, head
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="gen-dist-heart", daemon=True)
        self.head_is_lost = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join()

    def _beat(self) -> None:
        missed = 0
        while not self._ended.wait(BEAT_SECONDS):
            for actor in self._actors():
                actor.beat.remote()
            missed = 0 if answers(self._head) else missed + 1
            if missed == MOST_MISSED:
                self.head_is_lost = True
                for actor in self._actors():
                    actor.leave.remote()
                return


def answers(place: tuple[str, int]) -> bool:
    """Whether something listens at this host and port."""
    try:
        socket.create_connection(place, CONNECT_SECONDS).close()
    except OSError:
        return False
    return True
