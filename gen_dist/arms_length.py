"""Subprocesses of ours that decode foreign files at arm's length, as the process that feeds them sees them.

They are fed over a socket, which is their standard input, and say `READY` first.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import gen_dist
from gen_dist.errors import RunError

READY = b"!"
CRASHES = "crashes the decoder"
SECONDS_TO_START = 60.0  # of which a tenth of one is usual


class ServingProcess:
    """`python -m MODULE ARGUMENTS…`, started when needed and again after a crash. For one thread at a time.

    `what`: what errors call it. `seconds`: how long to wait for an answer. `changes`: to its environment.
    """

    def __init__(
        self,
        what: str,
        module: str,
        arguments: Sequence[str],
        seconds: float,
        changes: Mapping[str, str] | None = None,
    ) -> None:
        self.what, self.module, self.arguments, self.seconds = what, module, arguments, seconds
        self._changes = changes or {}
        self._process: subprocess.Popen | None = None
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """Of the process, if it runs."""
        return None if self._process is None else self._process.pid

    def link(self) -> socket.socket:
        """The socket to it, started if it does not run. Raises RunError if it does not start."""
        return self._socket or self._start()

    def stop(self) -> int:
        """Ends it, if it runs; returns its exit code."""
        if self._socket is not None:
            self._socket.close()
        if self._process is None:
            return 0
        try:
            code = self._process.wait(1)  # it leaves by itself when the socket closes, unless it is stuck
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._process = self._socket = None
        return code

    def _start(self) -> socket.socket:
        try:
            self._socket, theirs = socket.socketpair()
            self._socket.settimeout(SECONDS_TO_START)
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", self.module, *self.arguments],
                    cwd=Path(gen_dist.__file__).parent.parent,  # so that it finds gen_dist, and nothing of the user's
                    env={**os.environ, **self._changes},
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
        except OSError as error:  # no memory, or no process or file more
            self.stop()
            raise RunError(f"the {self.what} does not start: {error.strerror}") from error
        try:
            ready = self._socket.recv(len(READY)) == READY
        except TimeoutError:
            ready = False
        if not ready:
            code = self.stop()
            raise RunError(f"the {self.what} does not start (exit code {code}); python -m {self.module} says why")
        self._socket.settimeout(self.seconds)
        return self._socket


def receive(link: socket.socket, length: int) -> bytearray:
    """Exactly `length` bytes. Raises ConnectionError if the other end closes before."""
    data = bytearray(length)
    view, done = memoryview(data), 0
    while done < length:
        received = link.recv_into(view[done:])
        if not received:
            raise ConnectionError
        done += received
    return data


def depends_on_the_moment(reason: str) -> bool:
    """Whether a file that was refused for this reason may be accepted the next time."""
    return reason.startswith(("takes more ", CRASHES))


def crash(code: int) -> str:
    """The reason for a file that ended the process that decoded it."""
    return f"{CRASHES} ({f'signal {-code}' if code < 0 else f'exit code {code}'})"
