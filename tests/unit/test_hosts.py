"""Hosts made of network namespaces: that they are connected as asked, to nothing else, and gone afterwards."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.command import wait_for
from tests.hosts import Host, HostsError, available

ROOT = Path(__file__).parents[2]
PORT = 5000
# Takes one connection and what comes over it, saying first that it listens, then how many seconds the bytes took.
RECEIVE = f"""
import socket, sys, time
with socket.create_server((sys.argv[1], {PORT})) as server:
    print("listens", flush=True)
    connection, _ = server.accept()
    started = time.perf_counter()
    while connection.recv(1 << 20):
        pass
    print(time.perf_counter() - started)
"""
SEND = f"""
import socket, sys
with socket.create_connection((sys.argv[1], {PORT})) as connection:
    connection.sendall(bytes(int(sys.argv[2])))
"""
ALL_REDUCE = f"""
import sys
from datetime import timedelta
import torch
import torch.distributed as dist
rank, address = int(sys.argv[1]), sys.argv[2]
dist.init_process_group(
    "gloo", init_method=f"tcp://{{address}}:{PORT}", rank=rank, world_size=2, timeout=timedelta(seconds=30)
)
tensor = torch.full((250_000,), float(rank + 1))
dist.all_reduce(tensor)
print(tensor.unique().tolist())
dist.destroy_process_group()
"""
# Owns two hosts and a process on one of them; says so, and waits.
OWN = """
import sys, time
from tests.hosts import hosts
with hosts(2) as group, group[1].popen(["sleep", "60"]) as process:
    print(process.pid, *(host.name for host in group), flush=True)
    time.sleep(60)
"""


def python(source: str, *arguments: object) -> list[str]:
    return [sys.executable, "-ISc", source, *map(str, arguments)]


def seconds_for(size: int, sender: Host, receiver: Host) -> float:
    """How long `size` bytes take over TCP."""
    with receiver.popen(python(RECEIVE, receiver.address), stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == "listens\n"
            sender.run(python(SEND, receiver.address, size), timeout=20)
            return float(process.communicate(timeout=20)[0])
        finally:
            process.kill()


def error_of_connecting(host: Host, address: str, port: int = PORT) -> str:
    """What Python says when `host` connects; empty when it can."""
    source = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2)"
    return host.run(python(source, address, port), check=False).stderr.strip().rpartition("\n")[2]


def addresses() -> set[str]:
    """IPv4 addresses of this process's own network."""
    return {item.address for items in psutil.net_if_addrs().values() for item in items if item.family == socket.AF_INET}


def listed() -> str:
    return subprocess.run(["ip", "netns", "list"], check=True, capture_output=True, text=True).stdout


def listed_of_ours() -> list[str]:
    """Without those that a test run beside this one makes."""
    return [name for name in listed().split() if f"-{os.getpid()}-" in name]


