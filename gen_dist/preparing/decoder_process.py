"""The decoding subprocess (decode.py), as the process that feeds it sees it."""

import socket
from typing import Self

import numpy as np

from gen_dist.arms_length import ServingProcess, crash, receive
from gen_dist.preparing.decode import FRAMES, LENGTH, REPLY
from gen_dist.preparing.outcome import Decoded, Outcome
from gen_dist.preparing.recipe import Recipe

SECONDS_PER_IMAGE = 60.0  # far above what the largest image takes on a busy machine
DECODER = "gen_dist.preparing.decode"
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}  # others would use up the address space


class DecoderProcess:
    """A decoding subprocess, started when needed and again after a crash. For one thread at a time."""

    def __init__(self, recipe: Recipe, seconds: float = SECONDS_PER_IMAGE) -> None:
        self.seconds = seconds
        self._process = ServingProcess("image decoder", DECODER, [recipe.to_json()], seconds, ONE_THREAD)

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

    def decode(self, data: bytes) -> Outcome:
        """What the recipe makes of an encoded file, or why there is none. After a crash it is tried once more.

        With a recipe that keeps JPEGs, `images` are of the file's own size, and there are no `jpegs` yet.
        """
        for _ in range(2):
            link = self._process.link()
            try:
                return self._ask(link, data)
            except TimeoutError:
                self._process.stop()
                return f"takes more than {self.seconds:g} seconds to decode"
            except OSError:  # the other end has gone
                code = self._process.stop()
        return crash(code)

    def _ask(self, link: socket.socket, data: bytes) -> Outcome:
        link.sendall(LENGTH.pack(len(data)))
        link.sendall(data)
        status, length = REPLY.unpack(receive(link, REPLY.size))
        payload = receive(link, length)
        if not status:
            return payload.decode("utf-8", "replace")
        count, width, height, *shape = FRAMES.unpack_from(payload)
        images = np.frombuffer(payload, np.uint8, offset=FRAMES.size).reshape(count, shape[1], shape[0], shape[2])
        return Decoded(images, width, height)
