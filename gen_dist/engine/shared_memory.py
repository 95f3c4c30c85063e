"""Vectors that other processes of the same machine read where they are, in place of getting them through a socket.

They lie in memory files. Where there are none, and between containers, nobody has anybody to share with.
"""

import math
import os
import secrets
import time
import weakref
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from gen_dist.engine.gathering import gather
from gen_dist.engine.memory_files import close_all, create_memory, open_memory

# Who has the same ones has the same processes, and would reach this one through the loopback interface.
MACHINE = ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/net", "/proc/self/ns/pid")
NOTE = 4  # numbers
MEASURED = 1 << 23  # of a vector whose reading is timed: more than caches hold


class Segment(NamedTuple):
    """A memory file and the vector that fills it."""

    serial: int
    descriptor: int
    vector: Tensor

    @property
    def bytes(self) -> int:
        return self.vector.numel() * self.vector.element_size()


@dataclass(frozen=True)
class Card:
    """What a rank shows to the others: its machine and process, and a memory file that begins with a secret number."""

    machine: int = 0
    process: int = 0
    descriptor: int = 0
    number: int = 0

    @property
    def path(self) -> str:
        return f"/proc/{self.process}/fd/{self.descriptor}"


class SharedMemory:
    """Of one process; `peers` read its vectors, and it reads theirs: process numbers by rank."""

    def __init__(self) -> None:
        self.peers: dict[int, int] = {}
        self._serials = count()
        self._own: list[Segment] = []
        self._descriptors: list[int] = []  # theirs
        weakref.finalize(self, close_all, self._descriptors)
        self._opened: dict[tuple[int, int], np.ndarray] = {}  # by process and serial number

    def meet(self, group: dist.ProcessGroup) -> None:
        """Find the peers. Collective."""
        rank, own = group.rank(), self.card()
        try:
            cards = [Card(*numbers) for numbers in gather(astuple(own), group)]
            found = [own.machine > 0 and other.machine == own.machine and is_true(other) for other in cards]
            mutual = [all(pair) for pair in zip(found, (row[rank] for row in gather(found, group)), strict=True)]
        finally:
            self.forget()
        self.peers = {peer: cards[peer].process for peer, is_one in enumerate(mutual) if is_one and peer != rank}

    def card(self) -> Card:
        """To be looked at until `forget`."""
        if not (machine := machine_number()):
            return Card()
        try:
            vector = self.create(1, torch.int64)
        except OSError:  # not allowed here
            return Card()
        vector[0] = number = secrets.randbits(62)
        return Card(machine, os.getpid(), self._own[-1].descriptor, number)

    def create(self, elements: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """A vector of zeros that the peers can read, until `forget`."""
        descriptor, memory = create_memory(elements * dtype.itemsize, self._descriptors)
        vector = torch.frombuffer(memory, dtype=dtype)
        self._own.append(Segment(next(self._serials), descriptor, vector))
        return vector

    def note(self, part: Tensor) -> np.ndarray:
        """What a peer needs to `look` at this part of a vector of ours: int64 (NOTE)."""
        for segment in self._own:
            offset = part.data_ptr() - segment.vector.data_ptr()
            if 0 <= offset < segment.bytes:
                return np.array([segment.serial, segment.descriptor, segment.bytes, offset])
        raise ValueError("not in a vector of `create`, or forgotten")

    def look(self, peer: int, note: Sequence[int] | np.ndarray, size: int) -> np.ndarray:
        """The part that `peer` has noted, uint8 (size), where it is.

        Raises:
            DistError: the peer is gone.
        """
        serial, descriptor, whole, offset = map(int, note[:NOTE])
        process = self.peers[peer]
        if (process, serial) not in self._opened:
            self._opened[process, serial] = open_memory(f"/proc/{process}/fd/{descriptor}", whole)
        return self._opened[process, serial][offset : offset + size]

    def forget(self) -> None:
        """Give back what was created and opened. Vectors that are still held stay readable here."""
        close_all(self._descriptors)
        self._own.clear()
        self._opened.clear()


def reading_rate(seconds: float) -> float:
    """Bytes a second that a process reads from another's vectors; 0 where it cannot."""
    memory = SharedMemory()
    if not memory.card().machine:
        return 0.0
    memory.peers = {0: os.getpid()}
    vector, into = memory.create(MEASURED).fill_(1.0), torch.zeros(MEASURED)
    note, best, end = memory.note(vector), math.inf, time.perf_counter() + seconds
    while time.perf_counter() < end or best == math.inf:
        began = time.perf_counter()
        into.numpy()[:] = memory.look(0, note, into.nbytes).view(np.float32)
        best = min(best, time.perf_counter() - began)
    memory.forget()
    return into.numel() * into.element_size() / best


def is_true(card: Card) -> bool:
    """Whether there is such a process, and its memory can be read."""
    try:
        return bool(open_memory(card.path, 8).view(np.int64)[0] == card.number)
    except dist.DistError:
        return False


def machine_number() -> int:
    """Equal on processes that can read each other's memory; 0 where none can."""
    if not hasattr(os, "memfd_create"):
        return 0
    try:
        known = Path(MACHINE[0]).read_text().split() + [os.readlink(path) for path in MACHINE[1:]]
    except OSError:
        return 0
    return int.from_bytes(sha256(" ".join(known).encode()).digest()[:7]) + 1
