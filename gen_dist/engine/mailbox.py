"""Short messages between processes of one machine, through memory: a microsecond where a socket takes hundreds.

Every rank has a board, a memory file with a part for each peer, which only that peer looks at, and in it a row for each
tag. Who waits looks again and again, first without a pause, then after pauses that grow with the time it has waited.
"""

import ctypes
import time
import weakref
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import torch.distributed as dist

from gen_dist.engine.gathering import gather
from gen_dist.engine.memory_files import close_all, create_memory, open_memory
from gen_dist.kernels import mailbox

INLINE = 8 * (mailbox.WIDTH - 1)  # bytes that a message holds
TAGS = 1 << 18  # of a peer; memory is taken for those that are used only
LEFT = TAGS - 1  # of the last message: none will follow
PART = 8 * mailbox.WIDTH * TAGS  # bytes
LOOKS = 20_000  # without a pause: some microseconds
EAGER_SECONDS = 1e-3  # for which only those who have the same CPU are let through
PAUSE, LONGEST_PAUSE = 1 / 16, 2e-3  # of the time waited so far; seconds
ASK_SECONDS = 0.05  # how often it is asked whether the peer is still there


class Mailbox:
    """For the peers of a rank of `group` with which it shares memory: process numbers by rank, less those with whom it
    turned out not to. Making one is collective for the group.

    `limit_seconds`: the longest wait for a message.
    """

    def __init__(self, group: dist.ProcessGroup, peers: Mapping[int, int], limit_seconds: float) -> None:
        self.limit_seconds = limit_seconds
        self._posted: Counter[tuple[int, int]] = Counter()
        self._expected: Counter[tuple[int, int]] = Counter()
        self.descriptors: list[int] = []
        weakref.finalize(self, close_all, self.descriptors)
        rank, places = group.rank(), {peer: place for place, peer in enumerate(sorted(peers))}
        board = self.make_board(len(peers)) if peers else -1
        boards = gather([board, *(places.get(peer, -1) for peer in range(group.size()))], group)
        self.peers = {peer: process for peer, process in peers.items() if board >= 0 and boards[peer][0] >= 0}
        self._parts = {peer: self._own[places[peer]] for peer in self.peers}
        self._theirs = {
            peer: open_memory(f"/proc/{process}/fd/{boards[peer][0]}", PART, boards[peer][1 + rank] * PART)
            .view(np.int64)
            .reshape(TAGS, mailbox.WIDTH)
            for peer, process in self.peers.items()
        }
        self._born = {peer: birth_of(process) for peer, process in self.peers.items()}

    def make_board(self, peers: int) -> int:
        """Its descriptor; -1 where that is not allowed."""
        try:
            board, memory = create_memory(PART * peers, self.descriptors)
        except OSError:
            return -1
        self._own = np.frombuffer(memory, np.int64).reshape(peers, TAGS, mailbox.WIDTH)
        return board

    def post(self, peer: int, tag: int, numbers: np.ndarray) -> None:
        """`numbers`: int64, at most 7. The last message of this tag must have been read."""
        self._posted[peer, tag] += 1
        mailbox.post(self._parts[peer][tag], numbers, self._posted[peer, tag])

    def leave(self) -> None:
        """No message will follow: who waits for one need not."""
        for peer in self.peers:
            self.post(peer, LEFT, np.empty(0, np.int64))

    def expect(self, peer: int, tag: int) -> int:
        """The serial number of the next message of this tag."""
        self._expected[peer, tag] += 1
        return self._expected[peer, tag]

    def wait(self, peer: int, tag: int, serial: int, check: Callable[[], None]) -> np.ndarray:
        """The numbers of the message that was expected, int64 (7); changed by the next one.

        Raises:
            DistError: the peer is gone, or has left, or does not send it in time; or what `check` raises, which is
                called again and again.
        """
        row = self._theirs[peer][tag]
        began = asked = time.perf_counter()
        while not mailbox.has_come(row, serial, LOOKS):
            check()
            now = time.perf_counter()
            if now - began < EAGER_SECONDS:
                let_others_through()
                continue
            if now - asked > ASK_SECONDS:
                asked = now
                fault = self.fault_of(peer, now - began)
                if fault and not mailbox.has_come(row, serial, 1):
                    raise dist.DistError(f"rank {peer}, process {self.peers[peer]} of this machine, {fault}")
            time.sleep(min(PAUSE * (now - began), LONGEST_PAUSE))
        return row[1:]

    def fault_of(self, peer: int, waited: float) -> str:
        """Why it is not worth waiting for it."""
        if birth_of(self.peers[peer]) != self._born[peer]:
            return "is gone"
        if mailbox.has_come(self._theirs[peer][LEFT], 1, 1):
            return "has left the group"
        return f"says nothing for {waited:.0f} s" if waited > self.limit_seconds else ""


def birth_of(process: int) -> bytes:
    """When it was started, which tells it from a later one of the same number; empty where it runs no more, though its
    parent has not yet asked for its exit code."""
    with suppress(OSError):
        state, *numbers = Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()
        return numbers[18] if state not in (b"Z", b"X") else b""
    return b""


@cache
def libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def let_others_through() -> None:
    """Who wants this CPU; without Python's lock, which os.sched_yield keeps."""
    libc().sched_yield()
