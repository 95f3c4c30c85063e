"""The processes of the Ray node of this machine: started here, found again, and ended, with their folder."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from gen_dist.cluster.head_probe import SAME_MINOR_PYTHON
from gen_dist.cluster.janitor import users
from gen_dist.cluster.keeper import command_line, program
from gen_dist.cluster.node_record import (
    TOKEN_VARIABLES,
    NodeRecord,
    forget_node,
    token_path,
    write_record,
    write_token,
)
from gen_dist.errors import RunError

START_SECONDS = 90.0
GRACE_SECONDS = 5.0  # for a raylet to tell the head that it leaves


def start_node(record: NodeRecord, token: str, arguments: Sequence[str]) -> NodeRecord:
    """Start Ray with these arguments of `ray start`; returns the record that is kept. Whatever fails, nothing is left.

    Raises:
        RunError: Ray did not start; says what it printed last.
    """
    try:
        write_record(record)  # before there is anything to end, so that `down` finds it even if we are killed
        write_token(token)
        with tempfile.TemporaryFile("w+") as output:  # no pipe: Ray's processes would keep it open
            command = [sys.executable, "-m", "gen_dist.cluster.start_ray", record.folder, *arguments]
            starter = subprocess.Popen(
                command, env=node_environment(os.environ, token_path()), stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, start_new_session=True,
            )  # fmt: skip
            record = replace(record, session=starter.pid)
            write_record(record)
            try:
                code = starter.wait(START_SECONDS)
            except subprocess.TimeoutExpired:
                raise RunError(f"Ray did not start within {START_SECONDS:g} s") from None
            finally:
                starter.kill()  # if it still runs
                starter.wait()
            if code != 0:
                output.seek(0)
                raise RunError(f"Ray did not start: {last_line(output.read())}")
    except BaseException:
        end_node(record)
        raise
    return record


def node_environment(environment: Mapping[str, str], token_file: Path) -> dict[str, str]:
    """What Ray's processes inherit: nothing of another cluster's, and the token as the name of a file. Pure."""
    others = (*TOKEN_VARIABLES, "RAY_ADDRESS")
    return {
        **{name: value for name, value in environment.items() if name not in others},
        **SAME_MINOR_PYTHON,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token_file),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_DISABLE_IMPORT_WARNING": "1",
    }


def last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it printed nothing"


def node_processes(record: NodeRecord) -> list[int]:
    """Living processes of the node. A driver has files open in the folder too, but is of another session."""
    found = [record.session] if record.session and record.folder in command_line(record.session) else []  # the starter
    for process in users(record.folder):
        with suppress(ProcessLookupError):
            if record.session in (0, os.getsid(process)):
                found.append(process)
    return found


def drivers(record: NodeRecord) -> list[int]:
    """Processes of this machine that are connected through the node and do not belong to it."""
    return [] if record.session == 0 else sorted({*users(record.folder)} - {*node_processes(record)})


def is_running(record: NodeRecord) -> bool:
    """Whether the node can be used: its raylet runs, and a head's table too."""
    needed = {"raylet", "gcs_server"} if record.role == "head" else {"raylet"}
    return needed <= {program(process) for process in node_processes(record)}


def end_node(record: NodeRecord) -> int:
    """End all of it: the raylet first, which tells the head. Returns how many processes there were.

    Raises:
        RunError: some cannot be ended, or are another user's; the record stays.
    """
    running = {process: program(process) for process in node_processes(record)}
    keepers = [process for process in running if "gen_dist.cluster.keeper" in command_line(process)]
    _signal(keepers, signal.SIGKILL)  # or it would not leave the others the time that they need
    for name in ("raylet", "gcs_server"):
        ours = [process for process, its in running.items() if its == name]
        _signal(ours, signal.SIGTERM)
        _wait(lambda ours=ours: not {*ours} & {*node_processes(record)}, GRACE_SECONDS)  # type: ignore[misc]
    deadline = time.monotonic() + GRACE_SECONDS
    while (left := node_processes(record)) and time.monotonic() < deadline:
        _signal(left, signal.SIGKILL)
        time.sleep(0.05)
    if left:
        raise RunError(f"{record.describe()}: processes {left} are still there {GRACE_SECONDS:g} s after SIGKILL")
    shutil.rmtree(record.folder, ignore_errors=True)
    forget_node()
    return len(running)


def _signal(processes: Iterable[int], number: signal.Signals) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, number)


def _wait(what: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not what() and time.monotonic() < deadline:
        time.sleep(0.05)
