"""Vectors of all ranks summed in tree order: each rank sums one chunk of all vectors, then gives it to the others.

Where every rank has one piece, that moves as many bytes as a ring all-reduce, in two rounds instead of 2 (W - 1). What
ranks of the same machine have for each other is not sent: a message in memory says where it is, or holds it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from gen_dist.engine.mailbox import INLINE, Mailbox
from gen_dist.engine.shared_memory import SharedMemory
from gen_dist.engine.tree import Plan
from gen_dist.engine.waiting import Waiter
from gen_dist.kernels.tree import sum_vectors

ALIGNMENT = 16  # elements: a cache line of float32
TAGS = 64  # of a transfer: one for each piece of a rank (fewer than 2 log2(M)), the last for the result
RESULT = TAGS - 1
SMALL = 1 << 14  # bytes: such a message hardly ever breaks off in the middle, so gloo itself may wait for it


def chunk_bounds(length: int, chunks: int) -> list[int]:
    """Where `chunks` aligned, nearly equal chunks of a vector begin, and its end."""
    blocks = -(-length // ALIGNMENT)
    return [min(length, ALIGNMENT * (blocks * i // chunks)) for i in range(chunks + 1)]


Check = Callable[[], None]  # raises where it is no longer worth waiting


class Awaited(Protocol):
    def wait(self) -> Any: ...


@dataclass(frozen=True)
class Large:
    """A message that may break off in the middle."""

    work: dist.Work


def awaited(work: dist.Work, vector: Tensor) -> "Awaited | Large":
    return work if size_of(vector) <= SMALL else Large(work)


def size_of(vector: Tensor) -> int:
    """In bytes."""
    return vector.numel() * vector.element_size()


@dataclass
class Posted:
    """What a peer has in its memory for `into`, once its message has come: to be read there, or copied."""

    mailbox: Mailbox
    memory: SharedMemory
    peer: int
    tag: int
    serial: int
    check: Check
    into: Tensor
    seen: np.ndarray = field(default_factory=lambda: np.empty(0))

    def wait(self) -> None:
        message = self.mailbox.wait(self.peer, self.tag, self.serial, self.check)
        size = size_of(self.into)
        seen = message.view(np.uint8)[:size] if size <= INLINE else self.memory.look(self.peer, message, size)
        self.seen = seen.view(self.into.numpy().dtype)


class Exchange:
    """One rank's link to the others. All ranks start the same transfers, in any order. On CPU only. Making one is
    collective.

    `limit_seconds`: the longest wait for a message of a peer with which memory is shared; others have the group's.
    """

    def __init__(self, group: dist.ProcessGroup, limit_seconds: float) -> None:
        self.group, self.rank, self.world_size = group, group.rank(), group.size()
        self.peers = [(self.rank + i) % self.world_size for i in range(1, self.world_size)]  # not all to rank 0 first
        self.bytes_sent = 0  # or read by others
        self.waiter = Waiter()
        self.memory, self.copies = SharedMemory(), SharedMemory()
        self.memory.meet(group)
        self.mailbox = Mailbox(group, self.memory.peers, limit_seconds)
        self.memory.peers = self.copies.peers = self.mailbox.peers
        self.buffers: dict[tuple[int, torch.dtype], Tensor] = {}
        self.copied: dict[tuple[int, torch.dtype], tuple[Tensor | None, Tensor | None]] = {}

    def buffer(self, number: int, rows: int, columns: int, dtype: torch.dtype) -> Tensor:
        """For what the transfer of this number receives: kept, as fresh memory costs more than receiving into it."""
        buffer = self.buffers.get((number, dtype))
        if buffer is None or len(buffer) < rows * columns:
            buffer = self.buffers[number, dtype] = torch.empty(rows * columns, dtype=dtype)
        return buffer[: rows * columns].view(rows, columns)

    def allocate(self, elements: int, like: Tensor) -> Tensor:
        """A vector of zeros for transfers that are `shared`, until `reset`."""
        return self.memory.create(elements, like.dtype) if self.memory.peers else like.new_zeros(elements)

    def copy(self, vector: Tensor, tag: int) -> Tensor:
        """What peers can read, until the next but one of this tag takes its place: who sends that knows that all have
        got the one before."""
        copy, next_one = self.copied.get((tag, vector.dtype), (None, None))
        if copy is None or len(copy) < len(vector):
            copy = self.copies.create(len(vector), vector.dtype) if self.copies.peers else torch.empty_like(vector)
        self.copied[tag, vector.dtype] = next_one, copy
        return copy[: len(vector)].copy_(vector)

    def send(self, vector: Tensor, peer: int, tag: int, shared: bool) -> list[Awaited | Large]:
        """`vector` must not change until the peer has it; it is a part of one of `allocate` if `shared`, else of a
        `copy`."""
        if not vector.numel():
            return []
        self.bytes_sent += size_of(vector)
        if peer not in self.memory.peers:
            return [awaited(self.group.send([vector], peer, tag), vector)]
        memory = self.memory if shared else self.copies
        self.mailbox.post(peer, tag, in_line(vector) if size_of(vector) <= INLINE else memory.note(vector))
        return []

    def receive(self, vector: Tensor, peer: int, tag: int, shared: bool, check: Check) -> list[Awaited | Large]:
        """What has come is in `vector`, but for that of a peer with which memory is shared."""
        if not vector.numel():
            return []
        if peer not in self.memory.peers:
            return [awaited(self.group.recv([vector], peer, tag), vector)]
        memory = self.memory if shared else self.copies
        return [Posted(self.mailbox, memory, peer, tag, self.mailbox.expect(peer, tag), check, vector)]

    def reset(self) -> None:
        """What `allocate` gave is not used any more."""
        self.memory.forget()


def in_line(vector: Tensor) -> np.ndarray:
    """A vector's bytes as a message's numbers."""
    numbers = np.zeros(INLINE // 8, np.int64)
    numbers.view(np.uint8)[: size_of(vector)] = vector.numpy().view(np.uint8)
    return numbers


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
        shared: the pieces are parts of vectors that `exchange` allocated; on every rank or none. Otherwise they are
            copied.
    """

    def __init__(
        self, exchange: Exchange, length: int, dtype: torch.dtype, plan: Plan, number: int, check: Check,
        shared: bool = False,
    ) -> None:  # fmt: skip
        self.exchange, self.plan, self.tag, self.shared = exchange, plan, number * TAGS, shared
        self.check = check
        self.bounds = chunk_bounds(length, exchange.world_size)
        self.own = self.chunk(exchange.rank)
        self.pieces: list[Tensor] = []
        self.sent: list[Awaited | Large] = []
        self.received: list[Awaited | Large] = []
        columns = self.own.stop - self.own.start
        buffer = exchange.buffer(number, sum(plan.counts), columns, dtype)
        self.parts: list[Tensor | Posted] = list(buffer)  # of all ranks' pieces: the own chunk
        for left in range(max(plan.counts), 0, -1):  # in the order in which they come, all last ones at the end
            for peer in exchange.peers:
                if (i := plan.counts[peer] - left) >= 0:
                    part = plan.first(peer) + i
                    for message in exchange.receive(buffer[part], peer, self.tag + i, shared, check):
                        self.received.append(message)
                        self.parts[part] = message if isinstance(message, Posted) else buffer[part]

    def send(self, piece: Tensor) -> None:
        """This rank's next piece, contiguous. If they are `shared`, the first is overwritten with the sum of all, and
        they must not change otherwise before all ranks have finished."""
        tag = self.tag + len(self.pieces)
        piece = piece if self.shared else self.exchange.copy(piece, tag)
        self.pieces.append(piece)
        for peer in self.exchange.peers:
            self.sent += self.exchange.send(piece[self.chunk(peer)], peer, tag, self.shared)

    def chunk(self, rank: int) -> slice:
        return slice(self.bounds[rank], self.bounds[rank + 1])

    def sum(self) -> None:
        """Wait for the others' pieces, sum the own chunk and begin to send it."""
        exchange, first = self.exchange, self.plan.first(self.exchange.rank)
        for i, piece in enumerate(self.pieces):
            self.parts[first + i] = piece[self.own]
        self.wait(self.received)
        result = self.pieces[0]
        vectors = [part.seen if isinstance(part, Posted) else part.numpy() for part in self.parts]
        sum_vectors(result[self.own].numpy(), vectors, np.array(self.plan.sums, np.int64).reshape(-1, 2))
        # Into pieces whose sending is perhaps not yet reported; but a peer sends its sum when it has them all.
        self.received, tag = [], self.tag + RESULT
        for peer in exchange.peers:
            theirs = result[self.chunk(peer)]
            self.received += exchange.receive(theirs, peer, tag, self.shared, self.check)
            self.sent += exchange.send(result[self.own], peer, tag, self.shared)

    def finish(self) -> Tensor:
        """Wait for the others' chunks; returns the sum: a vector that is used again, as the pieces are."""
        self.wait([*self.received, *self.sent])
        for one in self.received:
            if isinstance(one, Posted):
                one.into.numpy()[:] = one.seen
        return self.pieces[0]

    def wait(self, messages: Sequence[Awaited | Large]) -> None:
        self.exchange.waiter.wait([one.work for one in messages if isinstance(one, Large)], self.check)
        for one in messages:
            if not isinstance(one, Large):
                one.wait()
