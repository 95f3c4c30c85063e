"""Batches for one worker: its microbatches of each read, gathered in background threads into reused buffers.

Shapes: n samples of a microbatch, C channels, H rows, W columns.
"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch

from gen_dist.data.stream import Batching, Stream
from gen_dist.draws import subkey
from gen_dist.kernels.batch import gather
from gen_dist.kernels.philox import fill_uniform


class Images(Protocol):
    """What the loader needs of a Pack: `parts` are uint8 arrays n x H x W x C, `shape` is (H, W, C)."""

    @property
    def parts(self) -> Sequence[np.ndarray]: ...
    @property
    def shape(self) -> tuple[int, int, int]: ...
    def __len__(self) -> int: ...


class Augment(Protocol):
    """Which random changes are made to images."""

    @property
    def horizontal_flip(self) -> bool: ...
    @property
    def vertical_flip(self) -> bool: ...


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
    future: Future[Microbatch]
    buffer: torch.Tensor


class Loader:
    """Hands out microbatches and loads the following ones meanwhile.

    What a microbatch holds depends on (pack, seed, batching, augment, pixel_range, step, read, index) only.

    Args:
        pack: the images.
        seed: of the sample order and the augmentation.
        batching: sizes of batch and microbatch, reads per step.
        augment: flips, each with probability 1/2, drawn per stream position.
        pixel_range: (low, high), what pixels 0 and 255 become.
        threads: background threads; each works on one microbatch at a time.
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
        self.waited = 0.0
        self._batching = batching
        self._prefetch = prefetch
        self._shape = (batching.microbatch_size, *pack.shape)
        self._source = _Source(pack, seed, augment, pixel_range)
        self.stream = self._source.stream
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="gen-dist-loader")
        self._tasks: dict[_Key, _Task] = {}
        self._held: list[tuple[int, torch.Tensor]] = []  # (step, buffer), with the consumer
        self._abandoned: list[_Task] = []  # no longer wanted, perhaps still being written
        self._free: list[torch.Tensor] = []

    def get(self, step: int, read: int, indices: Sequence[int]) -> list[Microbatch]:
        """The microbatches `indices` of one read, waiting until they are ready; `waited` grows by the seconds.

        The next reads are then loaded in the background for the same indices, and what was loaded for others is
        dropped. Asking again for the same read loads it again, into other buffers.

        Raises what a loader thread raised; asking again tries again. ValueError if there is no such read or
        microbatch, RuntimeError after `close`.
        """
        keys = [_Key(step, read, index) for index in indices]
        self._schedule(keys + [_Key(*place, index) for place in self._following(step, read) for index in indices])
        started = time.perf_counter()
        try:
            microbatches = [self._tasks[key].future.result() for key in keys]
        except BaseException:
            for key in keys:
                self._abandoned.append(self._tasks.pop(key))
            raise
        finally:
            self.waited += time.perf_counter() - started
        self._held += [(step, self._tasks.pop(key).buffer) for key in keys]
        return microbatches

    def release(self, step: int) -> None:
        """Take back the buffers of all reads of `step` and of earlier steps; their microbatches are void."""
        self._free += [buffer for held, buffer in self._held if held <= step]
        self._held = [(held, buffer) for held, buffer in self._held if held > step]

    def close(self) -> None:
        """Drop what was loaded ahead and end the threads. What was handed out stays valid."""
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._tasks.clear()

    def _following(self, step: int, read: int) -> Iterator[tuple[int, int]]:
        """The `prefetch` pairs (step, read) after this one."""
        first = step * self._batching.reads_per_step + read + 1
        for number in range(first, first + self._prefetch):
            yield divmod(number, self._batching.reads_per_step)

    def _schedule(self, wanted: list[_Key]) -> None:
        """Start the tasks for keys that have none, in this order; abandon all tasks for other keys."""
        for key in self._tasks.keys() - set(wanted):
            task = self._tasks.pop(key)
            task.future.cancel()
            self._abandoned.append(task)
        for key in wanted:
            if key not in self._tasks:
                buffer = self._buffer()
                self._tasks[key] = _Task(self._executor.submit(self._load, key, buffer), buffer)

    def _load(self, key: _Key, buffer: torch.Tensor) -> Microbatch:
        positions = self._batching.positions(*key)
        samples = self._source.read(positions, buffer.numpy())
        return Microbatch(key.microbatch, positions, samples, buffer.permute(0, 3, 1, 2))

    def _buffer(self) -> torch.Tensor:
        """A buffer that nobody holds and no thread writes."""
        self._free += [task.buffer for task in self._abandoned if task.future.done()]
        self._abandoned = [task for task in self._abandoned if not task.future.done()]
        # Memory from torch is aligned alike in every process; from NumPy it may not be, and results of torch's
        # operations may depend on that.
        return self._free.pop() if self._free else torch.empty(self._shape)


class _Source:
    """Stream positions to finished images."""

    def __init__(self, pack: Images, seed: int, augment: Augment, pixel_range: tuple[float, float]) -> None:
        self.stream = Stream(seed, len(pack))
        self._key = subkey(seed, "augment")
        self._flips = np.array([augment.horizontal_flip, augment.vertical_flip])
        self._low, self._high = (np.float32(value) for value in pixel_range)
        self._parts = [_read_only(part) for part in pack.parts]
        self._ends = np.cumsum([len(part) for part in self._parts])
        if self._ends[-1] != len(pack):
            raise ValueError(f"a pack of {len(pack)} images whose parts hold {self._ends[-1]}")

    def read(self, positions: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Fill `out` (float32, n x H x W x C) with the images at `positions` (int64, n); return their samples."""
        samples = self.stream.indices(positions)
        flips = self.flips(positions)
        part_of = np.searchsorted(self._ends, samples, side="right")
        for number in np.unique(part_of):
            part, rows = self._parts[number], np.flatnonzero(part_of == number)
            indices = samples[rows] - (self._ends[number] - len(part))
            gather(out, part, indices, rows, flips[rows], self._low, self._high)
        return samples

    def flips(self, positions: np.ndarray) -> np.ndarray:
        """Which images are mirrored horizontally and vertically: bool, n x 2."""
        numbers = np.empty((len(positions), 2), np.float32)
        fill_uniform(numbers, *self._key, positions)
        chosen: np.ndarray = (numbers < 0.5) & self._flips
        return chosen


def _read_only(part: np.ndarray) -> np.ndarray:
    """A plain read-only view, so that kernels meet one type of array whatever the pack holds."""
    view = np.asarray(part).view()
    view.setflags(write=False)
    return view
