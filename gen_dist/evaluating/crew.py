"""Who computes: jobs that need nothing but their arguments, each by one thread, so that it is always the same bits."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import torch


class Readable(ABC):
    """Stands for a large value, which is read when it is needed."""

    @abstractmethod
    def read(self) -> Any: ...


class Job(NamedTuple):
    """`function(*arguments)`; an argument may be what `Crew.share` gave, and a `Readable` is read before the call."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]

    def read_arguments(self) -> tuple[Any, ...]:
        return tuple(one.read() if isinstance(one, Readable) else one for one in self.arguments)

    def do(self) -> Any:
        return self.function(*self.read_arguments())


class Crew(Protocol):
    def share(self, value: Any) -> Any:
        """What stands for a value that several jobs get."""
        ...

    def run(self, jobs: Sequence[Job], done: Callable[[], None]) -> list[Any]:
        """What the jobs return, in their order; `done` is called after each. Raises what a job raises."""
        ...


class Threads:
    """Workers of this process. torch, NumPy and the kernels let each other run while they compute."""

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def share(self, value: Any) -> Any:
        return value

    def run(self, jobs: Sequence[Job], done: Callable[[], None]) -> list[Any]:
        pool = ThreadPoolExecutor(self._workers, "gen-dist-evaluate", initializer=torch.set_num_threads, initargs=(1,))
        try:
            futures = [pool.submit(job.do) for job in jobs]
            found = []
            for future in futures:
                found.append(future.result())
                done()
            return found
        finally:
            pool.shutdown(cancel_futures=True)
