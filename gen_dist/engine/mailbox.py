"""Short messages between processes of one machine, through memory: a microsecond where a socket takes hundreds.

Every rank has a board, a memory file with a part for each peer, which only that peer looks at, and in it a row for each
tag. Who waits looks again and again, first without a pause, then after pauses that grow with the time it has waited.
"""

import os
import time
import weakref
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch.distributed as dist

from gen_dist.engine.gathering import gather
from gen_dist.engine.memory_files import close_all, create_memory, open_memory
from gen_dist.kernels import mailbox

INLINE = 8 * (mailbox.WIDTH - 1)  # bytes that a message holds
TAGS = 1 << 18  # of a peer; memory is taken for those that are used only
PART = 8 * mailbox.WIDTH * TAGS  # bytes
LOOKS = 20_000  # without a pause: some microseconds
EAGER_SECONDS = 1e-3  # for which only those who have the same CPU are let through
PAUSE, LONGEST_PAUSE = 1 / 16, 2e-3  # of the time waited so far; seconds
ALIVE_SECONDS = 0.05  # how often it is asked whether the peer is still there


class Mailbox:
    """Of the rank of `group`, for the peers with which it shares memory: process numbers by rank. Making one is
    collective for the group."""

    def __init__(self, group: dist.ProcessGroup, peers: Mapping[int, int]) -> None:
        self.peers = peers
        self._posted: Counter[tuple[int, int]] = Counter()
        self._expected: Counter[tuple[int, int]] = Counter()
        self.descriptors: list[int] = []
        weakref.finalize(self, close_all, self.descriptors)
        board = -1
        if peers:
            board, memory = create_memory(PART * group.size(), self.descriptors)
            self._own = np.frombuffer(memory, np.int64).reshape(group.size(), TAGS, mailbox.WIDTH)
        boards = [board for [board] in gather([board], group)]
        rank = group.rank()
        self._theirs = {
            peer: open_memory(f"/proc/{process}/fd/{boards[peer]}", PART, rank * PART)
            .view(np.int64)
            .reshape(TAGS, mailbox.WIDTH)
            for peer, process in peers.items()
        }

    def post(self, peer: int, tag: int, numbers: np.ndarray) -> None:
        """`numbers`: int64, at most 7. The last message of this tag must have been read."""
        self._posted[peer, tag] += 1
        mailbox.post(self._own[peer, tag], numbers, self._posted[peer, tag])

    def expect(self, peer: int, tag: int) -> int:
        """The serial number of the next message of this tag."""
        self._expected[peer, tag] += 1
        return self._expected[peer, tag]

    def wait(self, peer: int, tag: int, serial: int, check: Callable[[], None]) -> np.ndarray:
        """The numbers of the message that was expected, int64 (7); changed by the next one.

        Raises:
            DistError: the peer is gone; or what `check` raises, which is called again and again.
        """
        row = self._theirs[peer][tag]
        began = asked = time.perf_counter()
        while not mailbox.has_come(row, serial, LOOKS):
            check()
            now = time.perf_counter()
            if now - began < EAGER_SECONDS:
                os.sched_yield()
                continue
            if now - asked > ALIVE_SECONDS:
                asked = now
                if not is_alive(self.peers[peer]) and not mailbox.has_come(row, serial, 1):
                    raise dist.DistError(f"rank {peer}, process {self.peers[peer]} of this machine, is gone")
            time.sleep(min(PAUSE * (now - began), LONGEST_PAUSE))
        return row[1:]


def is_alive(process: int) -> bool:
    """Whether it runs, or is stopped: one that has ended may be listed until its parent asks for it."""
    with suppress(OSError):
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        return state not in ("Z", "X")
    return False
