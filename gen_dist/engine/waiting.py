"""Waiting for what gloo sends and receives, without being left alone with it.

Where a peer dies in the middle of a message, gloo does not end the waiting for that message: it takes the whole time
limit of the group. Breaking off the connection does not help, as it is closed already. So a thread of its own waits,
and who needs the message looks again and again whether that is still worth it.
"""

import threading
import weakref
from collections.abc import Callable, Sequence
from queue import SimpleQueue

import torch.distributed as dist

LOOK_SECONDS = 0.05


class Job:
    """Messages to wait for; `ended` when all are there, or one cannot come."""

    def __init__(self, works: Sequence[dist.Work]) -> None:
        self.works = works
        self.ended = threading.Event()
        self.error: BaseException | None = None

    def do(self) -> None:
        try:
            for work in self.works:
                work.wait()
        except BaseException as error:  # whoever waits gets it, without the frames that hold the messages
            self.error = error.with_traceback(None)
        finally:
            self.works = ()
            self.ended.set()


class Waiter:
    """Its thread starts with the first job, and ends with it; one that was given up may stay until the time limit."""

    def __init__(self) -> None:
        self.jobs: SimpleQueue[Job | None] = SimpleQueue()
        self.thread: threading.Thread | None = None

    def wait(self, works: Sequence[dist.Work], check: Callable[[], None]) -> None:
        """Until all are done. `check` is called now and then, and raises where nobody should wait any more.

        Raises:
            RuntimeError: gloo's, where a peer is gone and it has noticed; or what `check` raises.
        """
        if not works:
            return
        if self.thread is None:
            self.thread = threading.Thread(target=serve, args=(self.jobs,), name="waiting for gloo", daemon=True)
            self.thread.start()
            weakref.finalize(self, self.jobs.put, None)
        job = Job(works)
        self.jobs.put(job)
        while not job.ended.wait(LOOK_SECONDS):
            check()
        try:
            if job.error is not None:
                raise job.error
        finally:
            del job  # which the error's traceback would hold


def serve(jobs: "SimpleQueue[Job | None]") -> None:
    while (job := jobs.get()) is not None:
        job.do()
        del job  # and the tensors that it holds, until the next one comes
