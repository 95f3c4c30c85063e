"""Starts the workers, listens to them, hands what they say to the recorder, and ends them.

The only writer of a run's record is the process that runs this. Decisions are in `policy` and `placement`.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from gen_dist.assignment import Assignment
from gen_dist.cluster.network import serve_store
from gen_dist.cluster.placement import Plan
from gen_dist.cluster.policy import Failure, Kind, root_cause, seconds_to_wait_for_more
from gen_dist.cluster.source import source_hash
from gen_dist.cluster.worker import Identity, Rendezvous, TrainWorker
from gen_dist.config import RunConfig
from gen_dist.engine.hardware import resolve_hardware
from gen_dist.engine.ownership import Ownership
from gen_dist.errors import RunError, UserError
from gen_dist.events import Event

POLL_SECONDS = 0.2
START_SECONDS = 120.0  # for a worker to be placed and to import torch


class WorkerFailed(RunError):
    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure), failure.detail)
        self.failure = failure


@dataclass(frozen=True)
class Job:
    """What the workers of a run have in common."""

    config: RunConfig
    pack: Path
    data_hash: str
    ownership: Ownership
    resume: Mapping[str, bytes] | None
    init: Mapping[str, bytes] | None


class Supervisor:
    def __init__(self, job: Job, plan: Plan, address: str, handle: Callable[[Event], None]) -> None:
        """`address`: where this process can be reached by the workers. `handle` gets every event, in this thread."""
        self.job, self.plan, self.address, self.handle = job, plan, address, handle
        self.workers: list[Any] = []  # actor handles, whose methods ray makes up
        self.identities: list[Identity] = []
        self.doing: list[str] = ["start-up"] * plan.workers
        self.store: object = None  # lives as long as its workers
        self.rendezvous: Rendezvous

    def run(self, asked_to_stop: Callable[[], bool], prepare: Callable[[RunConfig], None]) -> int:
        """Train; returns the number of finished steps. `prepare` gets the resolved configuration before any step.

        Raises:
            UserError: a node has other source, other data, or lacks what was asked for.
            WorkerFailed: a worker died or raised.
        """
        try:
            self.start_workers()
            config = resolve_hardware(self.job.config, [identity.hardware for identity in self.identities])
            prepare(config)
            return self.watch(self.start_training(config), asked_to_stop)
        finally:
            for worker in self.workers:
                ray.kill(worker)

    def start_workers(self) -> None:
        actor = ray.remote(TrainWorker)
        self.workers = [
            actor.options(
                num_cpus=self.plan.cpus_per_worker,
                num_gpus=self.plan.gpus_per_worker,
                max_concurrency=4,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node.node_id, soft=False),
            ).remote()
            for node in self.plan.nodes
        ]
        asked: list[ray.ObjectRef[Identity]] = [
            worker.identify.remote(self.job.config.data.path, self.job.pack) for worker in self.workers
        ]
        timeout = self.job.config.cluster.timeout_seconds
        self.store, port = serve_store(self.address, timeout)  # imports torch, while the workers do
        self.rendezvous = Rendezvous(self.address, port, 0, timeout)
        for rank, reference in enumerate(asked):
            try:
                self.identities.append(ray.get(reference, timeout=START_SECONDS))
            except RayError as error:
                raise self.explain(rank, error) from None
        check_identities(self.identities, self.job.data_hash)

    def start_training(self, config: RunConfig) -> dict[ray.ObjectRef, int]:
        """Every rank's `run`, going: reference to rank."""
        job = self.job
        return {
            worker.run.remote(
                Assignment(config, job.pack, rank, job.ownership, job.resume, job.init), self.rendezvous
            ): rank
            for rank, worker in enumerate(self.workers)
        }

    def watch(self, running: dict[ray.ObjectRef, int], asked_to_stop: Callable[[], bool]) -> int:
        polls = {self.poll(rank): rank for rank in running.values()}
        failures: list[Failure] = []
        finished: list[int] = []
        told, deadline = False, float("inf")
        while running and time.monotonic() < deadline:
            if asked_to_stop() and not told:
                told = True
                for worker in self.workers:
                    worker.request_stop.remote()
            ready, _ = ray.wait([*running, *polls], num_returns=1, timeout=POLL_SECONDS)
            for reference in ready:
                if reference in polls:
                    self.take_events(reference, polls)
                    continue
                rank = running.pop(reference)
                try:
                    finished.append(ray.get(reference))
                except RayError as error:
                    failures.append(self.explain(rank, error).failure)
                    deadline = time.monotonic() + seconds_to_wait_for_more(failures)
        if failures:
            raise WorkerFailed(root_cause(failures))
        self.drain(polls)
        return finished[0]

    def poll(self, rank: int, seconds: float = POLL_SECONDS) -> ray.ObjectRef:
        return self.workers[rank].poll.remote(seconds)

    def take_events(self, reference: ray.ObjectRef, polls: dict[ray.ObjectRef, int]) -> int:
        """Handle what a poll brought and ask again; returns how many events there were."""
        rank = polls.pop(reference)
        try:
            self.doing[rank], events = ray.get(reference)
        except RayActorError:
            return 0  # its `run` says why
        for event in events:
            self.handle(event)
        polls[self.poll(rank)] = rank
        return len(events)

    def drain(self, polls: dict[ray.ObjectRef, int]) -> None:
        """Handle what finished workers have still to say."""
        for reference in list(polls):
            while self.take_events(reference, polls):
                reference = next(iter(reversed(polls)))

    def explain(self, rank: int, error: RayError) -> WorkerFailed:
        """What happened to a worker, in the user's terms.

        Raises:
            UserError: the worker refused its input.
        """
        host = self.identities[rank].host if rank < len(self.identities) else self.plan.nodes[rank].host
        if isinstance(error, RayTaskError):
            with suppress(RayError):
                self.doing[rank], _ = ray.get(self.poll(rank, 0.0), timeout=1.0)
            cause: Any = error.cause
            if isinstance(cause, UserError):
                raise UserError(str(cause)) from None
            line = f"{type(cause).__name__}: {first_line(str(cause))}"
            if isinstance(cause, RunError):
                line = str(cause)
            kind = Kind.COLLECTIVE if is_collective(cause) else Kind.EXCEPTION
            return WorkerFailed(Failure(rank, host, self.doing[rank], kind, line, str(error)))
        return WorkerFailed(Failure(rank, host, self.doing[rank], Kind.DEATH, describe_death(error), str(error)))


