"""Which machines are there, looked at now and then in a thread: without its control store Ray's answer never comes."""

import threading
from contextlib import suppress
from typing import Self

from gen_dist.cluster.placement import Node
from gen_dist.cluster.session import list_nodes

LOOK_SECONDS = 2.0


class NodeWatch:
    """`nodes` are as in `list_nodes`; `looks` counts how often they were looked at."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.looks = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="gen-dist-nodes", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()  # the thread may hang: it is not waited for

    def _look(self) -> None:
        while not self._ended.is_set():
            with suppress(Exception):  # Ray is ending, or its control store is gone, which the heart notices
                self.nodes, self.looks = list_nodes(), self.looks + 1
            self._ended.wait(LOOK_SECONDS)
