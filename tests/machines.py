"""Hosts of `tests.hosts` with a home each, on which gen-dist is run as on a machine of its own."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.command import COMMAND, SECONDS, Done, environment, finish
from tests.hosts import Host


@dataclass(frozen=True)
class Machine:
    """A host with a home of its own."""

    host: Host
    home: Path

    def environment(self, **changes: str) -> dict[str, str]:
        kept = {name: value for name, value in environment().items() if not name.startswith("XDG_STATE")}
        caches = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")  # compiled kernels may be shared
        return {**kept, "HOME": str(self.home), "TMPDIR": str(self.home), "XDG_CACHE_HOME": caches, **changes}

    def start(self, *arguments: object, **changes: str) -> subprocess.Popen[str]:
        """A gen-dist command; `changes` of its environment."""
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        return self.host.popen(
            [*COMMAND, *map(str, arguments)], env=self.environment(**changes), cwd=self.home, start_new_session=True,
            **pipes,
        )  # fmt: skip

    def gen_dist(self, *arguments: object, given: str = "", seconds: float = SECONDS) -> Done:
        process = self.start(*arguments)
        assert process.stdin is not None
        process.stdin.write(given)
        return finish(process, seconds)

    def programs(self) -> dict[int, str]:
        """What runs on it."""
        pids = subprocess.run(["ip", "netns", "pids", self.host.name], capture_output=True, text=True).stdout.split()
        found = {}
        for pid in map(int, pids):
            line = Path(f"/proc/{pid}/cmdline")
            found[pid] = Path(line.read_text().partition("\0")[0]).name if line.exists() else ""
        return {pid: name for pid, name in found.items() if name}

    def has_nothing(self) -> bool:
        """Of a Ray node: no process, no folder, no record."""
        record = self.home.glob(".local/state/gen-dist/nodes/*/*")
        return not self.programs() and not list(self.home.glob("gd-*")) and {p.name for p in record} <= {"lock"}

    def kill(self, program: str) -> None:
        """One whose name begins so: Ray's workers add to theirs what they are doing."""
        os.kill(next(pid for pid, name in self.programs().items() if name.startswith(program)), signal.SIGKILL)


def furnish(group: Sequence[Host]) -> list[Machine]:
    """These hosts with an empty home each."""
    base = Path(os.environ["TMPDIR"])  # short, for Ray's sockets
    made = [Machine(host, base / f"h{number}") for number, host in enumerate(group)]
    for machine in made:
        shutil.rmtree(machine.home, ignore_errors=True)
        machine.home.mkdir()
    return made


@contextmanager
def cluster(made: Sequence[Machine], cpus: Sequence[int] | None = None) -> Iterator[str]:
    """A Ray cluster of these machines, the first its head; its address. `cpus`: of each, as Ray counts; None: 1."""
    head = made[0]
    counts = [1] * len(made) if cpus is None else cpus
    up = head.gen_dist("up", "--num-cpus", counts[0])
    assert up.code == 0, up.err
    address = f"{head.host.address}:6379"
    try:
        join(made[1:], head, counts[1:])
        yield address
    finally:
        leave(made)


def join(made: Sequence[Machine], head: Machine, cpus: Sequence[int] | None = None) -> None:
    """All of them at once."""
    counts = [1] * len(made) if cpus is None else cpus
    [token] = head.home.glob(".local/state/gen-dist/nodes/*/token")
    address = f"{head.host.address}:6379"
    joining = [
        machine.start("join", address, "--token-file", "-", "--num-cpus", count)
        for machine, count in zip(made, counts, strict=True)
    ]
    for process in joining:
        assert process.stdin is not None
        process.stdin.write(token.read_text().strip() + "\n")
        process.stdin.flush()
        process.stdin.close()
        process.stdin = None  # which `communicate` would flush
    for process in joining:
        joined = finish(process)
        assert joined.code == 0, joined.err


def leave(made: Sequence[Machine]) -> None:
    """All of them at once."""
    for process in [machine.start("down") for machine in reversed(made)]:
        finish(process)
