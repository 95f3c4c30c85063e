"""Vectors that another process reads: here this one, as its own peer."""

import gc
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
import torch.distributed as dist

from gen_dist.engine.shared_memory import Card, SharedMemory, is_true, machine_number, reading_rate

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory files are Linux's")
PEER = 1


@pytest.fixture
def memory():
    memory = SharedMemory()
    memory.peers = {PEER: os.getpid()}
    yield memory
    memory.forget()


def seen(memory: SharedMemory, part: torch.Tensor) -> list[float]:
    """A part of a float32 vector, as a peer sees it."""
    return memory.look(PEER, memory.note(part), part.nbytes).view("f4").tolist()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_part_is_read_as_it_is_when_it_is_read(memory, dtype):
    vector = memory.create(1000, dtype)
    assert vector.dtype == dtype
    assert not vector.any()
    part = vector[100:300]
    note = memory.note(part)
    for step in range(3):
        vector.copy_(torch.arange(1000) + step)
        assert memory.look(PEER, note, part.nbytes).tobytes() == part.numpy().tobytes()


def test_several_vectors(memory):
    vectors = [memory.create(10).fill_(number) for number in range(3)]
    for number in (2, 0, 1):
        assert seen(memory, vectors[number][6:]) == [number] * 4


def test_what_was_forgotten_is_not_confused_with_what_came_after(memory):
    """Though it has the same descriptor."""
    first = memory.create(8).fill_(1)
    assert seen(memory, first) == [1] * 8
    descriptor = memory.note(first)[1]
    memory.forget()
    second = memory.create(8).fill_(2)
    assert memory.note(second)[1] == descriptor
    assert seen(memory, second) == [2] * 8
    assert first.tolist() == [1] * 8  # still held
    with pytest.raises(ValueError, match="forgotten"):
        memory.note(first)


def test_nothing_is_left_open(memory):
    before = descriptors()
    vector = memory.create(8)
    assert seen(memory, vector) == [0] * 8
    assert descriptors() > before
    memory.forget()
    del vector
    assert descriptors() == before


def test_who_is_forgotten_forgets():
    gc.collect()
    before = descriptors()
    memory = SharedMemory()
    memory.create(8)
    del memory
    gc.collect()
    assert descriptors() == before


def test_what_no_peer_could_find(memory):
    memory.create(8)
    with pytest.raises(ValueError, match="not in a vector"):
        memory.note(torch.zeros(8))


def test_readers_cannot_write(memory):
    seen(memory, memory.create(8))
    [opened] = memory._opened.values()
    assert not opened.flags.writeable


def test_where_memory_files_are_not_allowed_nothing_is_shared(memory, monkeypatch):
    def refused(*arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "memfd_create", refused)
    assert memory.card() == Card()
    assert reading_rate(0.01) == 0


def test_a_card_is_believed_if_its_number_is_there(memory):
    card = memory.card()
    assert is_true(card)
    assert not is_true(replace(card, number=card.number + 1))  # another process of that number, elsewhere
    assert not is_true(replace(card, descriptor=9999))
    read, write = os.pipe()
    assert not is_true(replace(card, descriptor=read))
    os.close(read)
    os.close(write)


def test_another_file_of_that_number_is_a_broken_collective(memory):
    serial, descriptor, _, offset = memory.note(memory.create(8)).tolist()
    with pytest.raises(dist.DistError, match="memory of a peer"):
        memory.look(PEER, [serial, descriptor, 1 << 20, offset], 32)


def test_a_peer_that_is_gone_is_a_broken_collective(memory):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    memory.peers = {PEER: process.pid}
    note = memory.note(memory.create(8))
    with pytest.raises(dist.DistError, match="memory of a peer on this machine"):
        memory.look(PEER, note, 32)


def test_the_rate_of_reading():
    before = descriptors()
    assert 1e8 < reading_rate(0.01) < 1e12
    assert descriptors() == before


def test_processes_of_a_machine_have_one_number():
    program = "from gen_dist.engine.shared_memory import machine_number; print(machine_number())"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 0 < int(other.stdout) == machine_number() < 2**63


@pytest.mark.netns
def test_namespaces_count_as_machines():
    """So that links between them, which may be slow ones on purpose, are used."""
    program = "from gen_dist.engine.shared_memory import machine_number; print(machine_number())"
    command = ["unshare", "--net", sys.executable, "-c", program]
    other = subprocess.run(command, capture_output=True, text=True, check=False)
    if other.returncode:
        pytest.skip(f"no network namespaces here: {other.stderr.strip()}")
    assert int(other.stdout) not in (0, machine_number())
