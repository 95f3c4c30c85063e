"""A folder of images into a pack: decoded in subprocesses, written in the order of the names."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Self

import numpy as np

import gen_dist
from gen_dist.data.decode import LENGTH, READY, REPLY
from gen_dist.data.listing import Listing, NotAnImageError, list_folder, read_image_file
from gen_dist.data.pack import PackWriter, printable
from gen_dist.errors import RunError, UserError

SECONDS_PER_IMAGE = 60.0  # far above what the largest image takes on a busy machine
SECONDS_TO_START = 60.0  # of which a tenth of one is usual
SIZES = range(8, 1025)
CHUNK_FILES, CHUNK_BYTES = 32, 4 << 20  # what a thread decodes at a time; of its output
DECODER = "gen_dist.data.decode"

Outcome = np.ndarray | str  # the image, uint8 (size, size, 3), or why there is none


@dataclass(frozen=True)
class Prepared:
    """What `prepare` did. `rejected`: (name, reason) of every file that gave no image."""

    path: Path
    images: int
    rejected: list[tuple[str, str]]
    class_names: list[str] | None
    seconds: float


def prepare(
    source: Path,
    out: Path,
    size: int,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Prepared:
    """Makes a pack `out` of the images in the folder `source`, each cropped to its central square of `size` pixels.

    Top-level folders become classes if there are two or more and no image lies outside them. `workers`: decoding
    subprocesses (default: one per CPU); the pack's bytes do not depend on it. `progress(done, total)` is called with
    numbers of files. Files that are no image, or a damaged one, are skipped and listed. Raises UserError for a size out
    of range, a folder that is missing, empty or without a readable image, an `out` that exists or cannot be written.
    """
    started = time.perf_counter()
    check_size(size, "--size")
    listing = list_folder(Path(source))
    classes, images, rejected = _Classes(), 0, list(listing.rejected)
    outcomes = _decoded(listing, size, workers or cpus())
    with closing(outcomes), PackWriter(out, (size, size, 3)) as writer:
        for done, (name, outcome) in enumerate(outcomes, start=1):
            if isinstance(outcome, str):
                rejected.append((name, outcome))
            else:
                writer.append(outcome, classes.label(name))
                images += 1
            if progress is not None:
                progress(done, len(listing))
        rejected = sorted((printable(name), reason) for name, reason in rejected)
        if not images:
            first = f"{rejected[0][0]}: {rejected[0][1]}"
            raise UserError(f"folder '{source}': none of its {len(rejected)} files is a readable image ({first})")
        counts = {"files": len(listing), "images": images, "rejected": len(rejected)}
        writer.finish(str(source), counts, classes.names(), rejected)
    return Prepared(Path(out), images, rejected, classes.names(), time.perf_counter() - started)


def check_size(size: int, name: str) -> None:
    """Raises UserError if images of `size` pixels a side cannot be prepared; `name` is what the user calls the size."""
    if size not in SIZES:
        raise UserError(f"{name} {size}: out of range; give {SIZES[0]} to {SIZES[-1]} pixels")


def cpus() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Classes:
    """Numbers the top-level folders in the order of their first image; one image outside them, and there are none."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._loose = False

    def label(self, name: str) -> int | None:
        folder, inside, _ = name.partition(os.sep)
        self._loose |= not inside
        return self._numbers.setdefault(folder, len(self._numbers)) if inside else None

    def names(self) -> list[str] | None:
        return None if self._loose or len(self._numbers) < 2 else [printable(name) for name in self._numbers]


def _decoded(listing: Listing, size: int, workers: int) -> Generator[tuple[str, Outcome]]:
    """(name, outcome) of every file in order; a bounded number of chunks is under way at any time."""
    per_chunk = max(1, min(CHUNK_FILES, CHUNK_BYTES // (3 * size * size)))
    chunks = (listing.files[i : i + per_chunk] for i in range(0, len(listing), per_chunk))
    with ExitStack() as stack:
        free: SimpleQueue[_Decoder] = SimpleQueue()
        for _ in range(workers):
            free.put(stack.enter_context(_Decoder(size)))
        pool = stack.enter_context(ThreadPoolExecutor(workers))
        stack.callback(pool.shutdown, cancel_futures=True)
        stopped = threading.Event()
        stack.callback(stopped.set)  # before the shutdown, which waits for the chunks that have begun
        under_way: deque[tuple[list[str], Future[list[Outcome]]]] = deque()
        for chunk in chunks:
            under_way.append((chunk, pool.submit(_decode_chunk, free, stopped, listing.folder, chunk)))
            if len(under_way) > 2 * workers:
                names, future = under_way.popleft()
                yield from zip(names, future.result(), strict=True)
        for names, future in under_way:
            yield from zip(names, future.result(), strict=True)


def _decode_chunk(
    free: "SimpleQueue[_Decoder]", stopped: threading.Event, folder: Path, names: Sequence[str]
) -> list[Outcome]:
    decoder = free.get()
    try:
        return [_decode_file(decoder, folder / name) for name in names if not stopped.is_set()]
    finally:
        free.put(decoder)


def _decode_file(decoder: "_Decoder", path: Path) -> Outcome:
    try:
        return decoder.decode(read_image_file(path))
    except NotAnImageError as error:
        return str(error)


class _Decoder:
    """A decoding subprocess (see decode.py), started when needed and again after a crash. For one thread at a time."""

    def __init__(self, size: int, seconds: float = SECONDS_PER_IMAGE) -> None:
        self.size, self.seconds = size, seconds
        self._process: subprocess.Popen | None = None
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop()

    def decode(self, data: bytes) -> Outcome:
        """The image in an encoded file, or why there is none. After a crash it is tried once more."""
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
        return np.frombuffer(payload, np.uint8).reshape(self.size, self.size, 3)

    def _start(self) -> socket.socket:
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(SECONDS_TO_START)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", DECODER, str(self.size)],
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
            raise RunError(f"the image decoder does not start (exit code {code}); 'python -m {DECODER} 64' says why")
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
