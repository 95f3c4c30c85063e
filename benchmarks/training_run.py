"""One training run through the command line, as a user starts it: with Ray, without, or under torchrun."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import MARK, Memory, end_leftovers

ROOT = Path(__file__).parents[1]
GEN_DIST = ("-m", "gen_dist.launch.cli")
LONGEST_SECONDS = 240.0  # for one command, unless it says otherwise
SHOWN_LINES = 15  # of a command that failed


class CommandFailed(Exception):
    """What went wrong, and the command's last lines."""


@dataclass(frozen=True)
class Leg:
    """A part of a run, on one group of workers.

    `steps`: where it ends, as a part of all steps. `ranks`: so many under torchrun; 0: without torchrun.
    """

    options: tuple[str, ...] = ()
    ranks: int = 0
    steps: float = 1.0

    def last_step(self, steps: int) -> int:
        return round(steps * self.steps)


def ray(workers: int, *options: str, steps: float = 1.0) -> Leg:
    return Leg(("--workers", str(workers), *options), steps=steps)


def plain(ranks: int = 0, steps: float = 1.0) -> Leg:
    """One process without Ray, or `ranks` of them under torchrun."""
    return Leg(("--no-ray",), ranks, steps)


def train(legs: Sequence[Leg], preset: str, steps: int, settings: Sequence[str], folder: Path) -> None:
    """Train `preset` into the run `folder`, leg after leg; each resumes what the one before left.

    Raises:
        CommandFailed: a leg ended with another exit code than 0, took too long or left processes behind.
    """
    for number, leg in enumerate(legs):
        start = ["--resume", str(folder)] if number else [preset, "--run-dir", str(folder), *settings]
        run_command([*interpreter(leg), "train", *start, *leg.options, f"train.steps={leg.last_step(steps)}"])


def interpreter(leg: Leg) -> list[str]:
    if not leg.ranks:
        return [sys.executable, *GEN_DIST]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    where = [f"--nproc-per-node={leg.ranks}", "--master-addr=127.0.0.1", f"--master-port={port}"]
    return [sys.executable, "-m", "torch.distributed.run", *where, *GEN_DIST]


def run_command(command: Sequence[str], seconds: float = LONGEST_SECONDS, memory: Memory | None = None) -> None:
    """Run a command to its end, `seconds` at most. Raises CommandFailed where it fails."""
    token = secrets.token_hex(32)
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"} | {MARK: token}
    with tempfile.TemporaryFile() as output:
        with started(command, environment, output.fileno(), token) as process:
            if memory:
                memory.watch(process.pid)
            try:
                process.wait(seconds)
                problem = f"exit code {process.returncode}" if process.returncode else ""
            except subprocess.TimeoutExpired:
                problem = f"not done after {seconds:.0f} s"
            if not problem and (left := end_leftovers(token)):
                problem = f"processes left behind: {left}"
        if problem:
            output.seek(0)
            lines = output.read().decode(errors="replace").splitlines()[-SHOWN_LINES:]
            raise CommandFailed("\n".join([problem, " ".join(command), *lines]))


@contextmanager
def started(
    command: Sequence[str], environment: dict[str, str], output: int, token: str
) -> Iterator[subprocess.Popen[bytes]]:
    """The command, running; nothing of it is left afterwards, also where this process is interrupted."""
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            end_leftovers(token)
