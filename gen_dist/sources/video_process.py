"""The subprocess that reads videos (video_decode.py), as the process that asks it sees it."""

import json
import os
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from fractions import Fraction
from typing import Self

import numpy as np

from gen_dist.arms_length import ServingProcess, crash, receive
from gen_dist.kernels.limits import Limits
from gen_dist.sources.video_decode import (
    COLUMNS_REVERSED,
    COUNT,
    COUNTED,
    END,
    FRAME,
    FRAMES,
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
        self.seconds = seconds
        self._process = ServingProcess("video decoder", DECODER, [*map(str, astuple(limits))], seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the subprocess, if it runs."""
        self._process.stop()

    @property
    def pid(self) -> int | None:
        """Of the subprocess, if it runs."""
        return self._process.pid

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
            self._process.stop()  # it is in the middle of its reply
            raise
        yield from ((int(number), why) for number in wanted[done:])

    def _replies(
        self, kind: int, path: str, wanted: np.ndarray
    ) -> Iterator[tuple[int, int, tuple[int, int, int], int, bytearray]]:
        """(kind, number, (width, height, bytes of a row), turn, payload), but for ticks, up to the last one."""
        link = self._process.link()
        try:
            name = os.fsencode(path)
            link.sendall(REQUEST.pack(kind, len(name), len(wanted)) + name + wanted.astype("<i8").tobytes())
            while True:
                got, number, width, height, row, turn, length = REPLY.unpack(receive(link, REPLY.size))
                payload = receive(link, length)
                if got == REFUSED:
                    raise NoFramesError(payload.decode("utf-8", "replace"))
                if got != TICK:
                    yield got, number, (width, height, row), turn, payload
                if got in (END, COUNTED):
                    return
        except TimeoutError:
            self._process.stop()
            raise NoFramesError(f"takes more than {self.seconds:g} seconds to decode") from None
        except OSError:  # the other end has gone
            code = self._process.stop()
            raise NoFramesError(crash(code)) from None


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
