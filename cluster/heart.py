"""Tells the workers that the supervisor lives, also while it writes to a slow disk: without a sign they leave."""

import threading
from collections.abc import Callable, Sequence
from typing import Any, Self

BEAT_SECONDS = 1.0


class Heart:
    def __init__(self, actors: Callable[[], Sequence[Any]]) -> None:
        """`actors` are asked for before every beat, from another thread."""
        self._actors = actors
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="gen-dist-heart", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            for actor in self._actors():
                actor.beat.remote()
