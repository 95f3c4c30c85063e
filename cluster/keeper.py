"""Watches over the Ray node of this machine: when its raylet is gone, or a head's table, the rest of it ends too.

Ray's agents would stay for ever where the head died first, since they want to tell it. The node's folder stays, for
its logs. `python -m gen_dist.cluster.keeper FOLDER PROCESS…` runs in the node's session.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from gen_dist.cluster.janitor import users

WATCH_SECONDS = 1.0
END_SECONDS = 10.0  # how long processes may go on being born while they are killed


def hire_keeper(folder: str) -> None:
    """Start one for the node of this process's session. It writes into the folder, as all of the node do."""
    watched = [process for process in session_users(folder) if program(process) in ("raylet", "gcs_server")]
    command = [sys.executable, "-m", "gen_dist.cluster.keeper", folder, *map(str, watched)]
    with open(Path(folder) / "keeper.log", "w") as log:
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0)


def keep(folder: str, watched: Sequence[int]) -> None:
    """Wait until one of them has ended, then end what is left."""
    while all(map(is_alive, watched)):
        time.sleep(WATCH_SECONDS)
    deadline = time.monotonic() + END_SECONDS
    while (left := [p for p in session_users(folder) if p != os.getpid()]) and time.monotonic() < deadline:
        for process in left:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.05)


def session_users(folder: str) -> list[int]:
    """Processes with files open in the folder that are of this session; a driver is of another."""
    found = []
    for process in users(folder):
        with suppress(ProcessLookupError):
            if os.getsid(process) == os.getsid(0):
                found.append(process)
    return found


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def program(process: int) -> str:
    """The name of what it runs, such as raylet."""
    return Path(command_line(process).partition("\0")[0]).name


def command_line(process: int) -> str:
    """Arguments with zeros between them; empty if there is no such process any more."""
    try:
        return os.fsdecode(Path(f"/proc/{process}/cmdline").read_bytes())
    except OSError:
        return ""


if __name__ == "__main__":
    keep(sys.argv[1], [int(process) for process in sys.argv[2:]])
