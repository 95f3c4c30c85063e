"""Items loaded and decoded by several workers at once, their outcomes handed out in the items' order.

A worker is a thread with a decoder of its own: one that decodes here, or one that asks another machine to.
"""

import os
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
CHUNK_BYTES = 32 << 20  # of what its items hold already, and of what it loads before it decodes


class Decoder(AbstractContextManager, Protocol):
    """Turns contents into outcomes, for one thread at a time. A str is a reason that there is none; it stays."""

    def decode(self, contents: Sequence[Content | str]) -> list[Outcome]: ...


@dataclass(frozen=True, slots=True)
class Task:
    """An item, and its outcome if that is known already: `recall` fetches it."""

    item: Item
    recall: Callable[[], Outcome] | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """What became of an item. `fingerprints`: a row for each of its images, see `duplicates.fingerprints`."""

    item: Item
    outcome: Outcome
    fingerprints: np.ndarray | None = None


def pieces(tasks: Iterable[Task], make_decoder: Callable[[], Decoder], workers: int) -> Generator[list[Piece]]:
    """What became of each task's item, in order, some at a time; a bounded number of chunks is under way."""
    with ExitStack() as stack:
        free: SimpleQueue[Decoder] = SimpleQueue()
        for _ in range(workers):
            free.put(stack.enter_context(make_decoder()))
        pool = stack.enter_context(ThreadPoolExecutor(workers, thread_name_prefix="gen-dist-prepare"))
        stack.callback(pool.shutdown, cancel_futures=True)
        stopped = threading.Event()
        stack.callback(stopped.set)  # before the shutdown, which waits for the chunks that have begun
        under_way: deque[Future[list[Piece]]] = deque()
        for chunk in _chunks(tasks):
            under_way.append(pool.submit(_work, free, stopped, chunk))
            if len(under_way) > 2 * workers:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


def cpus() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _chunks(tasks: Iterable[Task]) -> Iterator[list[Task]]:
    chunk: list[Task] = []
    held = 0
    for task in tasks:
        chunk.append(task)
        held += task.item.held_bytes
        if len(chunk) == CHUNK_ITEMS or held >= CHUNK_BYTES:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk


def _work(free: "SimpleQueue[Decoder]", stopped: threading.Event, chunk: Sequence[Task]) -> list[Piece]:
    decoder = free.get()
    try:
        done: list[Piece] = []
        for tasks, contents in _loads(chunk, stopped):
            recalled = [None if task.recall is None else task.recall() for task in tasks]
            decoded = iter(decoder.decode([content for content in contents if content is not None]))
            outcomes = [next(decoded) if known is None else known for known in recalled]
            done += _fingerprinted(tasks, outcomes)
        return done
    finally:
        free.put(decoder)


def _loads(chunk: Sequence[Task], stopped: threading.Event) -> Iterator[tuple[list[Task], list[Content | str | None]]]:
    """The tasks of a chunk with their contents, so many at a time as memory allows; None for what is recalled."""
    tasks: list[Task] = []
    contents: list[Content | str | None] = []
    loaded = 0
    for task in chunk:
        if stopped.is_set():
            return
        content = _load(task)
        tasks.append(task)
        contents.append(content)
        loaded += 0 if content is None else len(content) if isinstance(content, bytes | str) else content.nbytes
        if loaded >= CHUNK_BYTES:
            yield tasks, contents
            tasks, contents, loaded = [], [], 0
    if tasks:
        yield tasks, contents


def _load(task: Task) -> Content | str | None:
    if task.recall is not None:
        return None
    try:
        return task.item.load()
    except RejectedError as error:
        return str(error)


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
