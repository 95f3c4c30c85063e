"""Several hosts on one Linux machine: network namespaces that a bridge joins, as a switch joins laptops.

    with hosts(3, megabits=1000) as group:
        group[0].run([sys.executable, "-c", "..."])

The bridge has a namespace of its own, so the machine's own network stays as it was. It is the hosts' gateway, so that
programs which ask for "the address towards the internet" get the host's, but it leads nowhere. Processes share the
machine's files, host name and, unless `cpus` is given, its CPUs.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from itertools import count as counter
from pathlib import Path
from typing import Any, NamedTuple

PREFIX = "gen-dist"
OWNED = re.compile(rf"{PREFIX}-(\d+)-(\d+)-\d+-")  # pid and birth of the owner, serial number of the group
GATEWAY = "10.77.0.254"
MOST_HOSTS = 253
# A shaped link lets a burst pass at once after each pause, so it is kept small, lest small messages travel for nothing;
# no packet may be larger, or the kernel spends a core on cutting it up. On fast links they are as large as what network
# cards are handed: halves cost twice the CPU time. What does not fit in the queue is dropped.
BURST_SECONDS, QUEUE_SECONDS = 0.0005, 0.01
LEAST_PACKET, LARGEST_PACKET = 16384, 65536
ETHERNET_BYTES = 14
PERIOD_US = 100_000  # of a CPU quota
END_SECONDS = 10.0
_serial = counter()


class HostsError(RuntimeError):
    """A command that makes or changes hosts failed; says which, and what it printed."""


class Traffic(NamedTuple):
    """Bytes that passed a host's link since it was made; the kernel counts one header per packet that it cuts later."""

    sent: int
    received: int


