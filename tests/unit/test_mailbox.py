"""Messages through memory: here to this process itself, as its own peer."""

import gc
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numba
import numpy as np
import pytest
import torch.distributed as dist

from gen_dist.engine.mailbox import LEFT, Mailbox, birth_of
from gen_dist.engine.memory_files import close_all, create_memory
from gen_dist.kernels import mailbox as rows

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory files are Linux's")
PEER = 0
EIGHT = np.zeros(8, np.int64)
LIMIT_SECONDS = 60.0


def nothing() -> None:
    pass


@pytest.fixture(scope="module")
def group():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield dist.group.WORLD
    dist.destroy_process_group()


@pytest.fixture
def mailbox(group):
    return Mailbox(group, {PEER: os.getpid()}, LIMIT_SECONDS)


def message(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def test_messages_come_as_they_were_sent_each_tag_by_itself(mailbox):
    for round_ in range(3):
        for tag in (0, 1, LEFT - 1):
            mailbox.post(PEER, tag, message(tag, round_, -1))
        for tag in (LEFT - 1, 0, 1):
            serial = mailbox.expect(PEER, tag)
            assert mailbox.wait(PEER, tag, serial, nothing)[:3].tolist() == [tag, round_, -1]


def test_a_board_takes_the_memory_of_what_is_used(mailbox):
    mailbox.post(PEER, 5, message(1))
    mailbox.post(PEER, LEFT - 1, message(1))
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
    mailbox.peers[PEER] = process.pid  # which was started when this one was not
    mailbox.post(PEER, 4, message(9))
    assert mailbox.wait(PEER, 4, mailbox.expect(PEER, 4), nothing)[0] == 9
    with pytest.raises(dist.DistError, match=f"rank 0, process {process.pid} of this machine, is gone"):
        mailbox.wait(PEER, 4, mailbox.expect(PEER, 4), nothing)
    process.wait()


def test_a_peer_that_has_left_is_a_broken_collective_but_what_it_said_counts(mailbox):
    mailbox.post(PEER, 4, message(9))
    mailbox.leave()
    assert mailbox.wait(PEER, 4, mailbox.expect(PEER, 4), nothing)[0] == 9
    with pytest.raises(dist.DistError, match=f"rank 0, process {os.getpid()} .*, has left the group"):
        mailbox.wait(PEER, 4, mailbox.expect(PEER, 4), nothing)


def test_there_is_a_longest_wait(group):
    mailbox = Mailbox(group, {PEER: os.getpid()}, 0.2)
    with pytest.raises(dist.DistError, match=r"rank 0, .*, says nothing for 0 s"):
        mailbox.wait(PEER, 4, mailbox.expect(PEER, 4), nothing)


def test_a_process_is_born_once():
    """It may be stopped, but not ended; whether anybody has asked for its exit code or not."""
    assert birth_of(os.getpid()) == birth_of(os.getpid()) != b""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        born = birth_of(process.pid)
        assert born not in (b"", birth_of(os.getpid()))
        process.send_signal(signal.SIGSTOP)
        wait_for(lambda: b") T " in Path(f"/proc/{process.pid}/stat").read_bytes())
        assert birth_of(process.pid) == born
        process.kill()
        wait_for(lambda: b") Z " in Path(f"/proc/{process.pid}/stat").read_bytes())
        assert birth_of(process.pid) == b""
    assert birth_of(process.pid) == b""


def test_where_a_board_is_not_allowed_there_are_no_peers(group, monkeypatch):
    def refused(*arguments):
        raise OSError(27, "File too large")

    monkeypatch.setattr(os, "ftruncate", refused)
    assert Mailbox(group, {PEER: os.getpid()}, LIMIT_SECONDS).peers == {}


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
@pytest.mark.parametrize(
    ("kernel", "instruction"),
    [(rows._post, "store atomic i64 .* release"), (rows._has_come, "load atomic i64.* acquire")],
)
def test_serial_numbers_are_ordered_with_what_is_written_beside(kernel, instruction):
    """What processors with a weaker order of memory than x86's need."""
    compiled = numba.njit(nogil=True)(kernel.py_func)
    compiled(*((EIGHT, 1) if kernel is rows._post else (EIGHT, 1, 1)))
    [code] = compiled.inspect_llvm().values()
    assert re.search(instruction, code)


def test_nothing_is_left_open(group):
    gc.collect()  # what other tests have left
    before = len(os.listdir("/proc/self/fd"))
    mailbox = Mailbox(group, {PEER: os.getpid()}, LIMIT_SECONDS)
    assert len(os.listdir("/proc/self/fd")) > before
    del mailbox
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def test_who_has_no_peers_has_no_board(group):
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    mailbox = Mailbox(group, {}, LIMIT_SECONDS)
    assert len(os.listdir("/proc/self/fd")) == before
    assert not mailbox.peers


def test_who_sees_the_serial_number_sees_the_rest():
    """Two processes at once, in turn."""
    rounds, descriptors = 20_000, []
    memory = create_memory(128, descriptors)[1]
    here, there = np.frombuffer(memory, np.int64).reshape(2, 8)
    with subprocess.Popen(
        [sys.executable, "-c", ANSWER.format(os.getpid(), *descriptors, rounds)], stdout=subprocess.PIPE, text=True
    ) as process:
        for serial in range(1, rounds + 1):
            rows.post(here, np.full(7, serial), serial)
            while not rows.has_come(there, serial, 1000):
                assert process.poll() is None
            assert (there[1:] == serial).all()
        assert process.stdout is not None
        assert process.stdout.read() == "all\n"
    close_all(descriptors)


ANSWER = """
import mmap
import numpy as np
from gen_dist.kernels import mailbox
file = open("/proc/{}/fd/{}", "r+b")
memory = mmap.mmap(file.fileno(), 128)
there, here = np.frombuffer(memory, np.int64).reshape(2, 8)
for serial in range(1, {} + 1):
    while not mailbox.has_come(there, serial, 1000):
        pass
    assert (there[1:] == serial).all()
    mailbox.post(here, there[1:].copy(), serial)
print("all")
"""


def wait_for(ready) -> None:
    end = time.monotonic() + 30
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.001)
