"""Vectors of all ranks summed in tree order: each rank sums one chunk of all vectors, then gives it to the others.

Where every rank has one piece, that moves as many bytes as a ring all-reduce, in two rounds instead of 2 (W - 1). What
ranks of the same machine have for each other is not sent: a short note says where it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from gen_dist.engine.shared_memory import NOTE, SharedMemory
from gen_dist.engine.tree import Plan
from gen_dist.engine.waiting import Waiter
from gen_dist.kernels.tree import sum_rows

ALIGNMENT = 16  # elements: a cache line of float32
TAGS = 64  # of a transfer: one for each piece of a rank (fewer than 2 log2(M)), the last for the result
RESULT = TAGS - 1
SMALL = 1 << 14  # bytes: such a message hardly ever breaks off in the middle, so gloo itself may wait for it


def chunk_bounds(length: int, chunks: int) -> list[int]:
    """Where `chunks` aligned, nearly equal chunks of a vector begin, and its end."""
    blocks = -(-length // ALIGNMENT)
    return [min(length, ALIGNMENT * (blocks * i // chunks)) for i in range(chunks + 1)]


class Awaited(Protocol):
    def wait(self) -> Any: ...


@dataclass(frozen=True)
class Large:
    """A message that may break off in the middle."""

    work: dist.Work


def awaited(work: dist.Work, vector: Tensor) -> "Awaited | Large":
    return work if vector.numel() * vector.element_size() <= SMALL else Large(work)


class Exchange:
    """One rank's link to the others. All ranks start the same transfers, in any order. On CPU only. Making one is
    collective."""

    def __init__(self, group: dist.ProcessGroup) -> None:
        self.group, self.rank, self.world_size = group, group.rank(), group.size()
        self.peers = [(self.rank + i) % self.world_size for i in range(1, self.world_size)]  # not all to rank 0 first
        self.bytes_sent = 0  # or read by others
        self.waiter = Waiter()
        self.memory = SharedMemory()
        self.memory.meet(group)
        self.buffers: dict[tuple[int, torch.dtype], Tensor] = {}

    def buffer(self, number: int, rows: int, columns: int, dtype: torch.dtype) -> Tensor:
        """For what the transfer of this number receives: kept, as fresh memory costs more than receiving into it."""
        buffer = self.buffers.get((number, dtype))
        if buffer is None or len(buffer) < rows * columns:
            buffer = self.buffers[number, dtype] = torch.empty(rows * columns, dtype=dtype)
        return buffer[: rows * columns].view(rows, columns)

    def allocate(self, elements: int, like: Tensor) -> Tensor:
        """A vector of zeros for transfers that are `shared`."""
        return self.memory.create(elements, like.dtype) if self.memory.peers else like.new_zeros(elements)

    def send(self, vector: Tensor, peer: int, tag: int, shared: bool) -> list[Awaited | Large]:
        """`vector` must not change until the peer has it; if `shared`, it is part of one of `allocate`."""
        if not vector.numel():
            return []
        self.bytes_sent += vector.numel() * vector.element_size()
        sent = self.memory.note(vector) if shared and peer in self.memory.peers else vector
        return [awaited(self.group.send([sent], peer, tag), sent)]

    def receive(self, vector: Tensor, peer: int, tag: int, shared: bool) -> list[Awaited | Large]:
        if not vector.numel():
            return []
        if not (shared and peer in self.memory.peers):
            return [awaited(self.group.recv([vector], peer, tag), vector)]
        note = torch.empty(NOTE, dtype=torch.int64)
        return [Noted(self.memory, peer, note, self.group.recv([note], peer, tag), vector)]


@dataclass(frozen=True)
class Noted:
    """A part of a peer's memory, when its note has come."""

    memory: SharedMemory
    peer: int
    note: Tensor
    work: dist.Work
    into: Tensor

    def wait(self) -> None:
        self.work.wait()
        self.memory.read(self.peer, self.note, self.into)


class Transfer:
    """One vector's way: begin, `send` each piece when it is complete, `sum`, `finish`. Between them other work or other
    transfers may be done; what the others send arrives meanwhile.

    Everything here raises RuntimeError where a peer is gone.

    Args:
        exchange: the link.
        length, dtype: of the vector.
        plan: how all ranks' pieces become one.
        number: tells this transfer from others under way; the same on every rank.
        check: raises where it is no longer worth waiting.
        shared: the pieces are parts of vectors that `exchange` allocated; on every rank or none.
    """

    def __init__(
        self, exchange: Exchange, length: int, dtype: torch.dtype, plan: Plan, number: int, check: Callable[[], None],
        shared: bool = False,
    ) -> None:  # fmt: skip
        self.exchange, self.plan, self.tag, self.shared = exchange, plan, number * TAGS, shared
        self.check = check
        self.bounds = chunk_bounds(length, exchange.world_size)
        own = self.chunk(exchange.rank)
        self.rows = exchange.buffer(number, sum(plan.counts), own.stop - own.start, dtype)
        self.pieces: list[Tensor] = []
        self.sent: list[Awaited | Large] = []
        self.received: list[Awaited | Large] = []
        for left in range(max(plan.counts), 0, -1):  # in the order in which they come, all last ones at the end
            for peer in exchange.peers:
                if (i := plan.counts[peer] - left) >= 0:
                    self.received += exchange.receive(self.rows[plan.first(peer) + i], peer, self.tag + i, shared)

    def send(self, piece: Tensor) -> None:
        """This rank's next piece, contiguous. The first is overwritten with the sum of all; they must not change
        otherwise before all ranks have finished."""
        tag = self.tag + len(self.pieces)
        self.pieces.append(piece)
        for peer in self.exchange.peers:
            self.sent += self.exchange.send(piece[self.chunk(peer)], peer, tag, self.shared)

    def chunk(self, rank: int) -> slice:
        return slice(self.bounds[rank], self.bounds[rank + 1])

    def sum(self) -> None:
        """Wait for the others' pieces, sum the own chunk and begin to send it."""
        exchange, rank = self.exchange, self.exchange.rank
        own = self.chunk(rank)
        for i, piece in enumerate(self.pieces):
            self.rows[self.plan.first(rank) + i] = piece[own]
        self.wait(self.received)
        sum_rows(self.rows.numpy(), np.array(self.plan.sums, np.int64).reshape(-1, 2))
        result = self.pieces[0]
        result[own] = self.rows[0]
        # Into pieces whose sending is perhaps not yet reported; but a peer sends its sum when it has them all.
        self.received = []
        for peer in exchange.peers:
            self.received += exchange.receive(result[self.chunk(peer)], peer, self.tag + RESULT, self.shared)
            self.sent += exchange.send(result[own], peer, self.tag + RESULT, self.shared)

    def finish(self) -> None:
        """Wait for the others' chunks."""
        self.wait([*self.received, *self.sent])

    def wait(self, messages: Sequence[Awaited | Large]) -> None:
        self.exchange.waiter.wait([one.work for one in messages if isinstance(one, Large)], self.check)
        for one in messages:
            if not isinstance(one, Large):
                one.wait()
