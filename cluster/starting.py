"""The start of a group of workers: who they are, whether they have the same source and data, and compute alike."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError

from gen_dist.cluster.failures import WorkerFailed, explain
from gen_dist.cluster.job import Job
from gen_dist.cluster.member import Member
from gen_dist.cluster.membership import Identity
from gen_dist.cluster.placement import Plan
from gen_dist.cluster.policy import Kind
from gen_dist.cluster.providing import provide_data
from gen_dist.config import RunConfig
from gen_dist.engine.hardware import resolve_hardware
from gen_dist.engine.reproducibility import Probe, resolve_reproducibility, wants_probe
from gen_dist.errors import RunError, UserError
from gen_dist.source_hash import source_hash

START_SECONDS = 120.0  # for a worker to be placed and to import torch
WAIT_SECONDS = 0.5
LATE_SECONDS = 15.0  # until the user hears who is waited for
MOST_DEATHS = 3  # of each worker, on average, at one point of the start, until one gets past it


class Start:
    """Asks all members the same things. One that dies meanwhile is replaced, a few times."""

    def __init__(
        self,
        config: RunConfig,
        job: Job,
        members: Sequence[Member],
        replace: Callable[[Member], Member],
        report: Callable[[str], None],
        check: Callable[[], None],
        plan: Plan,
    ) -> None:
        """`check` raises where waiting makes no sense any more."""
        self.config, self.job, self.members, self.replace = config, job, list(members), replace
        self.report, self.check, self.plan = report, check, plan
        self.deaths: Counter[str] = Counter()  # by the point of the start
        self.provided: set[Member] = set()
        self.probes: dict[Member, str] = {}

    def agree(self) -> tuple[RunConfig, list[str]]:
        """The configuration that all can follow, with nothing left on auto; and lines for the user.

        Raises:
            UserError: a worker has other source, other data, or lacks what was asked for.
            WorkerFailed: a worker raised, did not answer, or died again and again.
        """
        while True:
            self.identify()
            config = resolve_hardware(self.config, [m.identity.hardware for m in self.members if m.identity])
            if self.plan.gpus_per_worker and config.train.device == "cpu":
                hosts = sorted({m.identity.host for m in self.members if m.identity and not m.identity.hardware.cuda})
                raise UserError(
                    f"{', '.join(hosts)}: torch cannot use the GPU there; install torch for CUDA, or train on CPUs "
                    "with train.device=cpu"
                )
            if not wants_probe(config, self.plan.most):  # whoever joins must show what it computes
                probes = []
                break
            if self.probe(config):
                probes = [Probe(member.host, self.probes[member]) for member in self.members]
                break
        config, line = resolve_reproducibility(config, probes)
        return config, [line] if line else []

    @property
    def common_probe(self) -> str | None:
        """What all answered, if they did."""
        answers = set(self.probes.values())
        return answers.pop() if len(answers) == 1 else None

    def identify(self) -> None:
        while unknown := [member for member in self.members if member.identity is None]:
            asked = {member: member.identify(self.job) for member in unknown}
            for member, reference in asked.items():
                member.identity = self.answer(member, reference)
            if all(member.identity for member in self.members):
                self.provide()
        check_identities([member.identity for member in self.members if member.identity], self.job.data_hash)

    def provide(self) -> None:
        """Send the data to those who have none, who are then unknown again."""
        lacking = [member for member in self.members if member.identity and member.identity.data_hash is None]
        if again := self.provided & set(lacking):
            member = next(iter(again))
            lack = member.identity.data_lack if member.identity else ""
            raise RunError(f"data on {member.host}: {lack}, and the copy sent is gone")
        provide_data(self.job.pack, self.job.data_hash, self.members, self.report, self.check)
        for member in lacking:
            member.identity = None
        self.provided |= set(lacking)

    def probe(self, config: RunConfig) -> bool:
        """What every worker makes of the same step; False if one died, and its successor must be asked first."""
        unknown = [member for member in self.members if member not in self.probes]
        for member in unknown:
            member.where = "probe"
        asked = {member: member.actor.probe.remote(config) for member in unknown}
        answers = {member: self.answer(member, reference) for member, reference in asked.items()}
        self.probes |= {member: answer for member, answer in answers.items() if answer is not None}
        return all(answer is not None for answer in answers.values())

    def answer(self, member: Member, reference: ray.ObjectRef) -> Any:
        """A worker's answer; None if it died and another stands in its place.

        Raises:
            UserError: it refused its input.
            WorkerFailed: it raised or did not answer, or too many died.
            RunError: it was never started.
        """
        try:
            self.wait(member, reference)
            answer = ray.get(reference)
            self.deaths[member.where] = 0  # what kills workers there does not kill all
            return answer
        except RayError as error:
            failure = explain(error, self.members.index(member), member.host, member.where)
            self.deaths[member.where] += 1
            if failure.kind is not Kind.DEATH or self.deaths[member.where] > MOST_DEATHS * len(self.members):
                raise WorkerFailed(failure) from None
            ray.kill(member.actor)
            self.members[self.members.index(member)] = self.replace(member)
            return None

    def wait(self, member: Member, reference: ray.ObjectRef) -> None:
        """Until it answers or dies."""
        began, told = time.monotonic(), False
        while not ray.wait([reference], timeout=WAIT_SECONDS)[0]:
            self.check()
            passed = time.monotonic() - began
            if passed > START_SECONDS and member.identity is None:
                raise RunError(
                    f"{member.host}: no worker started there within {passed:.0f} s; do other runs use its CPUs? "
                    "wait for them, or use fewer --workers"
                )
            if passed > START_SECONDS:
                raise GetTimeoutError
            if passed > LATE_SECONDS and not told:
                told = True
                self.report(f"waiting for a worker on {member.host}: it is slow, or other runs use its CPUs")


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
