"""The one order in which the microbatches' gradients are summed: a binary tree over the microbatch index. Pure.

A node covers a run of microbatches and splits at the largest power of two below its size. Who computes what decides
where a sum is made, never which sums are made.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from types import MappingProxyType

from gen_dist.engine.ownership import Ownership


@dataclass(frozen=True)
class Node:
    """The sum of `size` microbatches from `start` on."""

    start: int
    size: int

    @property
    def end(self) -> int:
        return self.start + self.size

    def children(self) -> tuple["Node", "Node"]:
        left = 1 << ((self.size - 1).bit_length() - 1)
        return Node(self.start, left), Node(self.start + left, self.size - left)


@dataclass(frozen=True)
class Add:
    """What a worker does with a microbatch: put it on place `place` of its stack, then add the topmost sum to the one
    below, `merges` times. `settles`: which of its pieces, also its place, is complete then; None: none."""

    microbatch: int
    place: int
    merges: int
    settles: int | None = None


def pieces(microbatches: int, owned: range) -> list[Node]:
    """The largest nodes of the tree that lie within `owned`, in order: all that others need of its owner."""

    def within(node: Node) -> list[Node]:
        if node.end <= owned.start or owned.stop <= node.start:
            return []
        if owned.start <= node.start and node.end <= owned.stop:
            return [node]
        left, right = node.children()
        return within(left) + within(right)

    return within(Node(0, microbatches))


def additions(microbatches: int, owned: range) -> list[Add]:
    """How a worker sums what it owns, in order: like carries in a binary counter."""
    settled = {node.end - 1: number for number, node in enumerate(pieces(microbatches, owned))}
    added = []
    stack: list[Node] = []
    for index in owned:
        place = len(stack)
        stack.append(Node(index, 1))
        added.append(Add(index, place, _merge(microbatches, stack), settled.get(index)))
    return added


@dataclass(frozen=True)
class Plan:
    """What the ranks have for each other, all ranks' pieces numbered through in order.

    Attributes:
        counts: how many pieces each rank has.
        sums: (i, j) for every addition of the j-th piece to the i-th, in order; the 0-th is the sum of all at the end.
    """

    counts: tuple[int, ...]
    sums: tuple[tuple[int, int], ...]

    def first(self, rank: int) -> int:
        """The number of the rank's first piece."""
        return sum(self.counts[:rank])


@lru_cache(maxsize=64)
def plan(ownership: Ownership) -> Plan:
    """How the ranks' pieces become one."""
    owned = [pieces(ownership.microbatches, ownership.of(rank)) for rank in range(ownership.workers)]
    stack: list[Node] = []
    places: list[int] = []  # in the numbering, of the nodes on the stack
    sums = []
    for number, node in enumerate(chain.from_iterable(owned)):
        stack.append(node)
        places.append(number)
        for _ in range(_merge(ownership.microbatches, stack)):
            added = places.pop()
            sums.append((places[-1], added))
    return Plan(tuple(map(len, owned)), tuple(sums))


@lru_cache(maxsize=64)
def rounds(ownership: Ownership) -> tuple[Mapping[int, int], ...]:
    """The pieces as they leave, round after round, every rank's last one in the last round: by rank, how many
    microbatches it has computed when it has that piece."""
    computed = []
    for rank in range(ownership.workers):
        owned = ownership.of(rank)
        computed.append([node.end - owned.start for node in pieces(ownership.microbatches, owned)])
    return tuple(
        MappingProxyType({rank: ends[-left] for rank, ends in enumerate(computed) if len(ends) >= left})
        for left in range(max(map(len, computed)), 0, -1)
    )


def _merge(microbatches: int, stack: list[Node]) -> int:
    """Replace the two topmost nodes by their parent while they have one; returns how often."""
    merges = 0
    while len(stack) > 1 and (parent := _parents(microbatches).get((stack[-2], stack[-1]))):
        stack[-2:] = [parent]
        merges += 1
    return merges


@lru_cache(maxsize=64)
def _parents(microbatches: int) -> dict[tuple[Node, Node], Node]:
    """Every inner node, by its children."""
    parents: dict[tuple[Node, Node], Node] = {}
    waiting = [Node(0, microbatches)]
    while waiting:
        node = waiting.pop()
        if node.size > 1:
            parents[node.children()] = node
            waiting += node.children()
    return parents
