"""Workers that are to join a run that is under way: they get ready while the others train."""

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from gen_dist.cluster.failures import explain
from gen_dist.cluster.group import Group
from gen_dist.cluster.job import Job
from gen_dist.cluster.member import Member, fell_silent
from gen_dist.cluster.membership import Halted, Identity, Said
from gen_dist.cluster.placement import Node, Plan, place_another, place_spare
from gen_dist.cluster.providing import provide_data
from gen_dist.cluster.starting import START_SECONDS, check_identities
from gen_dist.config import RunConfig
from gen_dist.engine.hardware import resolve_hardware
from gen_dist.errors import RunError, UserError

CLOSE_SECONDS = 2.0
MOST_FAILURES = 3  # of recruits on one node in a row, then it is left alone
ALONE_SECONDS = 60.0  # for so long
SILENCE_SECONDS = 15.0  # of one that is ready, at least
NEAR_ROUNDS = 2  # of following: the first takes in what was committed while the state was on its way


class Recruits:
    """One that has halted has built what it trains, and waits for a state. `tell` gets lines for the user."""

    def __init__(self, job: Job, plan: Plan, tell: Callable[[str], None], dismiss: Callable[[Member], None]) -> None:
        self.plan = plan
        self.job, self.tell, self.dismiss = job, tell, dismiss
        self.members: list[Member] = []
        self.failures: dict[str, list[float]] = {}  # when, by node, since one joined
        self.unfit: set[str] = set()  # nodes that compute other bits
        self.beside = ThreadPoolExecutor(1, "shipping to recruits")
        self.closed = threading.Event()
        self.provided: dict[Member, tuple[Future[None], queue.SimpleQueue[str]]] = {}
        self.probe: str | None = None  # what all workers of the run have answered, where that matters

    def usable(self, nodes: Sequence[Node]) -> list[Node]:
        """Where a recruit has a chance."""
        return [node for node in nodes if node.node_id not in self.unfit and not self.is_left_alone(node)]

    def is_left_alone(self, node: Node) -> bool:
        failures = self.failures.get(node.node_id, [])
        return len(failures) >= MOST_FAILURES and time.monotonic() - failures[-1] < ALONE_SECONDS

    def add(self, member: Member) -> None:
        self.members.append(member)
        member.asked["identify"] = member.identify(self.job)

    def ask(self, member: Member, question: str, *arguments: object) -> None:
        member.asked[question] = getattr(member.actor, question).remote(*arguments)

    def place(self, nodes: Sequence[Node], members: Sequence[Member], spares: bool) -> Node | None:
        """Where to start another worker, if there is use and room for one; `spares`: also one that waits for use."""
        usable, taken = self.usable(nodes), [member.node for member in (*members, *self.members)]
        if len(members) + len(self.with_room(members)) < self.plan.most:
            node = place_another(usable, taken, self.plan)
            if node is not None:
                self.tell(f"starting another worker on {node.host}")
            return node
        wanted = spares and len(taken) < self.plan.most + self.plan.spares
        return place_spare(usable, taken, self.plan) if wanted else None

    def with_room(self, taken: Sequence[Member]) -> list[Member]:
        """Those that may join beside the workers `taken`, as their machine has room; the others are spares."""
        used = Counter(member.node.node_id for member in taken)
        found = []
        for member in self.members:
            used[member.node.node_id] += 1
            if used[member.node.node_id] <= self.plan.room(member.node):
                found.append(member)
        return found

    def joiners(self, members: Sequence[Member]) -> list[Member]:
        """Those that are ready, as many as the run has use for beside its `members`; the others are spares."""
        fit = [recruit for recruit in self.with_room(members) if recruit.halted]
        return fit[: max(0, self.plan.most - len(members))]

    def next_to_join(self, members: Sequence[Member]) -> Member | None:
        """Who is so near to the others that they wait for it, or anyone where there are too few."""
        too_few = len(members) < self.plan.least
        return next((one for one in self.joiners(members) if too_few or one.rounds >= NEAR_ROUNDS), None)

    def hear(self, member: Member, about: str, reference: ray.ObjectRef, config: RunConfig) -> None:
        """Take in an answer, and ask the next question."""
        try:
            self.follow(member, ray.get(reference), config)
        except RayTaskError as error:
            if about in ("adopt", "follow") and isinstance(error.cause, RayError):  # its donor's end, not its own
                member.donor, member.rounds = None, 0
            else:
                self.lose(member, error)
        except (RayError, UserError) as error:
            self.lose(member, error)

    def follow(self, member: Member, answer: Any, config: RunConfig) -> None:
        member.heard = time.monotonic()
        match answer:
            case Identity():
                member.identity = answer
                check_identities([answer], self.job.data_hash)
                if answer.data_hash is None:
                    self.provide(member)
                    return
                resolve_hardware(config, [answer.hardware])
                if self.probe is not None:
                    self.ask(member, "probe", config)
                else:
                    member.build(config, self.job)
            case str():
                if answer != self.probe:
                    self.unfit.add(member.node.node_id)
                    raise UserError("it computes other bits than the run's workers")
                member.build(config, self.job)
            case Halted():
                member.halted = answer
                member.rounds += 1
            case None if member.donor is not None:  # it is too slow: it gets the state while all wait
                member.donor, member.rounds = None, NEAR_ROUNDS
            case Said():
                member.poll()

    def keep_up(self, donors: Sequence[Member]) -> None:
        """Let the first that has built what it trains have a state, then what was committed since, while the others
        train. One after the other: a worker keeps one journal."""
        member = next(iter(self.joiners(donors)), None)
        if member is None or is_catching_up(member) or member.rounds >= NEAR_ROUNDS:
            return
        if member.donor is None or member.donor not in donors:
            member.donor, member.rounds = donors[-1], -1  # to have the state is no round yet
            self.ask(member, "adopt", member.donor.actor.lend.remote())
        else:
            self.ask(member, "follow", member.donor.actor.take_journal.remote())

    def admit(self, member: Member, group: Group) -> None:
        """Now that the group has halted: let it have what it lacks, then let it join."""
        if is_catching_up(member):
            return
        furthest = max(group.standings)
        if member.halted is None or member.halted.standing != furthest:
            self.catch_up(member, [one for one in group.members if one.halted and one.halted.standing == furthest])
            return
        self.members.remove(member)
        self.provided.pop(member, None)
        self.failures.pop(member.node.node_id, None)
        member.donor = None
        group.members.append(member)
        self.tell(f"{member.name} joins")
        for one in group.members:
            one.actor.end_journal.remote()

    def catch_up(self, member: Member, donors: Sequence[Member]) -> None:
        """The rest of what was committed, or else a state as it is now."""
        if member.donor in donors and member.donor is not None:
            self.ask(member, "follow", member.donor.actor.take_journal.remote())
            member.donor = None
        else:
            self.ask(member, "adopt", donors[-1].actor.snapshot.remote())

    def provide(self, member: Member) -> None:
        """Send the data, in a thread of its own, since the others train meanwhile; then ask again who it is."""
        if member in self.provided:
            raise UserError(f"{member.identity.data_lack if member.identity else ''}, and the copy sent is gone")
        lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        shipment = self.beside.submit(provide_data, self.job.pack, self.job.data_hash, [member], lines.put, self.check)
        self.provided[member] = shipment, lines

    def look_at_shipments(self) -> None:
        for member, (shipment, lines) in list(self.provided.items()):
            while not lines.empty():
                self.tell(lines.get())
            if not shipment.done():
                member.heard = time.monotonic()
            elif "identify" not in member.asked and member in self.members:
                if error := shipment.exception():
                    self.lose(member, error if isinstance(error, UserError) else UserError(str(error)))
                elif member.identity and member.identity.data_hash is None:
                    member.asked["identify"] = member.identify(self.job)

    def check(self) -> None:
        if self.closed.is_set():
            raise RunError("the run has ended")

    def close(self) -> None:
        """Nothing is sent any more: a thread that spoke to Ray after its end would start it anew."""
        self.closed.set()
        self.beside.shutdown(wait=False, cancel_futures=True)
        wait([shipment for shipment, _ in self.provided.values()], CLOSE_SECONDS)

    def look_for_silence(self, silence: float) -> None:
        """`silence`: seconds without an answer that a worker is allowed."""
        self.look_at_shipments()
        for member in list(self.members):
            allowed = START_SECONDS if member.halted is None else max(silence, SILENCE_SECONDS)
            if fell_silent(member, allowed):
                what = "did not get ready" if member.halted is None else "did not answer"
                self.lose(member, UserError(f"it {what} in {allowed:.0f} s"))

    def lose(self, member: Member, error: RayError | UserError) -> None:
        self.members.remove(member)
        member.asked.clear()
        self.provided.pop(member, None)
        if member.donor is not None:
            member.donor.actor.end_journal.remote()
        self.dismiss(member)
        self.failures.setdefault(member.node.node_id, []).append(time.monotonic())
        cause = str(error)
        if isinstance(error, RayError):
            try:
                cause = explain(error, 0, member.host, member.where).cause
            except UserError as refusal:
                cause = str(refusal)
        self.tell(f"{member.name} cannot join: {cause}")


def is_catching_up(member: Member) -> bool:
    return bool({"adopt", "follow"} & member.asked.keys())
