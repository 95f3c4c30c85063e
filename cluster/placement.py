"""Resources in, plan out: how many workers run where. Pure, so tested without a cluster."""

from collections.abc import Sequence
from dataclasses import dataclass

from gen_dist.errors import UserError

WORKER_BYTES = 1_000_000_000  # of memory, that a worker is counted with
SPARE_BYTES = 8_000_000_000  # that a machine has at least, if a process is to wait there for a worker's death


@dataclass(frozen=True)
class Wish:
    """How many workers the user asked for: between `least` and `most`, or exactly `most` at the start."""

    least: int = 1
    most: int | None = None  # as many as there are microbatches
    exactly: bool = False

    def __str__(self) -> str:
        if self.exactly:
            return str(self.most)
        return "auto" if self.most is None else f"{self.least}:{self.most}"


@dataclass(frozen=True)
class Node:
    """A machine of the Ray cluster and what Ray may use of it; `memory` in bytes."""

    node_id: str
    host: str
    address: str
    cpus: int
    gpus: int
    memory: int = SPARE_BYTES

    def room(self, threads: int, use_gpus: bool) -> int:
        """For how many workers."""
        if use_gpus:
            return min(self.gpus, self.cpus // threads)
        return min(self.cpus // threads, max(1, self.memory // WORKER_BYTES))


@dataclass(frozen=True)
class Plan:
    """The node of every rank, and what each worker reserves. Ranks of one node are neighbours.

    The run goes on with at least `least` workers, and takes up to `most`; `spares` more wait for a worker's death.
    """

    nodes: tuple[Node, ...]
    cpus_per_worker: int
    gpus_per_worker: int
    least: int = 1
    most: int = 1
    spares: int = 0

    @property
    def workers(self) -> int:
        return len(self.nodes)

    def room(self, node: Node) -> int:
        """For how many workers of this run."""
        planned = sum(other.node_id == node.node_id for other in self.nodes)
        return max(node.room(self.cpus_per_worker, self.gpus_per_worker > 0), planned)

    def describe(self) -> list[str]:
        """One line a machine: which ranks it runs."""
        lines = []
        for node in dict.fromkeys(self.nodes):
            ranks = [rank for rank, other in enumerate(self.nodes) if other == node]
            kind = "GPU" if self.gpus_per_worker else f"{self.cpus_per_worker} CPU"
            lines.append(f"{node.host} ({node.address}): ranks {ranks[0]} to {ranks[-1]}, {kind} each")
        if self.spares > 1:
            lines.append(f"the batch has {self.most} microbatches, so {self.spares} more workers wait as spares")
        return lines


def place_another(nodes: Sequence[Node], taken: Sequence[Node], plan: Plan) -> Node | None:
    """The living node with most room left beside the workers that are on `taken`; None if none has any."""
    best = max(nodes, key=lambda node: left(node, taken, plan), default=None)
    return best if best is not None and left(best, taken, plan) > 0 else None


def place_spare(nodes: Sequence[Node], taken: Sequence[Node], plan: Plan) -> Node | None:
    """The machine with most room left of those that run workers and have memory for one that only waits."""
    large = [node for node in nodes if node.memory >= SPARE_BYTES and plan.room(node)]
    return max(large, key=lambda node: left(node, taken, plan), default=None)


def left(node: Node, taken: Sequence[Node], plan: Plan) -> int:
    """Its room beside the workers that are on `taken`."""
    return plan.room(node) - sum(other.node_id == node.node_id for other in taken)


def place_again(there: Sequence[Node], usable: Sequence[Node], plan: Plan) -> list[Node]:
    """For a run that has lost every worker: their machines that are still `there`, else one that is `usable`."""
    alive = {node.node_id for node in there}
    former = [node for node in plan.nodes if node.node_id in alive]
    another = None if former else place_another(usable, [], plan)
    return former if another is None else [another]


CPU_HINT = "; or train on CPUs with train.device=cpu"


def plan_workers(nodes: Sequence[Node], wish: Wish, microbatches: int, threads: int, device: str) -> Plan:
    """Place as many workers as are wished and useful, each on the machine with most room left.

    Where there is not yet room for `wish.least`, the plan is for those there is room for.

    Raises:
        UserError: more workers than the batch has microbatches, or more than exactly so many have room for.
    """
    if wish.least > microbatches:
        raise UserError(
            f"--workers {wish}: the batch has {microbatches} microbatches, and a worker needs one; use at most "
            f"{microbatches} for the least, or a smaller train.microbatch_size"
        )
    use_gpus = device == "cuda" or (device == "auto" and all(node.gpus for node in nodes))
    room = {node: node.room(threads, use_gpus) for node in nodes}
    if wish.exactly and not use_gpus:
        room = {node: node.cpus // threads for node in nodes}  # the user knows what fits into memory
    total = sum(room.values())
    most = min(wish.most or microbatches, microbatches)
    if (wish.exactly and most > total) or total == 0:
        what = "GPUs" if use_gpus else f"CPUs at train.threads={threads}"
        instead = f"use at most {total}, or auto" if total else "use a smaller train.threads, or add machines"
        raise UserError(f"--workers {wish}: the cluster has {what} for {total}; {instead}" + CPU_HINT * use_gpus)
    taken = dict.fromkeys(nodes, 0)
    for _ in range(min(most, total)):
        freest = max(nodes, key=lambda node: room[node] - taken[node])  # the first of equals: stable
        taken[freest] += 1
    placed = tuple(node for node in nodes for _ in range(taken[node]))
    excess = 0 if wish.exactly else min(wish.most or total, total) - most
    holds_spares = not use_gpus and any(node.memory >= SPARE_BYTES and room[node] for node in nodes)
    spares = count_spares(excess, most) if holds_spares else 0
    return Plan(placed, threads, int(use_gpus), wish.least, most, spares)


def count_spares(excess: int, most: int) -> int:
    """One process waits for a worker's death; more where there is room that no microbatch fills, but never more than
    there are workers to lose."""
    return max(1, min(excess, most))
