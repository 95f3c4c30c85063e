"""A decoding subprocess (decode.py), as the process that feeds it sees it."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Self

import numpy as np

import gen_dist
from gen_dist.errors import RunError
from gen_dist.preparing.decode import FRAMES, LENGTH, READY, REPLY
from gen_dist.preparing.outcome import Decoded, Outcome
from gen_dist.preparing.recipe import Recipe

SECONDS_PER_IMAGE = 60.0  # far above what the largest image takes on a busy machine
SECONDS_TO_START = 60.0  # of which a tenth of one is usual
DECODER = "gen_dist.preparing.decode"


class DecoderProcess:
    """A decoding subprocess, started when needed and again after a crash. For one thread at a time."""

    def __init__(self, recipe: Recipe, seconds: float = SECONDS_PER_IMAGE) -> None:
        self.recipe, self.seconds = recipe, seconds
        self._process: subprocess.Popen | None = None
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the subprocess, if it runs."""
        self._stop()

    def decode(self, data: bytes) -> Outcome:
        """What the recipe makes of an encoded file, or why there is none. After a crash it is tried once more.

        With a recipe that keeps JPEGs, `images` are of the file's own size, and there are no `jpegs` yet.
        """
        for _ in range(2):
            link = self._socket or self._start()
            try:
                return self._ask(link, data)
            except TimeoutError:
                self._stop()
                return f"takes more than {self.seconds:g} seconds to decode"
            except OSError:  # the other end has gone
                code = self._stop()
        return f"crashes the decoder ({f'signal {-code}' if code < 0 else f'exit code {code}'})"

    def _ask(self, link: socket.socket, data: bytes) -> Outcome:
        link.sendall(LENGTH.pack(len(data)))
        link.sendall(data)
        status, length = REPLY.unpack(_receive(link, REPLY.size))
        payload = _receive(link, length)
        if not status:
            return payload.decode("utf-8", "replace")
        count, width, height, *shape = FRAMES.unpack_from(payload)
        images = np.frombuffer(payload, np.uint8, offset=FRAMES.size).reshape(count, shape[1], shape[0], shape[2])
        return Decoded(images, width, height)

    def _start(self) -> socket.socket:
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(SECONDS_TO_START)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", DECODER, self.recipe.to_json()],
                cwd=Path(gen_dist.__file__).parent.parent,  # so that it finds gen_dist, and nothing of the user's
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # whose threads would use up the address space
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        try:
            ready = self._socket.recv(1) == READY
        except TimeoutError:
            ready = False
        if not ready:
            code = self._stop()
            how = f"""python -m {DECODER} '{{"size": 64}}'"""
            raise RunError(f"the image decoder does not start (exit code {code}); {how} says why")
        self._socket.settimeout(self.seconds)
        return self._socket

    def _stop(self) -> int:
        """Ends the subprocess; returns its exit code."""
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


def _receive(link: socket.socket, length: int) -> bytearray:
    """Exactly `length` bytes. Raises ConnectionError if the other end closes before."""
    data = bytearray(length)
    view, done = memoryview(data), 0
    while done < length:
        received = link.recv_into(view[done:])
        if not received:
            raise ConnectionError
        done += received
    return data
