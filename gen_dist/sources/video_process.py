"""The subprocess that reads videos (video_decode.py), as the process that asks it sees it."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Self

import numpy as np

import gen_dist
from gen_dist.errors import RunError
from gen_dist.kernels.limits import Limits
from gen_dist.sources.video_decode import (
    COLUMNS_REVERSED,
    COUNT,
    COUNTED,
    END,
    FRAME,
    FRAMES,
    READY,
    REFUSED,
    REPLY,
    REQUEST,
    ROWS_REVERSED,
    TICK,
    TRANSPOSED,
)

SECONDS = 60.0  # without a sign of life; far above what the largest frame takes on a busy machine
DECODER = "gen_dist.sources.video_decode"


class NoFramesError(Exception):
    """Why a file gives no frames, in a few words for the user."""


@dataclass(frozen=True)
class Counted:
    """What a video holds, read without decoding it.

    Args:
        frames: how many there should be.
        width, height: in pixels, as stored; pictures may be turned, and sizes may change on the way.
        times: int64, ascending, when each frame is shown, in units of `base` seconds; None where the file has no times.
        rate: frames a second on average, None if unknown.
        problem: why it may hold less than it should, "" for nothing wrong.
    """

    frames: int
    width: int
    height: int
    times: np.ndarray | None
    base: Fraction
    rate: Fraction | None
    problem: str


class VideoProcess:
    """A subprocess that reads videos, started when needed and again after a crash. For one thread at a time."""

    def __init__(self, limits: Limits, seconds: float = SECONDS) -> None:
        self.limits, self.seconds = limits, seconds
        self._process: subprocess.Popen | None = None
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the subprocess, if it runs."""
        self._stop()

    def count(self, path: str) -> Counted:
        """Raises NoFramesError for what is no video, or damaged at its start, or too large."""
        for kind, _, _, _, payload in self._replies(COUNT, path, np.empty(0, np.int64)):
            if kind == COUNTED:
                return _counted(payload)
        raise AssertionError("the last reply is COUNTED, or _replies raises")

    def frames(self, path: str, wanted: np.ndarray) -> Iterator[tuple[int, np.ndarray | str]]:
        """(number, RGB pixels, uint8, H x W x 3, upright; or why there are none) of every wanted frame, in order.

        `wanted`: int64, ascending. Never raises for what is in the file: what cannot be had has a reason.
        """
        done, why = 0, "the video ended before this frame"
        try:
            for kind, number, size, turn, payload in self._replies(FRAMES, path, wanted):
                if kind == END:
                    break
                yield number, _picture(payload, size, turn) if kind == FRAME else payload.decode("utf-8", "replace")
                done += 1
        except NoFramesError as error:
            why = str(error)
        except GeneratorExit:
            self._stop()  # it is in the middle of its reply
            raise
        yield from ((int(number), why) for number in wanted[done:])

    def _replies(
        self, kind: int, path: str, wanted: np.ndarray
    ) -> Iterator[tuple[int, int, tuple[int, int, int], int, bytearray]]:
        """(kind, number, (width, height, bytes of a row), turn, payload), but for ticks, up to the last one."""
        link = self._socket or self._start()
        try:
            name = os.fsencode(path)
            link.sendall(REQUEST.pack(kind, len(name), len(wanted)) + name + wanted.astype("<i8").tobytes())
            while True:
                got, number, width, height, row, turn, length = REPLY.unpack(_receive(link, REPLY.size))
                payload = _receive(link, length)
                if got == REFUSED:
                    raise NoFramesError(payload.decode("utf-8", "replace"))
                if got != TICK:
                    yield got, number, (width, height, row), turn, payload
                if got in (END, COUNTED):
                    return
        except TimeoutError:
            self._stop()
            raise NoFramesError(f"takes more than {self.seconds:g} seconds to decode") from None
        except OSError:  # the other end has gone
            code = self._stop()
            what = f"signal {-code}" if code < 0 else f"exit code {code}"
            raise NoFramesError(f"crashes the decoder ({what})") from None

    def _start(self) -> socket.socket:
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(self.seconds)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", DECODER, *map(str, astuple(self.limits))],
                cwd=Path(gen_dist.__file__).parent.parent,  # so that it finds gen_dist, and nothing of the user's
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
            raise RunError(f"the video decoder does not start (exit code {code}); 'python -m {DECODER}' says why")
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


def _counted(payload: bytearray) -> Counted:
    head, _, times = bytes(payload).partition(b"\n")
    about = json.loads(head)
    return Counted(
        about["frames"],
        about["width"],
        about["height"],
        np.frombuffer(times, "<i8") if times else None,
        Fraction(*about["base"]) if about["base"] else Fraction(1),
        Fraction(*about["rate"]) if about["rate"] else None,
        about["problem"],
    )


def _picture(payload: bytearray, size: tuple[int, int, int], turn: int) -> np.ndarray:
    width, height, row = size
    pixels = np.frombuffer(payload, np.uint8).reshape(height, row)[:, : 3 * width].reshape(height, width, 3)
    if turn & TRANSPOSED:
        pixels = pixels.transpose(1, 0, 2)
    if turn & ROWS_REVERSED:
        pixels = pixels[::-1]
    if turn & COLUMNS_REVERSED:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


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
