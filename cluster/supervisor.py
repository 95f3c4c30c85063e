"""Starts the workers, listens to them, and lets those that are left go on whenever one is lost.

The only writer of a run's record is the process that runs this. Decisions are in `policy` and `placement`.
"""

import time
from collections.abc import Callable, Sequence

import ray
from ray.exceptions import RayError

from gen_dist.assignment import Files
from gen_dist.cluster.failures import explain
from gen_dist.cluster.group import FOREVER, Group
from gen_dist.cluster.heart import Heart
from gen_dist.cluster.inbox import Inbox
from gen_dist.cluster.job import Job
from gen_dist.cluster.losses import Losses
from gen_dist.cluster.member import Member, answered, fell_silent, hire
from gen_dist.cluster.membership import Halted, Rendezvous, Said
from gen_dist.cluster.network import serve_store
from gen_dist.cluster.node_watch import NodeWatch
from gen_dist.cluster.placement import Node, Plan, place_again, place_another
from gen_dist.cluster.policy import Failure, Patience
from gen_dist.cluster.recruiting import Recruits
from gen_dist.cluster.session import head_address
from gen_dist.cluster.starting import Start
from gen_dist.config import RunConfig
from gen_dist.errors import RunError
from gen_dist.events import Event, Message

WAIT_SECONDS = 0.1
SILENT = "stuck, stopped or cut off"
SPARE_SECONDS = 15.0  # of a generation, before a spare worker takes CPU time to get ready


