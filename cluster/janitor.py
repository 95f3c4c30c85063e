"""Cleans up after a local Ray cluster, however its driver ended: also after SIGKILL.

Ray's own agents notice a dead driver only after some ten seconds, and its folder of sockets would stay for ever. This
process of its own waits for the end of its standard input, which is the end of the driver.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

SECONDS = 10.0  # how long Ray's processes may go on being born while they are killed


def hire(folder: str) -> subprocess.Popen[bytes]:
    """Start a janitor for the cluster of this process whose files are in `folder`.

    A session of its own, so that a terminal's Ctrl-C does not reach it.
    """
    command = [sys.executable, "-S", "-E", __file__, folder, str(os.getpid())]
    return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)


def dismiss(janitor: subprocess.Popen[bytes]) -> None:
    """Let it clean, and wait until it has."""
    assert janitor.stdin is not None
    janitor.stdin.close()
    janitor.wait()


def users(folder: str) -> Iterator[int]:
    """Processes that have a file below `folder` open: all of Ray's write a log there."""
    for name in filter(str.isdecimal, os.listdir("/proc") if os.path.isdir("/proc") else []):
        if any(file.startswith(folder + os.sep) for file in open_files(name)):
            yield int(name)


def open_files(process: str) -> Iterator[str]:
    """Paths of what a process has open; none if it is gone, or another user's."""
    with suppress(OSError), os.scandir(f"/proc/{process}/fd") as entries:
        for entry in entries:
            with suppress(OSError):  # closed meanwhile
                yield os.readlink(entry)


def clean(folder: str, driver: int) -> None:
    """Kill what is left of the cluster but its driver, then remove its files."""
    deadline = time.monotonic() + SECONDS
    while (left := [process for process in users(folder) if process != driver]) and time.monotonic() < deadline:
        for process in left:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.05)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.stdin.buffer.read()
    clean(sys.argv[1], int(sys.argv[2]))
