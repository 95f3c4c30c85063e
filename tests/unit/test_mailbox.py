"""Messages through memory: here to this process itself, as its own peer."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch.distributed as dist

from gen_dist.engine.mailbox import TAGS, Mailbox, is_alive
from gen_dist.kernels import mailbox as rows

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory files are Linux's")
PEER = 0


def nothing() -> None:
    pass


@pytest.fixture(scope="module")
def group():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield dist.group.WORLD
    dist.destroy_process_group()


@pytest.fixture
def mailbox(group):
    return Mailbox(group, {PEER: os.getpid()})


def message(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def test_messages_come_as_they_were_sent_each_tag_by_itself(mailbox):
    for round_ in range(3):
        for tag in (0, 1, TAGS - 1):
            mailbox.post(PEER, tag, message(tag, round_, -1))
        for tag in (TAGS - 1, 0, 1):
            serial = mailbox.expect(PEER, tag)
            assert mailbox.wait(PEER, tag, serial, nothing)[:3].tolist() == [tag, round_, -1]


def test_a_board_takes_the_memory_of_what_is_used(mailbox):
    mailbox.post(PEER, 5, message(1))
    mailbox.post(PEER, TAGS - 1, message(1))
    [board] = mailbox.descriptors
    assert os.fstat(board).st_size > 1 << 23
    assert os.fstat(board).st_blocks * 512 <= 4 * os.sysconf("SC_PAGE_SIZE")


def test_who_waits_asks_whether_to_go_on_until_the_message_comes(mailbox):
    asked = []
    thread = threading.Thread(
        target=lambda: (wait_for(lambda: len(asked) > 20), mailbox.post(PEER, 3, message(7)))  # beyond the eager part
    )
    thread.start()
    assert mailbox.wait(PEER, 3, mailbox.expect(PEER, 3), lambda: asked.append(0))[0] == 7
    thread.join()
    assert len(asked) > 20


def test_who_should_not_go_on_does_not(mailbox):
    left = iter([None] * 5)

    def check() -> None:
        if next(left, "over") == "over":
            raise InterruptedError("told to give up")

    with pytest.raises(InterruptedError, match="told to give up"):
        mailbox.wait(PEER, 3, mailbox.expect(PEER, 3), check)


def test_a_peer_that_is_gone_is_a_broken_collective_but_what_it_said_counts(mailbox):
    process = subprocess.Popen([sys.executable, "-c", ""])
    mailbox.peers = {PEER: process.pid}
    wait_for(lambda: not is_alive(process.pid))  # though nobody has asked for its exit code
    mailbox.post(PEER, 4, message(9))
    assert mailbox.wait(PEER, 4, mailbox.expect(PEER, 4), nothing)[0] == 9
    with pytest.raises(dist.DistError, match=f"rank 0, process {process.pid} of this machine, is gone"):
        mailbox.wait(PEER, 4, mailbox.expect(PEER, 4), nothing)
    process.wait()
    assert not is_alive(process.pid)


def test_who_is_stopped_is_alive():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        process.send_signal(signal.SIGSTOP)
        assert is_alive(process.pid)
        process.kill()


def test_nothing_is_left_open(group):
    before = len(os.listdir("/proc/self/fd"))
    mailbox = Mailbox(group, {PEER: os.getpid()})
    assert len(os.listdir("/proc/self/fd")) > before
    del mailbox
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def test_who_has_no_peers_has_no_board(group):
    before = len(os.listdir("/proc/self/fd"))
    mailbox = Mailbox(group, {})
    assert len(os.listdir("/proc/self/fd")) == before
    assert not mailbox.peers


def test_who_sees_the_serial_number_sees_the_rest():
    """A writer and a reader at once, in turn."""
    rounds, here, there = 20_000, np.zeros(8, np.int64), np.zeros(8, np.int64)

    def answer() -> None:
        for serial in range(1, rounds + 1):
            while not rows.has_come(here, serial, 1000):
                pass
            rows.post(there, here[1:].copy(), serial)

    thread = threading.Thread(target=answer)
    thread.start()
    for serial in range(1, rounds + 1):
        rows.post(here, np.full(7, serial), serial)
        while not rows.has_come(there, serial, 1000):
            pass
        assert (there[1:] == serial).all()
    thread.join()


def wait_for(ready) -> None:
    end = time.monotonic() + 30
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.001)
