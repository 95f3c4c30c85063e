"""Items loaded and decoded by several workers at once, their outcomes handed out in the items' order.

A worker is a thread with a decoder of its own: one that decodes here, or one that asks another machine to.
"""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Protocol

import numpy as np

from gen_dist.preparing.duplicates import fingerprints
from gen_dist.preparing.outcome import Decoded, Outcome
from gen_dist.sources.source import Content, Item, RejectedError

CHUNK_ITEMS = 64  # what a worker takes at a time
CHUNK_BYTES = 16 << 20  # of contents and of what may become of them, at most, unless a single one needs more


class Decoder(AbstractContextManager, Protocol):
    """Turns contents into outcomes, for one thread at a time. A str is a reason that there is none; it stays."""

    def decode(self, contents: Sequence[Content | str]) -> list[Outcome]: ...


@dataclass(frozen=True, slots=True)
class Task:
    """An item, and its outcome if that is known already: `recall` fetches it, or None if it turns out to be damaged."""

    item: Item
    recall: Callable[[], Outcome | None] | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """What became of an item. `fingerprints`: a row for each of its images, see `duplicates.fingerprints`."""

    item: Item
    outcome: Outcome
    fingerprints: np.ndarray | None = None


def pieces(
    tasks: Iterable[Task], make_decoder: Callable[[], Decoder], workers: int, outcome_bytes: int = 0
) -> Generator[list[Piece]]:
    """What became of each task's item, in order, some at a time; a bounded number of chunks is under way.

    outcome_bytes: of all images of an item, at most; so much memory is counted for each.

    Threads of their own read ahead: a read gives Python's lock away and waits for it several times, while decoders
    should wait for nothing.
    """
    with ExitStack() as stack:
        free: SimpleQueue[Decoder] = SimpleQueue()
        for _ in range(workers):
            free.put(stack.enter_context(make_decoder()))
        stopped = threading.Event()
        loaders, decoders = (_pool(stack, what, workers) for what in ("load", "decode"))
        stack.callback(stopped.set)  # before the shutdowns, which wait for the chunks that have begun
        under_way: deque[tuple[Future[list[Piece]], int]] = deque()
        held = 0
        for chunk, size in _chunks(tasks, outcome_bytes):
            loading = loaders.submit(_load, stopped, chunk)
            under_way.append((decoders.submit(_decode, free, stopped, chunk, loading), size))
            held += size
            while _is_enough(len(under_way), held, workers):
                done, size = under_way.popleft()
                held -= size
                yield done.result()
        for done, _ in under_way:
            yield done.result()


def _is_enough(chunks: int, held: int, workers: int) -> bool:
    """Whether to wait for the first chunk: where chunks are small, workers should last while files are synced."""
    return chunks > 2 * workers and (chunks > 8 * workers or held > 2 * workers * CHUNK_BYTES)


def _pool(stack: ExitStack, what: str, workers: int) -> ThreadPoolExecutor:
    pool = stack.enter_context(ThreadPoolExecutor(workers, thread_name_prefix=f"gen-dist-{what}"))
    stack.callback(pool.shutdown, cancel_futures=True)
    return pool


def _chunks(tasks: Iterable[Task], outcome_bytes: int) -> Iterator[tuple[list[Task], int]]:
    """With the bytes of each, contents and outcomes."""
    chunk: list[Task] = []
    size = 0
    for task in tasks:
        chunk.append(task)
        size += task.item.content_bytes + outcome_bytes
        if len(chunk) == CHUNK_ITEMS or size >= CHUNK_BYTES:
            yield chunk, size
            chunk, size = [], 0
    if chunk:
        yield chunk, size


def _load(stopped: threading.Event, chunk: Sequence[Task]) -> list[Content | Outcome]:
    """Contents, or what is known instead of them: why there is none, or the whole outcome."""
    return [_load_one(task) for task in chunk if not stopped.is_set()]


def _load_one(task: Task) -> Content | Outcome:
    if task.recall is not None and (known := task.recall()) is not None:
        return known
    try:
        return task.item.load()
    except RejectedError as error:
        return str(error)


def _decode(
    free: "SimpleQueue[Decoder]",
    stopped: threading.Event,
    chunk: Sequence[Task],
    loading: "Future[list[Content | Outcome]]",
) -> list[Piece]:
    loaded = loading.result()
    if stopped.is_set():
        return []
    contents = [one for one in loaded if not isinstance(one, Decoded)]
    decoder = free.get()
    try:
        decoded = iter(decoder.decode(contents))
    finally:
        free.put(decoder)
    return _fingerprinted(chunk, [one if isinstance(one, Decoded) else next(decoded) for one in loaded])


def _fingerprinted(tasks: Sequence[Task], outcomes: Sequence[Outcome]) -> list[Piece]:
    """In one call for all images: each call gives Python's lock away and waits to get it back."""
    images = [outcome.images for outcome in outcomes if isinstance(outcome, Decoded)]
    rows = fingerprints(np.concatenate(images), "near") if images else np.empty(0)
    done, start = [], 0
    for task, outcome in zip(tasks, outcomes, strict=True):
        count = len(outcome.images) if isinstance(outcome, Decoded) else 0
        done.append(Piece(task.item, outcome, rows[start : start + count] if count else None))
        start += count
    return done
