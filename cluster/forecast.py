"""Measures what `step_time` predicts from: costs on every machine, and the links between them.

Probes are actors that reserve what workers would, one for every worker of the largest plan.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from socket import gethostname
from typing import Any, TypeVar

import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from gen_dist.cluster.links import LinkProbe, measure_links
from gen_dist.cluster.placement import Node, Plan
from gen_dist.cluster.step_time import Cluster, Machine
from gen_dist.config import RunConfig
from gen_dist.engine.costs import Costs, blend
from gen_dist.engine.hardware import Hardware, detect_hardware, resolve_hardware
from gen_dist.errors import RunError, UserError
from gen_dist.source_hash import source_hash

T = TypeVar("T")
START_SECONDS = 120.0  # for a probe to be placed, and to import torch
BUILD_SECONDS = 300.0  # for it to build the model, compile kernels and do two steps
STEPS_SECONDS = 300.0  # for three steps, beyond the time that measuring is given
LINK_SECONDS = 0.5
MEMORY_SECONDS = 0.2


class CostProbe(LinkProbe):
    """The actor."""

    def identify(self) -> tuple[str, str, Hardware]:
        """Host, source hash and hardware."""
        return gethostname(), source_hash(), detect_hardware()

    def build(self, config: RunConfig, channels: int) -> None:
        from gen_dist.engine.timing import Timing

        self.timing = Timing(config, channels)

    def measure(self, seconds: float) -> Costs:
        return self.timing.measure(seconds)

    def reading_rate(self) -> float:
        from gen_dist.engine.shared_memory import reading_rate

        return reading_rate(MEMORY_SECONDS)


@dataclass(frozen=True)
class Question:
    config: RunConfig
    channels: int  # of the images
    seconds: float  # that every measurement takes, at least


class Forecast:
    """Probes on the connected Ray cluster. A context: they end with it.

    Args:
        plan: the largest that is to be predicted.
        report: gets a line for every thing that takes a while.

    Raises:
        UserError: a machine has other source, or lacks what was asked for; or RunError: it does not answer, or another
            cannot reach it.
    """

    def __init__(self, question: Question, plan: Plan, report: Callable[[str], None]) -> None:
        self.question, self.plan, self.report = question, plan, report
        self.nodes: list[Node] = list(dict.fromkeys(plan.nodes))
        self.probes: dict[Node, list[Any]] = {node: [] for node in self.nodes}

    def __enter__(self) -> "Forecast":
        actor = ray.remote(CostProbe)
        for node in self.plan.nodes:
            self.probes[node].append(
                actor.options(
                    num_cpus=self.plan.cpus_per_worker,
                    num_gpus=self.plan.gpus_per_worker,
                    max_concurrency=2,
                    scheduling_strategy=NodeAffinitySchedulingStrategy(node.node_id, soft=False),
                ).remote()
            )
        return self

    def __exit__(self, *exception: object) -> None:
        for probe in (probe for probes in self.probes.values() for probe in probes):
            ray.kill(probe)

    def measure(self) -> tuple[RunConfig, Cluster]:
        """The configuration as these machines resolve it, and the cluster, its machines in the plan's order."""
        question = self.question
        self.report(f"starting {self.plan.workers} probes on {', '.join(names_of(self.nodes))}")
        everyone = [(node, probe) for node in self.nodes for probe in self.probes[node]]
        identities = self.ask(everyone, lambda probe: probe.identify.remote(), START_SECONDS)
        if others := sorted({host for host, source, _ in identities if source != source_hash()}):
            raise UserError(
                f"gen-dist on {', '.join(others)}: other source than here; install the same version everywhere"
            )
        config = resolve_hardware(question.config, [hardware for _, _, hardware in identities])
        self.ask(everyone, lambda probe: probe.build.remote(config, question.channels), BUILD_SECONDS)
        costs = self.costs(1)
        if max(len(probes) for probes in self.probes.values()) > 1:
            for known, more in zip(costs, self.costs(None), strict=True):
                known |= more
        machines = [Machine(name, known) for name, known in zip(names_of(self.nodes), costs, strict=True)]
        return config, Cluster(machines, self.links(through_memory=config.train.reducer == "tree"))

    def costs(self, most: int | None) -> list[dict[int, Costs]]:
        """Of every node, with `most` probes of each (None: all) at work at once: their number and their mean costs."""
        asked = [(node, probe) for node in self.nodes for probe in self.probes[node][:most]]
        hosts = "one worker" if most == 1 else "all workers"
        self.report(f"computing: {hosts} on each machine, {self.question.seconds:g} s")
        seconds = self.question.seconds
        answers = iter(self.ask(asked, lambda probe: probe.measure.remote(seconds), seconds + STEPS_SECONDS))
        found = []
        for node in self.nodes:
            own = [next(answers) for _ in self.probes[node][:most]]
            found.append({len(own): blend([(costs, 1 / len(own)) for costs in own])})
        return found

    def links(self, through_memory: bool) -> dict[tuple[int, int], Any]:
        """Between nodes, and within those that have several probes, whose workers may read each other's memory.

        Raises RunError where there is no connection.
        """
        if len(self.nodes) > 1:
            self.report(f"links: {len(self.nodes) * (len(self.nodes) - 1)} directions")
        found: dict[tuple[int, int], Any] = {}
        found |= measure_links([self.probes[node][0] for node in self.nodes], LINK_SECONDS)
        for number, node in enumerate(self.nodes):
            if len(self.probes[node]) > 1:
                found[number, number] = measure_links(self.probes[node][:2], LINK_SECONDS)[0, 1]
        names = names_of(self.nodes)
        for (sender, receiver), link in found.items():
            if isinstance(link, str):
                raise RunError(f"from {names[sender]} to {names[receiver]}: {link}; "
                               "training needs every machine to reach every other one")  # fmt: skip
        inside = [(number, node) for number, node in enumerate(self.nodes) if (number, number) in found]
        if through_memory and inside:
            asked = [(node, self.probes[node][0]) for _, node in inside]
            rates = self.ask(asked, lambda probe: probe.reading_rate.remote(), START_SECONDS)
            for (number, _), rate in zip(inside, rates, strict=True):
                if rate:  # then messages go through memory too
                    found[number, number] = replace(found[number, number], bytes_per_second=rate, latency_seconds=0.0)
        return found

    def ask(self, probes: Sequence[tuple[Node, Any]], question: Callable[[Any], Any], seconds: float) -> list[Any]:
        """All probes' answers; they work at the same time."""
        references = [question(probe) for _, probe in probes]
        return [self.answer(node, reference, seconds) for (node, _), reference in zip(probes, references, strict=True)]

    def answer(self, node: Node, reference: "ray.ObjectRef[T]", seconds: float) -> T:
        try:
            return ray.get(reference, timeout=seconds)
        except GetTimeoutError:
            raise RunError(f"{node.host} ({node.address}): no answer within {seconds:.0f} s; is another run using its "
                           "CPUs, or is the network between the machines cut?") from None  # fmt: skip
        except RayTaskError as error:
            cause = error.cause if isinstance(error.cause, Exception) else error
            raise RunError(f"{node.host} ({node.address}): {' '.join(str(cause).split())[:300]}", str(error)) from None
        except RayError as error:
            raise RunError(
                f"{node.host} ({node.address}): its probe died: {' '.join(str(error).split())[:200]}"
            ) from None


def names_of(nodes: Sequence[Node]) -> list[str]:
    """Host names; with the address where several nodes have one."""
    hosts = [node.host for node in nodes]
    return [node.host if hosts.count(node.host) == 1 else f"{node.host} ({node.address})" for node in nodes]