@dataclass(frozen=True)
class Host:
    """One namespace: loopback, and `interface` with `address`, whose other end is `port` of the switch."""

    name: str
    address: str
    switch: str
    port: str
    cgroup: Path | None
    interface: str = "eth0"

    def command(self, argv: Sequence[object]) -> list[str]:
        """`argv` as a command that runs on this host, in the process that is started: no shell stays between."""
        inside = ["ip", "netns", "exec", self.name, *map(str, argv)]
        if self.cgroup is None:
            return inside
        return ["sh", "-c", 'echo $$ >"$0" && exec "$@"', str(self.cgroup / "cgroup.procs"), *inside]

    def run(self, argv: Sequence[object], **options: Any) -> subprocess.CompletedProcess[str]:
        """`subprocess.run` on this host; output is captured and a failure raises, unless `options` differ."""
        return subprocess.run(self.command(argv), **{"check": True, "capture_output": True, "text": True, **options})

    def popen(self, argv: Sequence[object], **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(self.command(argv), **{"text": True, **options})

    def traffic(self) -> Traffic:
        folder = f"/sys/class/net/{self.interface}/statistics"
        read = ["ip", "netns", "exec", self.name, "cat", f"{folder}/tx_bytes", f"{folder}/rx_bytes"]
        return Traffic(*map(int, _must(read).split()))

    def shape(self, megabits: float | None) -> None:
        """Give the link this rate in each direction, at once; None: as fast as the CPUs are.

        Connections keep the packet size of the rate at which they were made.
        """
        largest = ["gso_max_size", str(_packet_bytes(megabits))]
        _must(["ip", "-n", self.name, "link", "set", self.interface, *largest])
        for namespace, device in ((self.name, self.interface), (self.switch, self.port)):
            _must(["tc", "-n", namespace, "qdisc", "replace", "dev", device, "root", *_queue(megabits)])

    def limit(self, cpus: float) -> None:
        """Let this host's processes have so much CPU time per second. Only where hosts() was given `cpus`."""
        assert self.cgroup is not None, "hosts() was called without cpus"
        (self.cgroup / "cpu.cfs_period_us").write_text(str(PERIOD_US))
        (self.cgroup / "cpu.cfs_quota_us").write_text(str(int(cpus * PERIOD_US)))

    def throttled(self) -> int:
        """How many periods ended with processes of this host that had to wait. Only where hosts() was given `cpus`."""
        assert self.cgroup is not None, "hosts() was called without cpus"
        counts = dict(line.split() for line in (self.cgroup / "cpu.stat").read_text().splitlines())
        return int(counts["nr_throttled"])

    def cut(self) -> None:
        """Pull the cable at the switch: connections stay, nothing passes, the host sees no carrier."""
        _must(["ip", "-n", self.switch, "link", "set", self.port, "down"])

    def mend(self) -> None:
        _must(["ip", "-n", self.switch, "link", "set", self.port, "up"])


@contextmanager
def hosts(count: int, megabits: float | None = None, cpus: Sequence[float] | None = None) -> Iterator[list[Host]]:
    """`count` hosts that reach each other and nothing else; gone afterwards, with whatever runs on them.

    Args:
        megabits: rate of every link, in Mbit/s, in each direction. None: as fast as the CPUs are.
        cpus: CPUs of each host, such as [1, 0.25]; needs cgroup v1. None: no limits.

    Raises:
        HostsError: this machine cannot; `available` says so beforehand.
    """
    assert 0 < count <= MOST_HOSTS, count
    assert cpus is None or len(cpus) == count, f"cpus of {count} hosts: {cpus}"
    _remove_leftovers()
    group = f"{PREFIX}-{os.getpid()}-{_birth(os.getpid())}-{next(_serial)}"
    switch = f"{group}-switch"
    names = [f"{group}-host{i}" for i in range(count)]
    cgroups = [None] * count if cpus is None else [_cpu_cgroups() / name for name in names]
    made = [
        Host(name, f"10.77.0.{i + 1}", switch, f"port{i}", cgroup)
        for i, (name, cgroup) in enumerate(zip(names, cgroups, strict=True))
    ]
    try:
        _make_switch(switch)
        for host in made:
            _make_host(host)
            host.shape(megabits)
        for host, share in zip(made, cpus or (), strict=False):
            host.limit(share)
        yield made
    finally:
        _remove([*names, switch])


@cache
def available() -> str | None:
    """Why there can be no hosts here; None if there can."""
    if not sys.platform.startswith("linux"):
        return "network namespaces need Linux"
    if os.geteuid() != 0:
        return "network namespaces need root"
    if missing := [tool for tool in ("ip", "tc") if shutil.which(tool) is None]:
        return f"no {' and no '.join(missing)} on the PATH: install iproute2"
    try:
        with hosts(1, megabits=100):
            return None
    except HostsError as error:
        return str(error)


def _make_switch(name: str) -> None:
    _must(["ip", "netns", "add", name])
    _must(["ip", "-n", name, "link", "add", "bridge", "type", "bridge", "stp_state", "0"])
    _must(["ip", "-n", name, "link", "set", "bridge", "addrgenmode", "none", "up"])
    _must(["ip", "-n", name, "address", "add", f"{GATEWAY}/24", "dev", "bridge"])
    # A router without an uplink answers at once; one that does not forward would let its clients wait.
    _must(["ip", "netns", "exec", name, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"])


def _make_host(host: Host) -> None:
    inside, outside = ["ip", "-n", host.name], ["ip", "-n", host.switch]
    _must(["ip", "netns", "add", host.name])
    if host.cgroup is not None:
        host.cgroup.mkdir()
    ends = ["name", host.port, "type", "veth", "peer", "name", host.interface, "netns", host.name]
    _must([*outside, "link", "add", *ends])
    # No IPv6 addresses: their upkeep would be seen in the traffic.
    _must([*outside, "link", "set", host.port, "addrgenmode", "none", "master", "bridge", "up"])
    _must([*inside, "link", "set", host.interface, "addrgenmode", "none", "up"])
    _must([*inside, "link", "set", "lo", "up"])
    _must([*inside, "address", "add", f"{host.address}/24", "dev", host.interface])
    _must([*inside, "route", "add", "default", "via", GATEWAY])


def _burst_bytes(megabits: float) -> int:
    assert megabits > 0, f"rate of {megabits} Mbit/s: cut() stops a link"
    return round(megabits * 1e6 / 8 * BURST_SECONDS)


def _packet_bytes(megabits: float | None) -> int:
    """The largest packet that a host hands to its link at once, to be cut up later."""
    return LARGEST_PACKET if megabits is None else min(max(_burst_bytes(megabits), LEAST_PACKET), LARGEST_PACKET)


def _queue(megabits: float | None) -> list[str]:
    """What tc calls a link of this rate: a token bucket."""
    if megabits is None:
        return ["noqueue"]
    burst = max(_packet_bytes(megabits) + ETHERNET_BYTES, _burst_bytes(megabits))
    return ["tbf", "rate", f"{megabits}mbit", "burst", str(burst), "latency", f"{QUEUE_SECONDS * 1000:g}ms"]


def _must(argv: Sequence[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode != 0:
        raise HostsError(f"{' '.join(argv)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def _cpu_cgroups() -> Path:
    """The folder of cgroup v1's cpu controller."""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, folder, kind, options, *_ = line.split()
        if kind == "cgroup" and "cpu" in options.split(","):
            return Path(folder)
    raise HostsError("no cgroup v1 with the cpu controller is mounted: hosts cannot have cpus")


def _birth(pid: int) -> int | None:
    """Start of a living process in clock ticks since boot: with the pid, its name for ever. None: dead."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state in "ZX" else int(fields[18])


def _remove_leftovers() -> None:
    """Remove hosts whose owner died before it could."""
    namespaces = [line.split()[0] for line in _must(["ip", "netns", "list"]).splitlines() if line]
    with suppress(HostsError):
        namespaces += [folder.name for folder in _cpu_cgroups().glob(f"{PREFIX}-*")]
    owners = [(name, OWNED.match(name)) for name in dict.fromkeys(namespaces)]
    _remove([name for name, owner in owners if owner and _birth(int(owner[1])) != int(owner[2])])


def _remove(names: Sequence[str]) -> None:
    """Kill what runs in these namespaces, then remove them and their cgroups, as far as they are there."""
    deadline = time.monotonic() + END_SECONDS
    while running := [pid for name in names for pid in _processes(name)]:
        for pid in running:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert time.monotonic() < deadline, f"still running after SIGKILL: {running}"
        time.sleep(0.01)
    for name in names:
        subprocess.run(["ip", "netns", "delete", name], capture_output=True)
        with suppress(HostsError, FileNotFoundError):
            (_cpu_cgroups() / name).rmdir()


def _processes(name: str) -> list[int]:
    """Processes in a namespace or in its cgroup, but never this one."""
    pids = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True).stdout.split()
    with suppress(HostsError, FileNotFoundError):
        pids += (_cpu_cgroups() / name / "cgroup.procs").read_text().split()
    return [int(pid) for pid in dict.fromkeys(pids) if int(pid) != os.getpid()]
