"""Batches for one worker: its microbatches of each read, gathered in background threads into reused buffers.

Shapes: n samples of a microbatch, C channels, H rows, W columns.
"""

import itertools
import math
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from gen_dist.data.augmentation import Augment
from gen_dist.data.gathering import Gatherer, Plan
from gen_dist.data.pixels import Images
from gen_dist.data.stream import Batching

LATER = 4  # how much nicer loading is than computing
CHUNK_BYTES = 8 << 20  # what a thread fills before it asks for more; asking costs a wait for Python's lock


@dataclass
class Microbatch:
    """Images of one microbatch. Valid until `Loader.release`, which lets the memory be written again."""

    index: int
    positions: np.ndarray  # int64, n: places in the stream
    samples: np.ndarray  # int64, n: indices in the pack
    images: torch.Tensor  # float32, n x C x H x W, a channels_last view of a reused NHWC buffer


class _Key(NamedTuple):
    step: int
    read: int
    microbatch: int


class _Task(NamedTuple):
    """A microbatch under way: it is whole when all its chunks are."""

    number: int  # of the microbatch in its read
    plan: Future[Plan]  # of all microbatches that were asked for at once
    part: slice  # of it, that of this one
    buffer: torch.Tensor
    chunks: list[Future[None]]

    def wait(self) -> Microbatch:
        """Raises what a thread raised."""
        for chunk in self.chunks:
            chunk.result()
        plan = self.plan.result()
        return Microbatch(
            self.number, plan.positions[self.part], plan.samples[self.part], self.buffer.permute(0, 3, 1, 2)
        )

    def cancel(self) -> None:
        for chunk in self.chunks:
            chunk.cancel()

    def done(self) -> bool:
        return all(chunk.done() for chunk in self.chunks)


class Busy:
    """Seconds of all threads together."""

    def __init__(self) -> None:
        self._seconds = np.zeros(3)
        self._lock = threading.Lock()

    def add(self, decoding: float, augmenting: float, everything: float) -> None:
        with self._lock:
            self._seconds += decoding, augmenting, everything

    def take(self) -> tuple[float, float, float]:
        """What was added since the last call."""
        with self._lock:
            decoding, augmenting, everything = self._seconds.tolist()
            self._seconds[:] = 0
            return decoding, augmenting, everything


