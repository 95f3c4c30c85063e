"""Resources in, plan out: how many workers run where. Pure, so tested without a cluster."""

from collections.abc import Sequence
from dataclasses import dataclass

from gen_dist.errors import UserError


@dataclass(frozen=True)
class Node:
    """A machine of the Ray cluster and what Ray may use of it."""

    node_id: str
    host: str
    address: str
    cpus: int
    gpus: int


@dataclass(frozen=True)
class Plan:
    """The node of every rank, and what each worker reserves. Ranks of one node are neighbours."""

    nodes: tuple[Node, ...]
    cpus_per_worker: int
    gpus_per_worker: int

    @property
    def workers(self) -> int:
        return len(self.nodes)

    def describe(self) -> list[str]:
        """One line a machine: which ranks it runs."""
        lines = []
        for node in dict.fromkeys(self.nodes):
            ranks = [rank for rank, other in enumerate(self.nodes) if other == node]
            kind = "GPU" if self.gpus_per_worker else f"{self.cpus_per_worker} CPU"
            lines.append(f"{node.host} ({node.address}): ranks {ranks[0]} to {ranks[-1]}, {kind} each")
        return lines


CPU_HINT = "; or train on CPUs with train.device=cpu"


def plan_workers(nodes: Sequence[Node], wanted: int | None, microbatches: int, threads: int, device: str) -> Plan:
    """Place `wanted` workers (None: as many as are useful), on the machine with most room left each.

    Raises:
        UserError: more workers than the cluster has room for.
    """
    use_gpus = device == "cuda" or (device == "auto" and all(node.gpus for node in nodes))
    room = {node: node.gpus if use_gpus else node.cpus // threads for node in nodes}
    total = sum(room.values())
    if wanted is None:
        wanted = max(1, min(total, microbatches))
    if wanted > total:
        what = "GPUs" if use_gpus else f"CPUs at train.threads={threads}"
        instead = f"use at most {total}, or auto" if total else "use a smaller train.threads, or add machines"
        raise UserError(f"--workers {wanted}: the cluster has {what} for {total}; {instead}" + CPU_HINT * use_gpus)
    taken = dict.fromkeys(nodes, 0)
    for _ in range(wanted):
        freest = max(nodes, key=lambda node: room[node] - taken[node])  # the first of equals: stable
        taken[freest] += 1
    placed = tuple(node for node in nodes for _ in range(taken[node]))
    return Plan(placed, cpus_per_worker=threads, gpus_per_worker=int(use_gpus))
