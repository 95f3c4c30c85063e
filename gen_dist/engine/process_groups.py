"""A process group that can be broken off from another thread, at once, and followed by another one.

gloo's own `abort` does nothing, and a collective whose peer is gone may wait for the whole time limit. What works is to
shut down the connections below it: every collective that waits then raises. Which of the process's sockets are
gloo's is known from the ports on which the ranks listen for each other. The listening sockets stay: without
them gloo would end the process.
"""

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist

MEET_SECONDS = 20.0  # for all ranks of a group to connect: they come at the same moment
Address = tuple[str, int]


class GroupBroken(RuntimeError):
    """The group was broken off, by this process or because a peer is gone."""


@dataclass(frozen=True)
class Meeting:
    """Where the ranks of a group meet: the store at `address` and `port`, under a `name` that is never used again."""

    address: str
    port: int
    name: str
    own_address: str  # of the interface that this rank's peers reach
    rank: int
    world_size: int
    timeout_seconds: float  # of a collective


class Connections:
    """Those of one group: known as far as it has got, so that it can be broken off at any moment."""

    def __init__(self, store: Address) -> None:
        self.store = store
        self.own: set[int] = set()  # ports where this process listens for peers
        self.peers: set[Address] = set()  # where they do
        self.broken = False
        self.abort: Callable[[], None] | None = None  # NCCL's, whose connections are not all sockets

    def check(self) -> None:
        """Raises GroupBroken after `break_off`."""
        if self.broken:
            raise GroupBroken("the group was broken off")

    def break_off(self) -> None:
        """What waits for the group's connections or its store raises, now and from now on; what waits for a neighbour's
        memory, when it next looks at `broken` (`engine/mailbox.py`). From any thread."""
        self.broken = True
        if self.abort is not None:
            self.abort()
        for connection in open_sockets():
            with suppress(OSError):  # not connected, or gone meanwhile
                here, there = plain(connection.getsockname()), plain(connection.getpeername())
                if here[1] in self.own or there in self.peers or there == self.store:
                    connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def process_group(meeting: Meeting | None, connections: Connections, device: str) -> Iterator[dist.ProcessGroup | None]:
    """torch.distributed's default group, of gloo, or NCCL where `device` is cuda; None for one that is alone.

    Raises:
        RuntimeError: a peer did not come, or the group was broken off; also from inside.
    """
    connections.check()
    if meeting is None:
        yield None
        return
    before = listening_ports()
    client = dist.TCPStore(meeting.address, meeting.port, is_master=False, timeout=timedelta(seconds=MEET_SECONDS))
    store = dist.PrefixStore(meeting.name, client)
    await_all(store, meeting)
    connections.check()
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo", store=store, rank=meeting.rank,
        world_size=meeting.world_size, timeout=timedelta(seconds=MEET_SECONDS),
    )  # fmt: skip
    try:
        connections.own |= listening_ports() - before
        connections.peers |= exchange_ports(store, meeting, connections.own)
        connections.check()
        group = dist.group.WORLD
        assert group is not None
        group._get_backend(torch.device("cpu"))._set_default_timeout(timedelta(seconds=meeting.timeout_seconds))
        if device == "cuda":
            connections.abort = group._get_backend(torch.device("cuda")).abort
        yield group
    finally:
        with suppress(RuntimeError):
            dist.destroy_process_group()


def await_all(store: dist.Store, meeting: Meeting) -> None:
    """Until all ranks are there: gloo waits long, and cannot be broken off, for one that was there and is gone."""
    store.set(f"here-{meeting.rank}", "")
    store.wait([f"here-{rank}" for rank in range(meeting.world_size)])


def exchange_ports(store: dist.Store, meeting: Meeting, own: set[int]) -> set[Address]:
    """Tell the others on which address and ports this rank listens; returns what they tell."""
    store.set(f"listens-{meeting.rank}", json.dumps([meeting.own_address, sorted(own)]))
    told = [json.loads(store.get(f"listens-{rank}")) for rank in range(meeting.world_size) if rank != meeting.rank]
    return {(address, port) for address, ports in told for port in ports}


def plain(address: tuple) -> Address:
    """Host and port; torch's store speaks IPv4 through IPv6 sockets."""
    return address[0].removeprefix("::ffff:"), address[1]


def open_sockets() -> Iterator[socket.socket]:
    """Every IP socket of this process, as a duplicate that is closed when the next one is asked for."""
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            copy = os.dup(int(name))
            try:
                connection = socket.socket(fileno=copy)
            except OSError:  # a file
                os.close(copy)
                continue
            with connection:
                if connection.family in (socket.AF_INET, socket.AF_INET6):
                    yield connection


def listening_ports() -> set[int]:
    found = set()
    for connection in open_sockets():
        with suppress(OSError):
            if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                found.add(connection.getsockname()[1])
    return found
