"""Who computes: jobs that need nothing but their arguments, each by one thread, so that it is always the same bits."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, Protocol

import torch

from gen_dist.engine.allocator import give_back_freed_memory


class Readable(ABC):
    """Stands for a large value, which is read when it is needed."""

    @abstractmethod
    def read(self) -> Any: ...


class Job(NamedTuple):
    """`function(*arguments)`; an argument may be what `Crew.share` gave, and a `Readable` is read before the call."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]

    def do(self) -> Any:
        try:
            return self.function(*(one.read() if isinstance(one, Readable) else one for one in self.arguments))
        finally:
            give_back_freed_memory()  # another thread does the next such job, perhaps


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
        """What is being computed when a job fails, or the user interrupts, is not waited for."""
        waiting = SimpleQueue[tuple[int, Job]]()
        for numbered in enumerate(jobs):
            waiting.put(numbered)
        answers = SimpleQueue[tuple[int, Any, BaseException | None]]()
        stopped = threading.Event()
        for _ in range(min(self._workers, len(jobs))):
            threading.Thread(target=_work, args=(waiting, answers, stopped), daemon=True).start()
        found: list[Any] = [None] * len(jobs)
        try:
            for _ in jobs:
                number, value, error = answers.get()
                if error is not None:
                    raise error
                found[number] = value
                done()
        finally:
            stopped.set()
        return found


def _work(
    waiting: "SimpleQueue[tuple[int, Job]]",
    answers: "SimpleQueue[tuple[int, Any, BaseException | None]]",
    stopped: threading.Event,
) -> None:
    torch.set_num_threads(1)
    while not stopped.is_set():
        try:
            number, job = waiting.get_nowait()
        except Empty:
            return
        try:
            answers.put((number, job.do(), None))
        except Exception as error:
            answers.put((number, None, error))