class Loader:
    """Hands out microbatches and loads the following ones meanwhile.

    What a microbatch holds depends on (pack, seed, batching, augment, pixel_range, step, read, index) only.

    Args:
        pack: the images.
        seed: of the sample order and the augmentation.
        batching: sizes of batch and microbatch, reads per step.
        augment: random changes, drawn per stream position.
        pixel_range: (low, high), what pixels 0 and 255 become.
        threads: background threads; each works on one chunk of a microbatch at a time.
        prefetch: how many reads are loaded ahead.

    All methods are called from one thread. Memory: one buffer per microbatch in the prefetched and the unreleased
    reads; more are made when all are in use.
    """

    def __init__(
        self,
        pack: Images,
        seed: int,
        batching: Batching,
        *,
        augment: Augment,
        pixel_range: tuple[float, float],
        threads: int = 1,
        prefetch: int = 2,
    ) -> None:
        self._busy = Busy()
        self.batching = batching
        self._prefetch = prefetch
        self._shape = (batching.microbatch_size, *pack.shape)
        self.source = Gatherer(pack, seed, augment, pixel_range)
        self.stream = self.source.stream
        self._chunks = _equal_parts(batching.microbatch_size, CHUNK_BYTES // (4 * math.prod(pack.shape)))
        self._executor = ThreadPoolExecutor(threads, "gen-dist-loader", give_way)
        self._tasks: dict[_Key, _Task] = {}
        self._held: list[tuple[int, torch.Tensor]] = []  # (step, buffer), with the consumer
        self._abandoned: list[_Task] = []  # no longer wanted, perhaps still being written
        self._free: list[torch.Tensor] = []

    def get(self, step: int, read: int, indices: Sequence[int]) -> list[Microbatch]:
        """The microbatches `indices` of one read, waiting until they are ready.

        The next reads are then loaded in the background for the same indices, and what was loaded for others is
        dropped. Asking again for the same read loads it again, into other buffers.

        Raises what a loader thread raised; asking again tries again. ValueError if there is no such read or
        microbatch, RuntimeError after `close`.
        """
        keys = [_Key(step, read, index) for index in indices]
        self._schedule(keys + [_Key(*place, index) for place in self._following(step, read) for index in indices])
        try:
            microbatches = [self._tasks[key].wait() for key in keys]
        except BaseException:
            for key in keys:
                self._abandoned.append(self._tasks.pop(key))
            raise
        self._held += [(step, self._tasks.pop(key).buffer) for key in keys]
        return microbatches

    def release(self, step: int) -> None:
        """Take back the buffers of all reads of `step` and of earlier steps; their microbatches are void."""
        self._free += [buffer for held, buffer in self._held if held <= step]
        self._held = [(held, buffer) for held, buffer in self._held if held > step]

    def split_wait(self, measured: Mapping[str, float]) -> dict[str, float]:
        """`measured` (see `step_times`), its `data_wait` divided as the threads' time was since the last call: what of
        it was decoding, what augmenting; and `loading`, that time. The rest of the wait is reading, waiting for a CPU,
        and whatever else kept the threads."""
        decode, augment, everything = self._busy.take()
        wait = measured.get("data_wait", 0.0)
        found = {"decode": wait * decode / everything, "augment": wait * augment / everything} if everything else {}
        return {**measured, **found, "data_wait": wait - sum(found.values()), "loading": everything}

    def close(self) -> None:
        """Drop what was loaded ahead and end the threads. What was handed out stays valid."""
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._tasks.clear()

    def _following(self, step: int, read: int) -> Iterator[tuple[int, int]]:
        """The `prefetch` pairs (step, read) after this one."""
        first = step * self.batching.reads_per_step + read + 1
        for number in range(first, first + self._prefetch):
            yield divmod(number, self.batching.reads_per_step)

    def _schedule(self, wanted: list[_Key]) -> None:
        """Start the tasks for keys that have none, in this order; abandon all tasks for other keys."""
        for key in self._tasks.keys() - set(wanted):
            task = self._tasks.pop(key)
            task.cancel()
            self._abandoned.append(task)
        missing = [key for key in wanted if key not in self._tasks]
        for _, read in itertools.groupby(missing, lambda key: (key.step, key.read)):
            self._start(list(read))

    def _start(self, keys: list[_Key]) -> None:
        """Of one read. A thread makes the plan, for all at once; tasks begin in the order in which they are given."""
        positions = np.concatenate([self.batching.positions(*key) for key in keys])
        plan = self._executor.submit(self._plan, positions)
        for place, key in enumerate(keys):
            first, buffer = place * self.batching.microbatch_size, self._buffer()
            pixels = buffer.numpy()
            chunks = [self._executor.submit(self._fill, pixels[chunk], plan, first, chunk) for chunk in self._chunks]
            part = slice(first, first + self.batching.microbatch_size)
            self._tasks[key] = _Task(key.microbatch, plan, part, buffer, chunks)

    def _plan(self, positions: np.ndarray) -> Plan:
        """In one of the threads."""
        started = time.perf_counter()
        plan = self.source.plan(positions)
        self._busy.add(0.0, 0.0, time.perf_counter() - started)
        return plan

    def _fill(self, out: np.ndarray, plan: Future[Plan], first: int, chunk: slice) -> None:
        """In one of the threads. The plan has begun before, in this or another one."""
        whole = plan.result()
        started = time.perf_counter()
        decoding, augmenting = self.source.fill(out, whole.of(slice(first + chunk.start, first + chunk.stop)))
        self._busy.add(decoding, augmenting, time.perf_counter() - started)

    def _buffer(self) -> torch.Tensor:
        """A buffer that nobody holds and no thread writes."""
        self._free += [task.buffer for task in self._abandoned if task.done()]
        self._abandoned = [task for task in self._abandoned if not task.done()]
        # Memory from torch is aligned alike in every process; from NumPy it may not be, and results of torch's
        # operations may depend on that.
        return self._free.pop() if self._free else torch.empty(self._shape)


def give_way() -> None:
    """Where the system allows it, let this thread have a CPU after those that compute: what it loads is for later."""
    with suppress(OSError, AttributeError):
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + LATER)


def _equal_parts(count: int, most: int) -> list[slice]:
    """[0, count) in as few parts as there can be of at most `most` (or one), their sizes equal up to one."""
    parts = -(-count // max(1, most))
    edges = [count * part // parts for part in range(parts + 1)]
    return [slice(start, end) for start, end in itertools.pairwise(edges)]