class Supervisor:
    def __init__(self, job: Job, plan: Plan, address: str, handle: Callable[[Event], None]) -> None:
        """`address`: where this process can be reached by the workers. `handle` gets every event, in this thread."""
        self.job, self.plan, self.address, self.handle = job, plan, address, handle
        self.config = job.config
        self.group = Group()
        self.recruits = Recruits(job, plan, self.say, self.dismiss)
        self.hired = 0
        self.losses = Losses(handle)
        self.patience = Patience(job.config.cluster.timeout_seconds)
        self.inbox = Inbox(handle, job.first_step)
        self.looked, self.begun, self.waits = 0, FOREVER, False
        self.rendezvous: Rendezvous
        self.store: object = None  # lives as long as its workers
        self.heart = Heart(lambda: [member.actor for member in self.everyone], head_address())
        self.machines = NodeWatch()

    def run(self, asked_to_stop: Callable[[], bool], prepare: Callable[[RunConfig, Sequence[str]], None]) -> int:
        """Train; returns the number of finished steps. `prepare` gets the resolved configuration, and
        lines for the user, before any step.

        Raises:
            UserError: a node has other source, other data, or lacks what was asked for.
            RunError: the run cannot go on.
        """
        with self.heart, self.machines:
            try:
                timeout = self.config.cluster.timeout_seconds
                self.group.members = [self.new_member(node) for node in self.plan.nodes]
                self.store, port = serve_store(self.address, timeout)  # imports torch, while the workers do
                self.rendezvous = Rendezvous(self.address, port, timeout)
                lines = self.agree()
                prepare(self.config, lines)
                self.send_out(self.job.resume, self.job.init)
                return self.watch(asked_to_stop)
            finally:
                for member in self.everyone:
                    self.dismiss(member)
                self.recruits.close()

    @property
    def everyone(self) -> list[Member]:
        return [*self.group.members, *self.recruits.members]

    def mark(self, line: str) -> None:
        """Say what becomes of the workers."""
        self.handle(Message(line, marks=True))

    def say(self, line: str) -> None:
        self.handle(Message(line))

    def new_member(self, node: Node, cpus: int | None = None) -> Member:
        """Reserves the plan's CPUs there, unless told how many."""
        reserved = self.plan.cpus_per_worker if cpus is None else cpus
        self.hired += 1
        return Member(self.hired - 1, node, hire(self.hired - 1, node, reserved, self.plan.gpus_per_worker))

    def replace(self, member: Member) -> Member:
        """Another, on the same machine if that is still there."""
        node, there = member.node, self.machines.nodes
        if there and node.node_id not in {other.node_id for other in there}:
            taken = [other.node for other in self.everyone if other is not member]
            node = place_another(self.recruits.usable(there), taken, self.plan) or node
        return self.new_member(node)

    def dismiss(self, member: Member) -> None:
        if not self.heart.head_is_lost:  # else it has been told to leave
            ray.kill(member.actor)

    def check_head(self) -> None:
        if self.heart.head_is_lost:
            raise RunError("the Ray head has died or is cut off, and all workers have left; start the head again")

    def agree(self) -> list[str]:
        """Let the members find out what they can do together; returns lines for the user."""
        start = Start(self.config, self.job, self.group.members, self.replace, self.say, self.check_head, self.plan)
        try:
            self.config, lines = start.agree()
            self.recruits.probe = start.common_probe
        finally:
            self.group.members = start.members
        return lines

    def send_out(self, resume: Files | None, init: Files | None) -> None:
        """Let the members build what they train; each then waits for its generation."""
        files = ray.put(resume), ray.put(init)  # once, not once for each worker
        for member in self.group.members:
            member.build(self.config, self.job, *files)
        self.group.expect(self.patience.most)
        self.begun = time.monotonic()

    def watch(self, asked_to_stop: Callable[[], bool]) -> int:
        """Until the last step, or one that was asked to be the last."""
        while True:
            self.check_head()
            if asked_to_stop() and not self.group.stops:
                self.group.stop()
            for member, about, reference in answered(self.everyone, WAIT_SECONDS):
                if member.asked.get(about) is reference:  # else it was lost, or asked anew, a moment ago
                    self.hear(member, about)
            self.look_for_silence()
            self.look_for_room()
            if self.group.has_halted:
                if self.group.has_ended and self.has_the_end():
                    return max(self.group.standings).step
                self.go_on()

    def hear(self, member: Member, about: str) -> None:
        """Take in a worker's answer."""
        reference = member.asked.pop(about)
        if member in self.recruits.members:
            self.recruits.hear(member, about, reference, self.config)
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

    def listen(self, member: Member, said: Said) -> None:
        if said.where != member.where and member.where.startswith("step "):
            self.patience.note(min(time.monotonic() - member.since, self.patience.most / 4))
        member.is_at(said.where)
        self.inbox.take(member, said)
        member.poll()
        if said.halted and said.generation == self.group.generation:
            self.group.halt(self.patience.stall, gently=True)  # it has ended, or its group broke

    def lose(self, member: Member, failure: Failure) -> None:
        """A worker is dead, or as good as dead.

        Raises:
            WorkerFailed: the run cannot go on without it.
        """
        self.group.members.remove(member)
        member.asked.clear()
        self.dismiss(member)
        self.losses.add(failure, len(self.group.members))
        self.group.halt(self.patience.silence, gently=False)

    def look_for_silence(self) -> None:
        """Give up who does not answer, or does not halt; break up a group that gets no further."""
        now, change = time.monotonic(), self.group.change
        for member in list(self.group.members):
            allowed = self.patience.silence
            if fell_silent(member, allowed):
                cause = f"no answer for {now - member.heard:.1f} s, {allowed:.1f} s are allowed: {SILENT}"
                self.lose(member, member.failure(cause))
        if change is None:
            if self.group.members and all(now - member.since > self.patience.stall for member in self.group.members):
                self.group.halt(self.patience.silence, gently=False)
        elif now > change.deadline and change.gently:
            self.group.halt(self.patience.silence, gently=False)
        elif now > change.deadline:
            for member in [member for member in self.group.members if member.halted is None]:
                self.lose(member, member.failure(f"it does not let go of what it does: {SILENT}"))

    def look_for_room(self) -> None:
        """Start workers where there is room for more; let those that are ready join at the end of the step."""
        self.recruits.look_for_silence(self.patience.silence)
        members = self.group.members
        if self.group.change is None and members:
            self.recruits.keep_up(members)
        if members and (self.recruits.next_to_join(members) or len(members) < self.plan.least):
            self.group.halt(self.patience.stall, gently=True)
        if not members or self.machines.looks == self.looked or self.group.stops:
            return
        self.looked = self.machines.looks
        spares = time.monotonic() - self.begun > SPARE_SECONDS
        node = self.recruits.place(self.machines.nodes, members, spares)
        if node is not None:
            self.recruits.add(self.new_member(node, cpus=0))  # a lost one's may not be free yet

    def go_on(self) -> None:
        """All have halted: the next generation, with who has become ready meanwhile.

        Raises:
            RunError: several generations began at the same place, and none got any further.
        """
        group = self.group
        self.drop_faulty()
        ends = group.stops or group.has_ended
        if not group.members:
            self.start_again()
        elif group.is_between_steps and not ends and (recruit := self.recruits.next_to_join(group.members)):
            self.recruits.admit(recruit, group)
        elif group.is_between_steps and len(group.members) < self.plan.least and not ends:
            self.wait_for_machines()
        else:
            self.losses.begin(max(group.standings), group.members)
            standing = group.begin(self.config, self.rendezvous, self.inbox.recorded)
            self.begun = time.monotonic()
            if group.generation:
                count = len(group.members)
                who = "1 worker goes" if count == 1 else f"{count} workers go"
                self.mark(f"generation {group.generation}: {who} on at {standing}")

    def drop_faulty(self) -> None:
        """Whom all ranks found to compute what no other does.

        Raises:
            WorkerFailed: there is no other.
        """
        told = {member.halted.faulty: member.halted.broke for member in self.group.members if member.halted}
        for member in [member for member in self.group.members if member.rank is not None and member.rank in told]:
            alone = len(self.group.members) == 1
            self.lose(member, member.failure(told[member.rank], agreed=alone))

    def wait_for_machines(self) -> None:
        """Everybody stays halted until there are enough."""
        change = self.group.change
        if change is not None and change.deadline < FOREVER:
            there = len(self.group.members)
            self.mark(f"waiting for machines: {there} of at least {self.plan.least} workers are there")
            change.deadline = FOREVER

    def start_again(self) -> None:
        """Every worker is lost: new ones go on from the last checkpoint, where the former ones were, or anywhere."""
        there = self.machines.nodes
        nodes = place_again(there, self.recruits.usable(there), self.plan)
        if not nodes and self.group.stops:
            raise RunError("stopped when every worker was lost; the last checkpoint stands")
        if not nodes:
            if not self.waits:
                self.mark("waiting for machines: none is left that has room for a worker")
            self.waits = True
            time.sleep(WAIT_SECONDS)
            return
        self.waits = False
        self.losses.tell(None)
        self.mark("every worker is lost: starting again from the last checkpoint")
        self.group.replace_all([self.new_member(node, cpus=0) for node in nodes])
        self.agree()
        files = self.job.last() or self.job.resume
        self.send_out(files, None if files else self.job.init)

    def has_the_end(self) -> bool:
        """All have ended in order: hear the last they have to say. False if its teller was lost before it could."""
        self.inbox.take_last(self.group.members, self.patience.silence)
        if self.inbox.saved < max(self.group.standings).step:
            return False
        for member in self.group.members:
            member.actor.proceed.remote(None)
        return True