def check_identities(identities: Sequence[Identity], data_hash: str) -> None:
    """Refuse a group whose members would compute different things.

    Raises:
        UserError: names the hosts that differ.
    """
    others = sorted({i.host for i in identities if i.source != source_hash()})
    if others:
        raise UserError(f"gen-dist on {', '.join(others)}: other source than here; install the same version everywhere")
    others = sorted({i.host for i in identities if i.data_hash != data_hash})
    if others:
        raise UserError(f"data on {', '.join(others)}: other content than here; copy the same pack to every node")


def first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "no message")[:300]


def is_collective(cause: BaseException) -> bool:
    """Whether a worker failed only because a peer no longer answered."""
    import torch.distributed as dist

    text = str(cause)
    marks = (
        "gloo",
        "NCCL",
        "Connection closed by peer",
        "Connection reset",
        "Socket closed",
        "Broken pipe",
        "recvValue",
    )
    return isinstance(cause, dist.DistError) or (isinstance(cause, RuntimeError) and any(m in text for m in marks))


def describe_death(error: RayError) -> str:
    """Ray's notice of a dead actor, in one line without its advice."""
    text = re.sub(r"\x1b\[\d+m", "", str(error))
    if "creation task" in text:  # it never lived: the last line of the traceback says why
        return "the process could not start: " + text.strip().splitlines()[-1].strip()[:300]
    text = " ".join(text.split())
    if "connection error code 2" in text:  # Ray cannot tell these apart either
        return "the process died: killed, crashed or out of memory"
    detail = text.partition("Worker exit detail:")[2].strip() or text
    return f"the process died: {detail[:200]}"
