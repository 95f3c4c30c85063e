"""Sends a pack to the nodes that have no copy of it, through Ray, which knows how to reach them.

All nodes get the same pieces at the same time, so that few of them are in memory however many nodes there are: a piece
is put into the object store once, and given up when all have written it. The slowest link sets the pace, which costs
nothing: training cannot begin before the last node has the data.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from gen_dist.cluster.failures import describe_death
from gen_dist.cluster.receiving import Abandonment, Announcement, Completion, Piece, Progress, Request, Standing
from gen_dist.data.pack_bytes import PackBytes
from gen_dist.errors import RunError, UserError

PIECE_BYTES = 8 << 20
MOST_PIECES = 3  # in flight; a worker answers with fewer threads than it has
PIECE_SECONDS = 120.0  # for a node to take a piece: half a megabit a second
CHECKED_BYTES_PER_SECOND = 5e6  # at the least, while a node reads again what it wrote
SECONDS_BETWEEN_REPORTS = 5.0
SECONDS_OF_SILENCE = 15.0
SECONDS_TO_STOP = 0.5
SECONDS_BETWEEN_QUESTIONS = 1.0
MOST_NAMES = 4  # of nodes in a line

Receivers = Mapping[str, tuple[str, Any]]  # node id -> (host, an actor there with the method `receive_pack`)


class ShippingFailed(RunError):
    """Some nodes did not get the pack. `copies`: node id to path, of those that did; `failures`: node id to reason."""

    def __init__(self, copies: Mapping[str, str], failures: Mapping[str, str]) -> None:
        super().__init__("; ".join(failures.values()))
        self.copies, self.failures = copies, failures


def missing(held: Mapping[str, str | None], content_hash: str) -> list[str]:
    """The nodes that need a copy. `held`: node id to the content hash of what is there; None: no pack at all."""
    return [node for node, found in held.items() if found != content_hash]


def ship(
    pack: Path,
    content_hash: str,
    receivers: Receivers,
    report: Callable[[str], None],
    check: Callable[[], None] = lambda: None,
) -> dict[str, str]:
    """Copy the pack at `pack`, of this content hash, to every receiver's cache; `report` gets lines for the user.

    `check` is called twice a second, and ends it by raising; so does what a signal handler raises. Needs a connection
    to Ray; any thread may call it. Returns node id -> path of the copy there.

    Raises:
        UserError: the pack cannot be read here, or a node has no room or no folder for it: before anything is sent.
        ShippingFailed: a node was lost, or its disk failed, on the way. The others have their copies then.
    """
    shipment = Shipment(pack, content_hash, receivers, report, check)
    with ThreadPoolExecutor(1, "shipping") as beside:  # Ray's calls swallow what a signal handler raises in them
        try:
            return beside.submit(shipment.run).result()
        finally:
            shipment.stopped.set()


class Shipment:
    def __init__(
        self,
        pack: Path,
        content_hash: str,
        receivers: Receivers,
        report: Callable[[str], None],
        check: Callable[[], None],
    ) -> None:
        self.stream, self.receivers, self.report, self.check = PackBytes(pack), receivers, report, check
        self.announcement = Announcement(content_hash, self.stream.layout)
        self.copies: dict[str, str] = {}
        self.failures: dict[str, str] = {}
        self.under_way: dict[str, int] = {}  # node id -> how many bytes it has
        self.stopped = threading.Event()
        self.waits: set[str] = set()  # where another run ships the same
        self.spoke = self.began = time.monotonic()

    def run(self) -> dict[str, str]:
        try:
            while pending := self.pending:
                self.announce(pending)
                if self.under_way:
                    self.send()
                    self.complete()
                elif self.pending:
                    self.stopped.wait(SECONDS_BETWEEN_QUESTIONS)
        finally:
            with suppress(Exception):  # what went wrong may be the cluster itself, and is what the user must hear of
                for node in self.receivers.keys() - self.copies.keys():
                    self.ask(node, Abandonment())
        if self.failures:
            raise ShippingFailed(self.copies, self.failures)
        return self.copies

    @property
    def pending(self) -> list[str]:
        return [node for node in self.receivers if node not in self.copies and node not in self.failures]

    @property
    def total(self) -> int:
        return self.stream.layout.total

    def announce(self, nodes: Collection[str]) -> None:
        """Find out what each node has, and whether all have room."""
        calls = {self.ask(node, self.announcement): node for node in nodes}
        answers = self.answers(calls, PIECE_SECONDS, "say what it has", refuse=True)
        self.under_way = {n: s.position for n, s in answers.items() if s.progress is Progress.WANTED}
        self.copies |= {n: str(s.folder) for n, s in answers.items() if s.progress is Progress.WHOLE}
        if full := [self.describe_full(n, s) for n, s in answers.items() if s.progress is Progress.FULL]:
            raise UserError(
                f"data: no room for a copy of '{self.stream.path}' on {'; on '.join(full)}; "
                "make room there, or set XDG_CACHE_HOME there to a folder on a larger disk before Ray is started"
            )
        waiting = {n for n, s in answers.items() if s.progress is Progress.ELSEWHERE}
        if not self.under_way and waiting - self.waits:  # else it may be that nodes share one cache folder
            self.say(f"another run is sending the same pack to {self.names(sorted(waiting))}; waiting for it")
            self.waits |= waiting
        if self.under_way:
            self.began = time.monotonic()
            there = min(self.under_way.values())
            rest = f"the last {megabytes(self.total - there)} of " if there else ""
            self.say(f"sending {rest}{megabytes(self.total)} MB to {self.names(self.under_way)}")

    def send(self) -> None:
        """Every byte that a node lacks, to all of them together."""
        window: deque[dict[ray.ObjectRef, str]] = deque()
        first = min(self.under_way.values()) // PIECE_BYTES * PIECE_BYTES
        for start in range(first, self.total, PIECE_BYTES):
            while len(window) >= MOST_PIECES:
                self.settle(window.popleft())
            stop = min(start + PIECE_BYTES, self.total)
            takers = [node for node, position in self.under_way.items() if position < stop]
            if takers:
                piece = ray.put(self.stream.read(start, stop))
                window.append({self.ask(node, Piece(start), piece): node for node in takers})
        while window:
            self.settle(window.popleft())

    def settle(self, calls: Mapping["ray.ObjectRef", str]) -> None:
        """Wait until the nodes have taken a piece."""
        for node, standing in self.answers(calls, PIECE_SECONDS, "take the next piece").items():
            self.under_way[node] = max(standing.position, self.under_way[node])
        if self.under_way and time.monotonic() - self.spoke > SECONDS_BETWEEN_REPORTS:
            least = min(self.under_way.values())
            self.say(f"sent {megabytes(least)} of {megabytes(self.total)} MB to {self.names(self.under_way)}")

    def complete(self) -> None:
        """Have every node check what it got."""
        calls = {self.ask(node, Completion()): node for node in self.under_way}
        seconds = PIECE_SECONDS + self.total / CHECKED_BYTES_PER_SECOND
        for node, standing in self.answers(calls, seconds, "check what it got").items():
            del self.under_way[node]
            if standing.progress is Progress.SPOILT:
                self.say(f"what {self.host(node)} had of it was damaged; sending all of it again")
                continue
            self.copies[node] = str(standing.folder)
            passed = time.monotonic() - self.began
            self.say(f"{self.host(node)} has it, checked, after {passed:.1f} s, in '{standing.folder}'")

    def ask(self, node: str, request: Request, data: "ray.ObjectRef | None" = None) -> "ray.ObjectRef":
        actor: Any = self.receivers[node][1]
        return actor.receive_pack.remote(request, data)

    def answers(
        self, calls: Mapping["ray.ObjectRef", str], seconds: float, what: str, refuse: bool = False
    ) -> dict[str, Standing]:
        """What the nodes say, of those that say anything; the others are failures, and get nothing more.

        Raises UserError where a node refuses, if `refuse`; else that is a failure too.
        """
        calls = {call: node for call, node in calls.items() if node not in self.failures}
        late = self.wait(calls, seconds, what)
        found: dict[str, Standing] = {}
        for call, node in calls.items():
            try:
                if call in late:
                    raise RunError(f"data on {self.host(node)}: it did not answer within {seconds:.0f} s")
                found[node] = ray.get(call)
            except (RayError, RunError) as error:
                cause = error.cause if isinstance(error, RayTaskError) else error
                if refuse and isinstance(cause, UserError):
                    raise UserError(str(cause)) from None
                ours = isinstance(cause, UserError | RunError)
                self.failures[node] = str(cause) if ours else f"data on {self.host(node)}: {describe_death(error)}"
                self.under_way.pop(node, None)
        return found

    def wait(self, calls: Mapping["ray.ObjectRef", str], seconds: float, what: str) -> list["ray.ObjectRef"]:
        """Wait for nodes to do `what`, and say so when it takes long; returns the calls that have not ended."""
        deadline, late = time.monotonic() + seconds, list(calls)
        while late and (left := deadline - time.monotonic()) > 0:
            _, late = ray.wait(late, num_returns=len(late), timeout=min(left, SECONDS_TO_STOP))
            self.check()
            if self.stopped.is_set():
                raise RunError("data: stopped while they were sent")
            if late and time.monotonic() - self.spoke > SECONDS_OF_SILENCE:
                self.say(f"waiting for {self.names([calls[call] for call in late])} to {what}")
        return late

    def say(self, line: str) -> None:
        self.spoke = time.monotonic()
        self.report(f"data: {line}")

    def host(self, node: str) -> str:
        return self.receivers[node][0]

    def names(self, nodes: Collection[str]) -> str:
        hosts = [self.host(node) for node in nodes]
        if len(hosts) > MOST_NAMES:
            return f"{', '.join(hosts[: MOST_NAMES - 1])} and {len(hosts) - MOST_NAMES + 1} more"
        return ", ".join(hosts)

    def describe_full(self, node: str, standing: Standing) -> str:
        return (
            f"{self.host(node)}: '{standing.folder.parent}' needs {megabytes(standing.needed)} MB, "
            f"{megabytes(standing.free)} MB are free"
        )


def megabytes(count: int) -> str:
    return f"{count / 1e6:.0f}" if count >= 1e7 else f"{count / 1e6:.1f}"
