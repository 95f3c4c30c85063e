"""Starts the workers, listens to them, hands what they say to the recorder, and ends them.

The only writer of a run's record is the process that runs this. Decisions are in `policy` and `placement`.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from gen_dist.assignment import Assignment, Files
from gen_dist.cluster.failures import WorkerFailed, explain
from gen_dist.cluster.network import serve_store
from gen_dist.cluster.placement import Node, Plan
from gen_dist.cluster.policy import Failure, root_cause, seconds_to_wait_for_more
from gen_dist.cluster.shipping import missing, ship
from gen_dist.cluster.worker import Identity, Rendezvous, TrainWorker
from gen_dist.config import RunConfig
from gen_dist.engine.hardware import resolve_hardware
from gen_dist.engine.ownership import Ownership
from gen_dist.engine.reproducibility import Probe, resolve_reproducibility, wants_probe
from gen_dist.errors import RunError, UserError
from gen_dist.events import Event, Message
from gen_dist.source_hash import source_hash

T = TypeVar("T")

POLL_SECONDS = 0.2
LISTEN_SECONDS = 2.0  # for a worker to answer a poll, which it does within POLL_SECONDS unless it is stuck
HAND_OVER_SECONDS = 600.0  # for one that has finished in order, whose last checkpoint may be large
START_SECONDS = 120.0  # for a worker to be placed and to import torch


@dataclass(frozen=True)
class Job:
    """What the workers of a run have in common."""

    config: RunConfig
    pack: Path
    data_hash: str
    ownership: Ownership
    resume: Files | None
    init: Files | None


class Supervisor:
    def __init__(self, job: Job, plan: Plan, address: str, handle: Callable[[Event], None]) -> None:
        """`address`: where this process can be reached by the workers. `handle` gets every event, in this thread."""
        self.job, self.plan, self.address, self.handle = job, plan, address, handle
        self.workers: list[Any] = []  # actor handles, whose methods ray makes up
        self.identities: list[Identity] = []
        self.doing: list[str] = ["start-up"] * plan.workers
        self.polls: dict[int, ray.ObjectRef] = {}  # one open question to every worker
        self.store: object = None  # lives as long as its workers
        self.rendezvous: Rendezvous

    def run(self, asked_to_stop: Callable[[], bool], prepare: Callable[[RunConfig, Sequence[str]], None]) -> int:
        """Train; returns the number of finished steps. `prepare` gets the resolved configuration, and
        lines for the user, before any step.

        Raises:
            UserError: a node has other source, other data, or lacks what was asked for.
            WorkerFailed: a worker died or raised.
        """
        try:
            self.start_workers()
            config = resolve_hardware(self.job.config, [identity.hardware for identity in self.identities])
            probes = self.probe(config) if wants_probe(config, self.plan.workers) else []
            config, line = resolve_reproducibility(config, probes)
            prepare(config, [line] if line else [])
            return self.watch(self.start_training(config), asked_to_stop)
        finally:
            self.end_workers()

    def start_workers(self) -> None:
        self.workers = self.place_workers()
        asked: list[ray.ObjectRef[Identity]] = [self.identify(worker) for worker in self.workers]
        timeout = self.job.config.cluster.timeout_seconds
        self.store, port = serve_store(self.address, timeout)  # imports torch, while the workers do
        self.rendezvous = Rendezvous(self.address, port, 0, timeout)
        for rank, reference in enumerate(asked):
            self.identities.append(self.answer(rank, reference))
        check_identities(self.identities, self.job.data_hash)
        self.provide_data()

    def identify(self, worker: Any) -> "ray.ObjectRef[Identity]":
        return worker.identify.remote(self.job.config.data.path, self.job.pack, self.job.data_hash)

    def provide_data(self) -> None:
        """Send the pack to every node that has no copy, once, and let all workers there open it."""
        nodes, job = self.plan.nodes, self.job
        held = {node.node_id: who.data_hash for node, who in zip(nodes, self.identities, strict=True)}
        hosts = label_hosts(list(dict.fromkeys(nodes)))
        receivers = {}
        for node in missing(held, job.data_hash):
            rank = next(rank for rank, other in enumerate(nodes) if other.node_id == node)
            self.handle(Message(f"data on {hosts[node]}: {self.identities[rank].data_lack}"))
            receivers[node] = hosts[node], self.workers[rank]
        if receivers:
            ship(job.pack, job.data_hash, receivers, lambda line: self.handle(Message(line)))
        asked = {r: self.identify(self.workers[r]) for r, who in enumerate(self.identities) if who.data_hash is None}
        for rank, reference in asked.items():
            self.identities[rank] = who = self.answer(rank, reference)
            if who.data_hash is None:
                raise RunError(f"data on {hosts[nodes[rank].node_id]}: {who.data_lack}, and the copy sent is gone")

    def place_workers(self) -> list[Any]:
        """An actor for every rank, on its node; they start by themselves."""
        actor = ray.remote(TrainWorker)
        return [
            actor.options(
                num_cpus=self.plan.cpus_per_worker,
                num_gpus=self.plan.gpus_per_worker,
                max_concurrency=4,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node.node_id, soft=False),
            ).remote()
            for node in self.plan.nodes
        ]

    def end_workers(self) -> None:
        for worker in self.workers:
            ray.kill(worker)

    def probe(self, config: RunConfig) -> list[Probe]:
        """What every worker makes of the same step."""
        self.doing = ["probe"] * self.plan.workers
        asked = [worker.probe.remote(config, rank) for rank, worker in enumerate(self.workers)]
        hashes = [self.answer(rank, reference) for rank, reference in enumerate(asked)]
        return [Probe(identity.host, found) for identity, found in zip(self.identities, hashes, strict=True)]

    def start_training(self, config: RunConfig) -> dict[ray.ObjectRef, int]:
        """Every rank's `run`, going: reference to rank."""
        job = self.job
        resume, init = ray.put(job.resume), ray.put(job.init)  # once, not once for each worker
        return {
            worker.run.remote(Assignment(config, job.pack, rank, job.ownership), resume, init, self.rendezvous): rank
            for rank, worker in enumerate(self.workers)
        }

    def watch(self, running: dict[ray.ObjectRef, int], asked_to_stop: Callable[[], bool]) -> int:
        self.polls = {rank: self.poll(rank) for rank in running.values()}
        failures: list[Failure] = []
        finished: list[int] = []
        told, deadline = False, float("inf")
        while running and time.monotonic() < deadline:
            if asked_to_stop() and not told:
                told = True
                for worker in self.workers:
                    worker.request_stop.remote()
            ready, _ = ray.wait([*running, *self.polls.values()], num_returns=1, timeout=POLL_SECONDS)
            for reference in ready:
                if reference not in running:
                    self.listen(next(rank for rank, poll in self.polls.items() if poll == reference))
                    continue
                rank = running.pop(reference)
                self.listen(rank)  # what it said before it ended, and where that was
                try:
                    finished.append(ray.get(reference))
                except RayError as error:
                    failures.append(self.explain(rank, error))
                    deadline = time.monotonic() + seconds_to_wait_for_more(failures)
        patience = LISTEN_SECONDS if failures else HAND_OVER_SECONDS
        for rank in list(self.polls):  # what was finished before a failure is recorded too
            while self.listen(rank, patience):
                pass
        if failures:
            raise WorkerFailed(root_cause(failures))
        return finished[0]

    def answer(self, rank: int, reference: "ray.ObjectRef[T]") -> T:
        """What a worker answers before it trains.

        Raises:
            UserError: it refused its input.
            WorkerFailed: it died, raised or did not answer.
        """
        try:
            return ray.get(reference, timeout=START_SECONDS)
        except RayError as error:
            raise WorkerFailed(self.explain(rank, error)) from None

    def poll(self, rank: int) -> ray.ObjectRef:
        return self.workers[rank].poll.remote(POLL_SECONDS)

    def listen(self, rank: int, seconds: float = LISTEN_SECONDS) -> int:
        """Handle what a worker's open poll brings, and ask again; returns how many events there were."""
        if rank not in self.polls:
            return 0
        try:
            self.doing[rank], events = ray.get(self.polls[rank], timeout=seconds)
        except GetTimeoutError:
            return 0  # stuck, or it hands over something large: the poll stays open
        except RayError:
            del self.polls[rank]
            return 0  # dead: its `run` says why
        for event in events:
            self.handle(event)
        self.polls[rank] = self.poll(rank)
        return len(events)

    def explain(self, rank: int, error: RayError) -> Failure:
        host = self.identities[rank].host if rank < len(self.identities) else self.plan.nodes[rank].host
        return explain(error, rank, host, self.doing[rank])


def label_hosts(nodes: Sequence[Node]) -> dict[str, str]:
    """Node id to its host's name, with the address where several have that name."""
    times = Counter(node.host for node in nodes)
    return {node.node_id: node.host if times[node.host] == 1 else f"{node.host} ({node.address})" for node in nodes}


def check_identities(identities: Sequence[Identity], data_hash: str) -> None:
    """Refuse a group whose members would compute different things. Who has no data gets them later.

    Raises:
        UserError: names the hosts that differ.
    """
    others = sorted({i.host for i in identities if i.source != source_hash()})
    if others:
        raise UserError(f"gen-dist on {', '.join(others)}: other source than here; install the same version everywhere")
    others = sorted({i.host for i in identities if i.data_hash not in (None, data_hash)})
    if others:
        raise UserError(f"data on {', '.join(others)}: other content than here; install the same version everywhere")
