"""NumPy: copies, by which all else is bounded, and random numbers."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from benchmarks.peers.inputs import Inputs, Run

MEMORY_BYTES, CACHE_BYTES = 256 << 20, 256 << 10  # of the source, and again of the target
COPIES_IN_CACHE = 2000
NUMBERS = 1 << 22


def copy_in_memory(inputs: Inputs) -> Run:
    return _copies(inputs, MEMORY_BYTES // inputs.threads, 1)


def copy_in_cache(inputs: Inputs) -> Run:
    return _copies(inputs, CACHE_BYTES, COPIES_IN_CACHE)


def _copies(inputs: Inputs, size: int, times: int) -> Run:
    """Every thread copies an array of its own. An item is a byte that is read or written, hence views of 2 x size."""
    pairs = [(np.ones(size, np.uint8), np.ones(size, np.uint8)) for _ in range(inputs.threads)]
    moved = np.lib.stride_tricks.as_strided(np.zeros(1, np.uint8), (2 * size * times * inputs.threads,), (0,))

    def copy(pair: tuple[np.ndarray, np.ndarray]) -> None:
        for _ in range(times):
            np.copyto(pair[1], pair[0])

    if inputs.threads == 1:

        def run() -> Iterator[np.ndarray]:
            copy(pairs[0])
            yield moved
    else:
        pool = ThreadPoolExecutor(inputs.threads)

        def run() -> Iterator[np.ndarray]:
            list(pool.map(copy, pairs))
            yield moved

    return run


def uniform(inputs: Inputs) -> Run:
    generator, out = np.random.Generator(np.random.Philox(0)), np.empty(NUMBERS, np.float32)

    def run() -> Iterator[np.ndarray]:
        generator.random(out=out, dtype=np.float32)
        yield out

    return run


def normal(inputs: Inputs) -> Run:
    generator, out = np.random.Generator(np.random.Philox(0)), np.empty(NUMBERS, np.float32)

    def run() -> Iterator[np.ndarray]:
        generator.standard_normal(out=out, dtype=np.float32)
        yield out

    return run
