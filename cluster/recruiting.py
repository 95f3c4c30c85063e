"""Workers that are to join a run that is under way: they get ready while the others train."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError

from gen_dist.assignment import Assignment
from gen_dist.cluster.failures import explain
from gen_dist.cluster.member import Member
from gen_dist.cluster.membership import Halted, Identity, Said
from gen_dist.cluster.placement import Node
from gen_dist.cluster.starting import START_SECONDS, check_identities
from gen_dist.config import RunConfig
from gen_dist.engine.hardware import resolve_hardware
from gen_dist.engine.ownership import Ownership
from gen_dist.errors import UserError

if TYPE_CHECKING:
    from gen_dist.cluster.supervisor import Job

MOST_FAILURES = 3  # of recruits on one node, then it is left alone


class Recruits:
    """`ready` ones have built what they train and wait for a state. `tell` gets lines for the user."""

    def __init__(self, job: "Job", tell: Callable[[str], None], dismiss: Callable[[Member], None]) -> None:
        self.job, self.tell, self.dismiss = job, tell, dismiss
        self.members: list[Member] = []
        self.failures: dict[str, int] = {}  # by node
        self.probe: str | None = None  # what all workers of the run have answered, where that matters

    def usable(self, nodes: Sequence[Node]) -> list[Node]:
        return [node for node in nodes if self.failures.get(node.node_id, 0) < MOST_FAILURES]

    def add(self, member: Member) -> None:
        self.members.append(member)
        self.ask(member, "identify", self.job.config.data.path, self.job.pack)

    def ask(self, member: Member, question: str, *arguments: object) -> None:
        member.asked[question] = getattr(member.actor, question).remote(*arguments)

    @property
    def ready(self) -> list[Member]:
        return [member for member in self.members if member.halted is not None]

    def hear(self, member: Member, reference: ray.ObjectRef, config: RunConfig) -> None:
        """Take in an answer, and ask the next question."""
        try:
            self.follow(member, ray.get(reference), config)
        except (RayError, UserError) as error:
            self.lose(member, error)

    def follow(self, member: Member, answer: Any, config: RunConfig) -> None:
        member.heard = time.monotonic()
        match answer:
            case Identity():
                member.identity = answer
                check_identities([answer], self.job.data_hash)
                resolve_hardware(config, [answer.hardware])
                if self.probe is not None:
                    self.ask(member, "probe", config)
                else:
                    self.send_out(member, config)
            case str():
                if answer != self.probe:
                    self.failures[member.node.node_id] = MOST_FAILURES
                    raise UserError("it computes other bits than the run's workers")
                self.send_out(member, config)
            case Halted():
                member.halted = answer
            case Said():
                member.poll()

    def send_out(self, member: Member, config: RunConfig) -> None:
        assignment = Assignment(config, self.job.pack, 0, Ownership.equal(config.train.microbatches, 1))
        self.ask(member, "run", assignment, None, None)
        self.ask(member, "halt", -1, True)
        member.poll()

    def look_for_silence(self) -> None:
        for member in self.members:
            if member.halted is None and time.monotonic() - member.heard > START_SECONDS:
                self.lose(member, UserError(f"it did not get ready in {START_SECONDS:.0f} s"))
                return

    def lose(self, member: Member, error: RayError | UserError) -> None:
        self.members.remove(member)
        self.dismiss(member)
        self.failures[member.node.node_id] = 1 + self.failures.get(member.node.node_id, 0)
        cause = str(error)
        if isinstance(error, RayError):
            try:
                cause = explain(error, 0, member.host, member.where).cause
            except UserError as refusal:
                cause = str(refusal)
        self.tell(f"{member.name} cannot join: {cause}")
