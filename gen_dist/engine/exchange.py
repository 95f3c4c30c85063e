"""Vectors of all ranks summed in tree order: each rank sums one chunk of all vectors, then gives it to the others.

Where every rank has one piece, that moves as many bytes as a ring all-reduce, in two rounds instead of 2 (W - 1).
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from gen_dist.engine.tree import Plan
from gen_dist.kernels.tree import sum_rows

ALIGNMENT = 16  # elements: a cache line of float32
TAGS = 64  # of a transfer: one for each piece of a rank (fewer than 2 log2(M)), the last for the result
RESULT = TAGS - 1


def chunk_bounds(length: int, chunks: int) -> list[int]:
    """Where `chunks` aligned, nearly equal chunks of a vector begin, and its end."""
    blocks = -(-length // ALIGNMENT)
    return [min(length, ALIGNMENT * (blocks * i // chunks)) for i in range(chunks + 1)]


class Exchange:
    """One rank's link to the others. All ranks start the same transfers, in any order. On CPU only."""

    def __init__(self, group: dist.ProcessGroup) -> None:
        self.group, self.rank, self.world_size = group, group.rank(), group.size()
        self.peers = [(self.rank + i) % self.world_size for i in range(1, self.world_size)]  # not all to rank 0 first
        self.bytes_sent = 0
        self.buffers: dict[tuple[int, torch.dtype], Tensor] = {}

    def buffer(self, number: int, rows: int, columns: int, dtype: torch.dtype) -> Tensor:
        """For what the transfer of this number receives: kept, as fresh memory costs more than receiving into it."""
        buffer = self.buffers.get((number, dtype))
        if buffer is None or len(buffer) < rows * columns:
            buffer = self.buffers[number, dtype] = torch.empty(rows * columns, dtype=dtype)
        return buffer[: rows * columns].view(rows, columns)

    def send(self, vector: Tensor, peer: int, tag: int) -> list[dist.Work]:
        if not vector.numel():
            return []
        self.bytes_sent += vector.numel() * vector.element_size()
        return [self.group.send([vector], peer, tag)]

    def receive(self, vector: Tensor, peer: int, tag: int) -> list[dist.Work]:
        return [self.group.recv([vector], peer, tag)] if vector.numel() else []


class Transfer:
    """One vector's way: begin (at once), `sum`, `finish`. Between them other work or other transfers may be done.

    Args:
        exchange: the link; raises RuntimeError from `sum` and `finish` where a peer is gone.
        pieces: this rank's pieces, contiguous vectors of one length. The first is overwritten with the sum of all.
        plan: how all ranks' pieces become one.
        number: tells this transfer from others under way; the same on every rank.
    """

    def __init__(self, exchange: Exchange, pieces: Sequence[Tensor], plan: Plan, number: int) -> None:
        self.exchange, self.pieces, self.plan, self.tag = exchange, pieces, plan, number * TAGS
        self.bounds = chunk_bounds(len(pieces[0]), exchange.world_size)
        rank = exchange.rank
        own = self.chunk(rank)
        self.rows = exchange.buffer(number, sum(plan.counts), own.stop - own.start, pieces[0].dtype)
        self.received: list[dist.Work] = []
        self.sent: list[dist.Work] = []
        for peer in exchange.peers:
            for i in range(plan.counts[peer]):
                self.received += exchange.receive(self.rows[plan.first(peer) + i], peer, self.tag + i)
            for i, piece in enumerate(pieces):
                self.sent += exchange.send(piece[self.chunk(peer)], peer, self.tag + i)

    def chunk(self, rank: int) -> slice:
        return slice(self.bounds[rank], self.bounds[rank + 1])

    def sum(self) -> None:
        """Wait for the others' pieces, sum the own chunk and begin to send it."""
        exchange, rank = self.exchange, self.exchange.rank
        own = self.chunk(rank)
        for i, piece in enumerate(self.pieces):
            self.rows[self.plan.first(rank) + i] = piece[own]
        wait(self.received)
        sum_rows(self.rows.numpy(), np.array(self.plan.sums, np.int64).reshape(-1, 2))
        result = self.pieces[0]
        result[own] = self.rows[0]
        # Into pieces whose sending is perhaps not yet reported; but a peer sends its sum when it has them all.
        self.received = []
        for peer in exchange.peers:
            self.received += exchange.receive(result[self.chunk(peer)], peer, self.tag + RESULT)
            self.sent += exchange.send(self.rows[0], peer, self.tag + RESULT)

    def finish(self) -> None:
        """Wait for the others' chunks."""
        wait(self.received)
        wait(self.sent)


def wait(works: Sequence[dist.Work]) -> None:
    for work in works:
        work.wait()