def gone(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True


@pytest.mark.netns
def test_hosts_reach_each_other_and_nothing_else(hosts) -> None:
    own = addresses()
    with hosts(2) as (one, other), socket.create_server(("0.0.0.0", 0)) as outside:
        assert seconds_for(1000, one, other) >= 0
        assert seconds_for(1000, other, one) >= 0
        assert seconds_for(1000, one, one) >= 0
        assert "refused" in error_of_connecting(one, other.address)
        assert "refused" in error_of_connecting(one, "127.0.0.1", outside.getsockname()[1])
        assert "unreachable" in error_of_connecting(one, "192.0.2.1")
        for address in own - {"127.0.0.1"}:
            assert "unreachable" in error_of_connecting(one, address, outside.getsockname()[1])
        assert psutil.net_if_addrs().keys() == {name for _, name in socket.if_nameindex()}
        assert own == {
            i.address for items in psutil.net_if_addrs().values() for i in items if i.family == socket.AF_INET
        }


@pytest.mark.netns
def test_the_address_towards_the_internet_is_the_hosts(hosts) -> None:
    source = "import socket; s = socket.socket(type=2); s.connect(('192.0.2.1', 53)); print(s.getsockname()[0])"
    with hosts(2) as group:
        assert [host.run(python(source)).stdout.strip() for host in group] == [host.address for host in group]
        assert len({host.address for host in group}) == 2


@pytest.mark.netns
def test_a_quarter_of_the_rate_takes_four_times_as_long(hosts) -> None:
    with hosts(2, megabits=80) as group:
        fast = seconds_for(4_000_000, *group)
        for host in group:
            host.shape(20)
        assert 2.5 < seconds_for(4_000_000, *group) / fast < 6
        for host in group:
            host.shape(None)
        assert seconds_for(4_000_000, *group) < fast


@pytest.mark.netns
def test_a_link_has_its_rate_in_both_directions(hosts) -> None:
    with hosts(3, megabits=80) as (one, other, slow):
        fast = seconds_for(4_000_000, one, other)
        slow.shape(20)
        assert 2.5 < seconds_for(4_000_000, one, slow) / fast < 6
        assert 2.5 < seconds_for(4_000_000, slow, one) / fast < 6


@pytest.mark.netns
def test_traffic_is_counted_where_it_passes(hosts) -> None:
    size = 5_000_000
    with hosts(3) as (one, other, idle):
        before = [host.traffic() for host in (one, other, idle)]
        seconds_for(size, one, other)
        sent, received = one.traffic().sent - before[0].sent, other.traffic().received - before[1].received
        assert size < sent < 1.1 * size
        assert size < received < 1.1 * size
        assert other.traffic().sent - before[1].sent < 0.1 * size
        assert sum(idle.traffic()) - sum(before[2]) < 10_000


@pytest.mark.netns
def test_a_cut_stops_a_connection_and_mending_lets_it_go_on(hosts) -> None:
    size = 5_000_000
    with (
        hosts(2, megabits=40) as (one, other),
        other.popen(python(RECEIVE, other.address), stdout=subprocess.PIPE) as receiver,
    ):
        receiver.stdout.readline()
        with one.popen(python(SEND, other.address, size)) as sender:
            wait_for(lambda: other.traffic().received > 500_000, seconds=10)
            one.cut()
            before = other.traffic().received
            time.sleep(0.5)
            assert other.traffic().received - before < 100_000  # 0.5 s would bring 2.5 MB
            assert other.traffic().received < size
            error = error_of_connecting(other, one.address)
            assert "timed out" in error or "No route" in error
            assert sender.poll() is None
            one.mend()
            assert sender.wait(timeout=20) == 0
        receiver.communicate(timeout=20)
        assert receiver.returncode == 0
        assert other.traffic().received > size


@pytest.mark.netns
def test_a_host_gets_no_more_cpu_than_its_share(hosts) -> None:
    source = """
import time
end = time.perf_counter() + 0.6
while time.perf_counter() < end:
    pass
print(time.process_time() / 0.6)
"""
    try:
        with hosts(2, cpus=[2, 0.2]) as (fast, slow):
            used = [float(host.run(python(source)).stdout) for host in (fast, slow)]
            slow.limit(2)
            used.append(float(slow.run(python(source)).stdout))
            cgroups = [fast.cgroup, slow.cgroup]
    except HostsError as error:
        pytest.skip(str(error))
    assert used[1] < 0.4  # quotas are given out per 0.1 s, and the last may be overdrawn
    assert min(used[0], used[2]) > 1.3 * used[1]
    assert not any(cgroup.exists() for cgroup in cgroups)


@pytest.mark.netns
def test_all_is_gone_after_an_exception(hosts) -> None:
    before, interfaces = listed_of_ours(), socket.if_nameindex()
    processes = []

    def fail() -> None:
        with hosts(2) as group:
            processes.append(group[0].popen(["sleep", "60"]))
            processes.append(group[1].popen(["sh", "-c", "sleep 60 & kill -STOP $$"]))
            assert all(host.name in listed() for host in group)
            assert socket.if_nameindex() == interfaces
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [process.wait(timeout=5) for process in processes] == [-signal.SIGKILL] * 2
    assert listed_of_ours() == before
    assert socket.if_nameindex() == interfaces


@pytest.mark.netns
def test_all_is_gone_when_making_them_failed(hosts) -> None:
    before = listed_of_ours()
    with pytest.raises(AssertionError, match="rate of 0 Mbit/s"), hosts(2, megabits=0):
        pass
    assert listed_of_ours() == before


@pytest.mark.netns
def test_a_command_that_fails_is_named(hosts) -> None:
    with hosts(1) as (host,):
        pass
    with pytest.raises(HostsError, match=f"ip -n .*-switch link set {host.port} down: .*No such file"):
        host.cut()


@pytest.mark.netns
def test_leftovers_of_a_dead_owner_are_removed_and_those_of_a_living_one_are_not(hosts) -> None:
    with subprocess.Popen([sys.executable, "-c", OWN], cwd=ROOT, stdout=subprocess.PIPE, text=True) as owner:
        pid, *names = owner.stdout.readline().split()
        assert len(names) == 2
        with hosts(1), hosts(1):
            assert all(name in listed() for name in names)
            assert not gone(int(pid))
        owner.kill()
        wait_for(lambda: gone(owner.pid))
        with hosts(1):
            assert not any(name in listed() for name in names)
            wait_for(lambda: gone(int(pid)), seconds=5)


@pytest.mark.netns
def test_gloo_reduces_between_two_hosts(hosts) -> None:
    with hosts(2) as group:
        ranks = [
            host.popen(
                [sys.executable, "-c", ALL_REDUCE, rank, group[0].address],
                env={**os.environ, "GLOO_SOCKET_IFNAME": host.interface, "OMP_NUM_THREADS": "1"},
                stdout=subprocess.PIPE,
            )
            for rank, host in enumerate(group)
        ]
        try:
            assert [rank.communicate(timeout=60)[0].strip() for rank in ranks] == ["[3.0]", "[3.0]"]
        finally:
            for rank in ranks:
                rank.kill()
        assert all(min(host.traffic()) > 900_000 for host in group)  # a million bytes, halves each way


@pytest.mark.parametrize(
    ("platform", "uid", "path", "reason"),
    [("darwin", 0, "/sbin", "Linux"), ("linux", 1000, "/sbin", "root"), ("linux", 0, "/nowhere", "no ip and no tc")],
)
def test_a_machine_that_cannot_is_told_why(
    monkeypatch: pytest.MonkeyPatch, platform: str, uid: int, path: str, reason: str
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setenv("PATH", path)
    assert reason in available.__wrapped__()
