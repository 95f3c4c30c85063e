"""A worker as its supervisor knows it: the actor's handle, what was asked of it, and what it said last."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from gen_dist.assignment import Assignment
from gen_dist.cluster.job import Job
from gen_dist.cluster.membership import NEW, Halted, Identity
from gen_dist.cluster.placement import Node
from gen_dist.cluster.policy import Failure, Kind
from gen_dist.cluster.worker import TrainWorker
from gen_dist.config import RunConfig
from gen_dist.engine.ownership import Ownership

POLL_SECONDS = 0.2
THREADS = 8  # one trains, one is polled, one waits until training has halted; others answer questions


@dataclass(eq=False)
class Member:
    """`number` counts the workers of a run as they are started; `rank` is its place in the present generation."""

    number: int
    node: Node
    actor: Any  # whose methods ray makes up
    identity: Identity | None = None
    rank: int | None = None
    where: str = "start-up"
    since: float = field(default_factory=time.monotonic)  # it is there
    heard: float = field(default_factory=time.monotonic)
    taken: int = 0  # events that it sent
    halted: Halted | None = None
    donor: Member | None = None  # of the state that it was lent, whose journal it follows
    rounds: int = 0  # how often it has caught up with the journal
    asked: dict[str, ray.ObjectRef] = field(default_factory=dict)  # open questions, by what they are about

    @property
    def host(self) -> str:
        return self.identity.host if self.identity else self.node.host

    @property
    def name(self) -> str:
        return f"worker {self.number} on {self.host}" if self.rank is None else f"rank {self.rank} on {self.host}"

    def identify(self, job: Job) -> ray.ObjectRef:
        return self.actor.identify.remote(job.config.data.path, job.pack, job.data_hash)

    def build(
        self, config: RunConfig, job: Job, resume: ray.ObjectRef | None = None, init: ray.ObjectRef | None = None
    ) -> None:
        """Let it make what it trains; it then waits for its first generation, which tells its place. `config` is the
        job's, resolved."""
        alone = Ownership.equal(config.train.microbatches, 1)
        assignment = Assignment(config, job.pack, 0, alone, only_exchanges=job.only_exchanges)
        self.asked["run"] = self.actor.run.remote(assignment, resume, init)
        self.asked["halt"] = self.actor.halt.remote(NEW, True)
        self.heard = time.monotonic()  # what it answered before was waited for elsewhere
        self.poll()

    def failure(self, cause: str, agreed: bool = False) -> Failure:
        """It is as good as dead."""
        return Failure(self.rank or 0, self.host, self.where, Kind.DEATH, cause, agreed=agreed)

    def poll(self) -> None:
        self.asked["poll"] = self.actor.poll.remote(self.taken, POLL_SECONDS)

    def is_at(self, where: str) -> None:
        now = time.monotonic()
        if where != self.where:
            self.where, self.since = where, now
        self.heard = now


def fell_silent(member: Member, allowed: float) -> bool:
    """Whether it has not answered for so many seconds. Whoever writes the record long listens to nobody meanwhile."""
    return time.monotonic() - member.heard > allowed and not answered([member], 0.0)


def hire(number: int, node: Node, cpus: int, gpus: int) -> Any:
    """Start a worker on `node`; it comes to life by itself."""
    return (
        worker_class()
        .options(
            num_cpus=cpus,
            num_gpus=gpus,
            max_concurrency=THREADS,
            max_restarts=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node.node_id, soft=False),
        )
        .remote(number)
    )


@cache
def worker_class() -> Any:
    """Made once: each one is kept, here and by Ray's control store."""
    return ray.remote(TrainWorker)


def answered(members: Sequence[Member], seconds: float) -> list[tuple[Member, str, ray.ObjectRef]]:
    """Who has answered what; waits up to `seconds` for the first answer. All of them, so that none is kept waiting."""
    asked = {reference: (member, about) for member in members for about, reference in member.asked.items()}
    if not asked:
        time.sleep(seconds)
        return []
    ray.wait(list(asked), num_returns=1, timeout=seconds)
    ready, _ = ray.wait(list(asked), num_returns=len(asked), timeout=0)
    return [(*asked[reference], reference) for reference in ready]
