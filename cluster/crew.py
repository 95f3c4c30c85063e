"""An evaluation's jobs on the machines of a Ray cluster, which need no copy of the data or the run."""

import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from gen_dist.cluster.decoding import source_hash_once
from gen_dist.cluster.session import joined_cluster, list_nodes
from gen_dist.errors import RunError, UserError
from gen_dist.evaluating.crew import Job, Readable

RETRIES = 3  # of a job whose process or machine died


@contextmanager
def cluster_crew(address: str, workers: int | None) -> Iterator["Tasks"]:
    """Of all CPUs of the cluster at `address`, or so many.

    Raises:
        UserError: no cluster answers.
    """
    with joined_cluster(address):
        yield Tasks(workers or max(1, sum(node.cpus for node in list_nodes())))


class Tasks:
    """Plain tasks, because jobs have no state: Ray runs those of a machine that dies on the others."""

    def __init__(self, workers: int) -> None:
        import ray

        self._workers = workers
        self._task: Any = ray.remote(do_there).options(num_cpus=1, max_retries=RETRIES)
        self._put: dict[int, tuple[Readable, Any]] = {}  # by identity, with what keeps it alive

    def share(self, value: Any) -> Any:
        import ray

        return ray.put(value)

    def run(self, jobs: Sequence[Job], done: Callable[[], None]) -> list[Any]:
        """Raises UserError for a machine with another version of gen-dist, RunError where the cluster fails."""
        found: list[Any] = []
        waiting: deque[Any] = deque()
        for job in jobs:
            if len(waiting) == self._workers:
                found.append(get(waiting.popleft()))
                done()
            waiting.append(self._task.remote(source_hash_once(), job.function, *map(self._sent, job.arguments)))
        for task in waiting:
            found.append(get(task))
            done()
        return found

    def _sent(self, argument: Any) -> Any:
        """What is read goes to the cluster once."""
        if not isinstance(argument, Readable):
            return argument
        if id(argument) not in self._put:
            self._put[id(argument)] = argument, self.share(argument.read())
        return self._put[id(argument)][1]


def get(task: Any) -> Any:
    import ray

    try:
        return ray.get(task)
    except UserError as error:
        raise UserError(str(error.__cause__ or error)) from None
    except ray.exceptions.RayError as error:
        raise RunError(f"evaluating: the Ray cluster failed: {' '.join(str(error).split())[:300]}") from error


def do_there(source: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Runs in one of Ray's processes."""
    import torch

    if source != source_hash_once():
        raise UserError(
            f"evaluating: {socket.gethostname()} has another version of gen-dist than this machine; "
            "install the same one on every machine"
        )
    torch.set_num_threads(1)
    return Job(function, arguments).do()
