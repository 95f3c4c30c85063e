"""Starts the workers, listens to them, and forms a new group of those that are left whenever one is lost.

The only writer of a run's record is the process that runs this. Decisions are in `policy` and `placement`.

A generation is a group that does not change. To change it, all members halt: at the end of a step if nothing is wrong,
else at once, each as far as it has got. The furthest decides where the next generation goes on.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from gen_dist.assignment import Assignment, Files
from gen_dist.cluster.failures import WorkerFailed, explain
from gen_dist.cluster.heart import Heart
from gen_dist.cluster.member import Member, hire
from gen_dist.cluster.membership import Halted, Membership, Rendezvous, Said
from gen_dist.cluster.network import serve_store
from gen_dist.cluster.placement import Node, Plan, place_another
from gen_dist.cluster.policy import Failure, Kind, Patience, choose_reporter, ends_run, is_futile
from gen_dist.cluster.recruiting import Recruits
from gen_dist.cluster.session import list_nodes
from gen_dist.cluster.starting import Start
from gen_dist.config import RunConfig
from gen_dist.engine.ownership import decide_ownership
from gen_dist.events import Event, Message, StepDone
from gen_dist.standing import Place, Standing

WAIT_SECONDS = 0.1
LOOK_SECONDS = 2.0  # between looks at which machines are there
SPARE_SECONDS = 15.0  # of training, before a spare worker takes CPU time to get ready
Hire = Callable[[int, Node, int, int], Any]


@dataclass(frozen=True)
class Job:
    """What the workers of a run have in common. `last` reads the newest checkpoint of the run, if there is one."""

    config: RunConfig
    pack: Path
    data_hash: str
    resume: Files | None
    init: Files | None
    first_step: int = 0
    last: Callable[[], Files | None] = lambda: None


@dataclass
class Change:
    """The end of a generation, until all members have halted."""

    deadline: float
    gently: bool
    reasons: list[str] = field(default_factory=list)


class Supervisor:
    def __init__(self, job: Job, plan: Plan, address: str, handle: Callable[[Event], None], hire: Hire = hire) -> None:
        """`address`: where this process can be reached by the workers. `handle` gets every event, in this thread."""
        self.job, self.plan, self.address, self.handle, self.hire = job, plan, address, handle, hire
        self.config = job.config
        self.members: list[Member] = []  # in the order of their ranks
        self.hired = 0
        self.generation = -1
        self.begun_at: list[Standing] = []  # generation by generation
        self.change: Change | None = None
        self.failures: list[Failure] = []
        self.recorded = job.first_step
        self.reporter: Member | None = None
        self.patience = Patience(job.config.cluster.timeout_seconds)
        self.told_to_stop = False
        self.recruits = Recruits(job, self.say, self.dismiss)
        self.looked, self.begun = 0.0, float("inf")
        self.rendezvous: Rendezvous
        self.store: object = None  # lives as long as its workers

    def run(self, asked_to_stop: Callable[[], bool], prepare: Callable[[RunConfig, Sequence[str]], None]) -> int:
        """Train; returns the number of finished steps. `prepare` gets the resolved configuration, and
        lines for the user, before any step.

        Raises:
            UserError: a node has other source, other data, or lacks what was asked for.
            WorkerFailed: the run cannot go on.
        """
        with Heart(lambda: [member.actor for member in (*self.members, *self.recruits.members)]):
            try:
                timeout = self.config.cluster.timeout_seconds
                self.members = [self.new_member(node) for node in self.plan.nodes]
                self.store, port = serve_store(self.address, timeout)  # imports torch, while the workers do
                self.rendezvous = Rendezvous(self.address, port, timeout)
                lines = self.agree()
                prepare(self.config, lines)
                self.send_out(self.members, self.job.resume, self.job.init)
                self.begun = time.monotonic()
                return self.watch(asked_to_stop)
            finally:
                for member in (*self.members, *self.recruits.members):
                    self.dismiss(member)

    def say(self, line: str) -> None:
        self.handle(Message(line))

    def agree(self) -> list[str]:
        """Let the members find out what they can do together; returns lines for the user."""
        start = Start(self.config, self.job, self.members, lambda member: self.new_member(member.node))
        try:
            self.config, lines = start.agree()
            self.recruits.probe = start.common_probe
        finally:
            self.members = start.members
        return lines

    def new_member(self, node: Node, cpus: int | None = None) -> Member:
        """Reserves the plan's CPUs there, unless told how many."""
        actor = self.hire(
            self.hired, node, self.plan.cpus_per_worker if cpus is None else cpus, self.plan.gpus_per_worker
        )
        self.hired += 1
        return Member(self.hired - 1, node, actor)

    def dismiss(self, member: Member) -> None:
        ray.kill(member.actor)

    def send_out(self, members: Sequence[Member], resume: Files | None, init: Files | None) -> None:
        """Let them build what they train; each then waits for its generation."""
        ownership = decide_ownership(self.config.train.microbatches, 1, None)
        assignment = Assignment(self.config, self.job.pack, 0, ownership)
        files = ray.put(resume), ray.put(init)  # once, not once for each worker
        for member in members:
            member.asked["run"] = member.actor.run.remote(assignment, *files)
            member.asked["halt"] = member.actor.halt.remote(self.generation, True)
            member.poll()
        self.change = Change(time.monotonic() + self.patience.most, True)

    def watch(self, asked_to_stop: Callable[[], bool]) -> int:
        """Until the last step, or one that was asked to be the last."""
        while True:
            if asked_to_stop() and not self.told_to_stop:
                self.told_to_stop = True
                for member in self.members:
                    member.actor.request_stop.remote()
            everyone = (*self.members, *self.recruits.members)
            asked = {ref: (member, about) for member in everyone for about, ref in member.asked.items()}
            ready, _ = ray.wait(list(asked), num_returns=1, timeout=WAIT_SECONDS)
            for reference in ready:
                self.hear(*asked[reference])
            self.look_for_silence()
            self.look_for_room()
            if self.change is not None and all(member.halted for member in self.members):
                if self.members and all(member.halted and member.halted.ended for member in self.members):
                    return self.finish()
                self.form()

    def hear(self, member: Member, about: str) -> None:
        """Take in a worker's answer."""
        if about not in member.asked:
            return  # lost a moment ago
        reference = member.asked.pop(about)
        if member in self.recruits.members:
            self.recruits.hear(member, reference, self.config)
            return
        try:
            answer = ray.get(reference)
        except RayError as error:
            self.lose(member, explain(error, member.rank or 0, member.host, member.where))
            return
        match answer:
            case Said():
                self.listen(member, answer)
            case Halted():
                member.halted = answer
                if answer.broke and self.change is not None:
                    self.change.reasons.append(f"{member.name}: {answer.broke}")

    def listen(self, member: Member, said: Said) -> None:
        if said.where != member.where:
            self.patience.note(min(time.monotonic() - member.since, self.patience.most / 4))
        member.is_at(said.where)
        for event in said.events[max(0, member.taken - said.first) :]:
            self.take(event)
        member.taken = max(member.taken, said.first + len(said.events))
        member.poll()
        if said.halted and said.generation == self.generation and self.change is None:
            self.begin_change(gently=True)

    def take(self, event: Event) -> None:
        self.handle(event)
        if isinstance(event, StepDone):
            self.recorded = max(self.recorded, event.step)

    def begin_change(self, gently: bool) -> None:
        """Let all members halt."""
        if self.change is not None and (gently or not self.change.gently):
            return
        patience = self.patience.silence if not gently else self.patience.stall
        self.change = Change(time.monotonic() + patience, gently)
        for member in self.members:
            if member.halted is None:
                member.asked["halt"] = member.actor.halt.remote(self.generation, gently)

    def lose(self, member: Member, failure: Failure) -> None:
        """A worker is dead, or as good as dead.

        Raises:
            WorkerFailed: the run cannot go on without it.
        """
        self.members.remove(member)
        member.asked.clear()
        self.dismiss(member)
        if ends_run(failure, self.failures, len(self.members)):
            raise WorkerFailed(failure)
        self.failures.append(failure)
        left = f"{len(self.members)} workers go on" if self.members else "none is left"
        self.handle(Message(f"{failure}; {left}"))
        if failure.detail:
            self.handle(Message(failure.detail, detail=True))
        self.begin_change(gently=False)

    def look_for_silence(self) -> None:
        """Give up who does not answer, or does not halt; break up a group that gets no further."""
        now = time.monotonic()
        for member in list(self.members):
            if now - member.heard > self.patience.silence and now - member.since > self.patience.silence:
                self.lose(member, self.silent(member, f"no answer for {now - member.heard:.1f} s"))
        if self.change is None:
            if self.members and min(now - member.since for member in self.members) > self.patience.stall:
                self.begin_change(gently=False)
        elif now > self.change.deadline and self.change.gently and self.generation >= 0:
            self.change = None
            self.begin_change(gently=False)
        elif now > self.change.deadline:
            for member in [member for member in self.members if member.halted is None]:
                self.lose(member, self.silent(member, "it does not let go of what it does"))

    def look_for_room(self) -> None:
        """Start workers where there is room for more; let those that are ready join at the end of the step."""
        self.recruits.look_for_silence()
        if self.change is None and self.members and (self.joiners() or len(self.members) < self.plan.least):
            self.begin_change(gently=True)
        now = time.monotonic()
        if now - self.looked < LOOK_SECONDS or self.told_to_stop:
            return
        self.looked = now
        workers = [*self.members, *self.recruits.members]
        if len(workers) < self.plan.most:
            nodes = self.recruits.usable(list_nodes())
            if (node := place_another(nodes, [member.node for member in workers], self.plan)) is not None:
                self.say(f"starting another worker on {node.host}")
                self.recruits.add(self.new_member(node, cpus=0))  # a lost one's may not be free yet
        elif len(workers) < self.plan.most + self.plan.spares and now - self.begun > SPARE_SECONDS:
            self.recruits.add(self.new_member(self.plan.nodes[0], cpus=0))

    def joiners(self) -> list[Member]:
        """Recruits that are ready, as many as the run has use for; the others are spares."""
        free = max(0, self.plan.most - len(self.members))
        return self.recruits.ready[:free]

    def silent(self, member: Member, what: str) -> Failure:
        return Failure(member.rank or 0, member.host, member.where, Kind.DEATH, f"{what}: stuck, stopped or cut off")

    def form(self) -> None:
        """The next generation, of all members.

        Raises:
            WorkerFailed: the last ones all began at the same place, and none got any further.
        """
        if not self.members:
            self.start_again()
            return
        self.drop_faulty()
        standings = [member.halted.standing for member in self.members if member.halted]
        furthest = max(standings)
        if not self.admit(furthest):
            return
        standings = [member.halted.standing for member in self.members if member.halted]
        if len(self.members) < self.plan.least and not furthest.committed and not self.told_to_stop:
            self.wait_for_machines()
            return
        self.begun_at.append(furthest)
        if is_futile(self.begun_at) and self.failures:
            raise WorkerFailed(self.failures[-1])
        present = self.members.index(self.reporter) if self.reporter in self.members else None
        reporter = choose_reporter(standings, present)
        self.reporter = self.members[reporter]
        shares = self.config.cluster.shares
        workers = len(self.members)
        shares = shares if shares and len(shares) == workers else None
        ownership = decide_ownership(self.config.train.microbatches, workers, shares)
        self.generation, self.change = self.generation + 1, None
        if self.generation:
            self.handle(Message(f"generation {self.generation}: {workers} workers go on at {furthest}"))
        for rank, member in enumerate(self.members):
            member.rank, member.halted = rank, None
            place = Place(rank, ownership, furthest, rank == reporter, self.recorded)
            member.actor.proceed.remote(Membership(self.generation, place, self.rendezvous))
            member.is_at(f"generation {self.generation}, rendezvous")

    def wait_for_machines(self) -> None:
        """Everybody stays halted until there are enough."""
        assert self.change is not None
        if self.change.deadline < float("inf"):
            self.say(f"waiting for machines: {len(self.members)} of at least {self.plan.least} workers are there")
        self.change.deadline = float("inf")

    def admit(self, furthest: Standing) -> bool:
        """Let those join who are ready, if the members are between two steps; False while that is not done."""
        if furthest.committed or not furthest.settled:
            return True
        for member in self.joiners():
            if member.halted is not None and member.halted.standing != furthest:
                if "adopt" not in member.asked:
                    donor = next(m for m in reversed(self.members) if m.halted and m.halted.standing == furthest)
                    self.recruits.ask(member, "adopt", donor.actor.snapshot.remote())
                return False
            self.recruits.members.remove(member)
            self.members.append(member)
            self.say(f"{member.name} joins")
        return True

    def drop_faulty(self) -> None:
        """Whom all ranks found to compute what no other does.

        Raises:
            WorkerFailed: there is no other.
        """
        for faulty in {m.halted.faulty: m.halted.broke for m in self.members if m.halted}.items():
            rank, message = faulty
            for member in [m for m in self.members if rank is not None and m.rank == rank]:
                failure = Failure(
                    rank or 0, member.host, member.where, Kind.EXCEPTION, message, agreed=len(self.members) == 1
                )
                self.lose(member, failure)

    def start_again(self) -> None:
        """Every worker is lost: new ones go on from the last checkpoint."""
        alive = {node.node_id for node in list_nodes()}
        self.members = [self.new_member(node, cpus=0) for node in self.plan.nodes if node.node_id in alive]
        self.agree()
        files = self.job.last() or self.job.resume
        self.handle(Message("every worker is lost: starting again from the last checkpoint"))
        self.generation += 1  # nobody of the lost ones may meet the new ones
        self.send_out(self.members, files, None if files else self.job.init)

    def finish(self) -> int:
        """All have ended in order: hear the last they have to say."""
        steps = 0
        for member in self.members:
            assert member.halted is not None
            steps = member.halted.standing.step
            said = ray.get(member.actor.poll.remote(member.taken, 0.0))
            for event in said.events[max(0, member.taken - said.first) :]:
                self.take(event)
            member.actor.proceed.remote(None)
        return steps
