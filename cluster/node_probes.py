"""Asks every node of the connected cluster what it is and has: one small actor each, which reserves nothing."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from gen_dist.cluster.examination import Clock, Copy, Examination, Examined, Here, Wanted, find_copy
from gen_dist.cluster.failures import describe_death, first_line
from gen_dist.cluster.links import Link, LinkProbe, measure_links
from gen_dist.cluster.node_facts import NodeFacts, node_facts
from gen_dist.cluster.placement import Node

T = TypeVar("T")
START_SECONDS = 60.0  # for all probes together to start and to import torch
ANSWER_SECONDS = 10.0
CLOCK_QUESTIONS = 9


class NodeProbe(LinkProbe):
    """Ray makes an actor of it."""

    def facts(self, joined: bool) -> dict[str, Any]:
        """Plain values: a node with another version of gen-dist has other classes."""
        return node_facts(ray.util.get_node_ip_address() if joined else "127.0.0.1").to_plain()

    def clock(self) -> float:
        return time.time()

    def copy_of(self, wanted: Wanted) -> Copy:
        return find_copy(wanted)


def examine(nodes: Sequence[Node], here: Here, report: Callable[[str], None]) -> Examination:
    """All that is known of these nodes. One that cannot be asked is in it, with the reason.

    Takes seconds for the probes to start, then half a second for each ordered pair of nodes.
    """
    with node_probes(nodes) as probes:
        report(f"asking {len(nodes)} node{'s' * (len(nodes) > 1)}")
        asked = [probe.facts.remote(here.joined) for probe in probes]
        deadline = time.monotonic() + START_SECONDS
        examined = [
            _examined(node, probe, _answer(reference, max(1.0, deadline - time.monotonic())), here.wanted)
            for node, probe, reference in zip(nodes, probes, asked, strict=True)
        ]
        able = [place for place, one in enumerate(examined) if isinstance(one.facts, NodeFacts)]
        if len(able) > 1:
            report(f"measuring {len(able) * (len(able) - 1)} links between {len(able)} nodes, one at a time")
        found = measure_links([probes[place] for place in able])
        links: dict[tuple[int, int], Link | str] = {(able[a], able[b]): link for (a, b), link in found.items()}
        resources = ray.cluster_resources().get("CPU", 0), ray.available_resources().get("CPU", 0)
    return Examination(here, examined, links, resources[0] - resources[1])


@contextmanager
def node_probes(nodes: Sequence[Node]) -> Iterator[list[Any]]:
    """A probe on every node, gone afterwards."""
    actor = ray.remote(NodeProbe)
    probes: list[Any] = []
    try:
        for node in nodes:
            strategy = NodeAffinitySchedulingStrategy(node.node_id, soft=False)
            probes.append(actor.options(num_cpus=0, scheduling_strategy=strategy).remote())
        yield probes
    finally:
        for probe in probes:
            ray.kill(probe)


def _examined(node: Node, probe: Any, plain: dict[str, Any] | str, wanted: Wanted | None) -> Examined:
    if isinstance(plain, str):
        return Examined(node, plain)
    try:
        facts = NodeFacts.from_plain(plain)
    except (KeyError, TypeError):
        return Examined(node, "it has another version of gen-dist; install the same one everywhere")
    copy = None if wanted is None else _answer(probe.copy_of.remote(wanted), ANSWER_SECONDS)
    return Examined(node, facts, _clock(probe), Copy("unknown", copy) if isinstance(copy, str) else copy)


def _clock(probe: Any) -> Clock | None:
    """By the question that was answered fastest: its time there is least in doubt."""
    found = []
    for _ in range(CLOCK_QUESTIONS):
        asked = time.time()
        there = _answer(probe.clock.remote(), ANSWER_SECONDS)
        answered = time.time()
        if isinstance(there, str):
            break
        found.append(Clock(there - (asked + answered) / 2, (answered - asked) / 2))
    return min(found, key=lambda clock: clock.error, default=None)


def _answer(reference: "ray.ObjectRef[T]", seconds: float) -> T | str:
    """What a probe says, or why it says nothing."""
    try:
        return ray.get(reference, timeout=seconds)
    except GetTimeoutError:
        return f"no answer within {seconds:.0f} s"
    except RayTaskError as error:
        cause: Any = error.cause
        return f"{type(cause).__name__}: {first_line(str(cause))}"
    except RayError as error:
        return "the machine was lost meanwhile" if "its node has died" in str(error) else describe_death(error)
