"""The tree of sums: pure plans, the kernel beside its naive twin, and both together whoever owns what."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen_dist.engine.ownership import Ownership
from gen_dist.engine.tree import Node, additions, pieces, plan, rounds
from gen_dist.kernels.tree import sum_vectors
from tests.naive import tree as naive


def test_a_node_splits_at_the_largest_power_of_two_below_its_size():
    sizes = {n: tuple(child.size for child in Node(0, n).children()) for n in (2, 3, 4, 5, 7, 8, 9, 12)}
    assert sizes == {2: (1, 1), 3: (2, 1), 4: (2, 2), 5: (4, 1), 7: (4, 3), 8: (4, 4), 9: (8, 1), 12: (8, 4)}
    assert Node(4, 3).children() == (Node(4, 2), Node(6, 1))


@pytest.mark.parametrize(
    ("microbatches", "owned", "expected"),
    [
        (8, range(0, 8), [(0, 8)]),
        (8, range(2, 8), [(2, 2), (4, 4)]),
        (8, range(1, 7), [(1, 1), (2, 2), (4, 2), (6, 1)]),
        (7, range(4, 7), [(4, 3)]),  # the right edge of the tree, though three is no power of two
        (7, range(3, 7), [(3, 1), (4, 3)]),
        (1, range(0, 1), [(0, 1)]),
    ],
)
def test_the_pieces_of_a_worker(microbatches, owned, expected):
    assert [(node.start, node.size) for node in pieces(microbatches, owned)] == expected


@st.composite
def ownerships(draw) -> Ownership:
    return Ownership.from_shares(draw(st.lists(st.integers(1, 9), min_size=1, max_size=9)))


@given(ownerships(), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=60)
def test_whoever_owns_what_the_sum_has_the_bits_of_the_tree(ownership, seed):
    generator = np.random.default_rng(seed)
    leaves = (generator.normal(size=(ownership.microbatches, 5)) * 10.0 ** generator.integers(-6, 6, 5)).astype("f4")
    rows: list[np.ndarray] = []
    for rank in range(ownership.workers):
        stack: list[np.ndarray] = []
        for add in additions(ownership.microbatches, ownership.of(rank)):
            assert add.place == len(stack)
            stack.append(leaves[add.microbatch])
            for _ in range(add.merges):
                stack[-2:] = [stack[-2] + stack[-1]]
        assert len(stack) == plan(ownership).counts[rank] == len(pieces(ownership.microbatches, ownership.of(rank)))
        assert plan(ownership).first(rank) == len(rows)
        rows += stack
    together = np.empty_like(rows[0])
    sum_vectors(together, rows, np.array(plan(ownership).sums, np.int64).reshape(-1, 2))
    assert together.tobytes() == naive.tree_sum(list(leaves)).tobytes()


@given(ownerships())
@settings(deadline=None)
def test_a_piece_is_settled_once_and_never_touched_again(ownership):
    for rank in range(ownership.workers):
        added = additions(ownership.microbatches, ownership.of(rank))
        settled = [add.settles for add in added if add.settles is not None]
        assert settled == list(range(plan(ownership).counts[rank]))
        for number, add in enumerate(added):
            if add.settles is not None:
                assert add.place - add.merges == add.settles
                assert all(later.place - later.merges > add.settles for later in added[number + 1 :])


@given(ownerships())
@settings(deadline=None)
def test_pieces_leave_in_rounds_all_last_ones_at_the_end(ownership):
    leaving = rounds(ownership)
    assert leaving[-1] == dict(enumerate(ownership.shares))
    for rank in range(ownership.workers):
        own = [computed[rank] for computed in leaving if rank in computed]
        added = additions(ownership.microbatches, ownership.of(rank))
        assert own == [number for number, add in enumerate(added, 1) if add.settles is not None]
        assert all(rank in computed for computed in leaving[-len(own) :])


def test_rounds_worked_by_hand():
    # Of 12: rank 0 has 0-3, 4-5 and 6, rank 1 has 7 and 8-11.
    assert rounds(Ownership.from_shares([7, 5])) == ({0: 4}, {0: 6, 1: 1}, {0: 7, 1: 5})
    assert rounds(Ownership.from_shares([8, 4])) == ({0: 8, 1: 4},)


def test_another_order_gives_other_bits():
    """The comparison above can fail."""
    leaves = np.random.default_rng(1).normal(size=(9, 100)).astype("f4")
    one_by_one = leaves[0].copy()
    for leaf in leaves[1:]:
        one_by_one += leaf
    assert one_by_one.tobytes() != naive.tree_sum(list(leaves)).tobytes()


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(("rows", "columns"), [(1, 7), (2, 0), (5, 2048), (6, 5001)])
def test_the_kernel_does_what_its_naive_twin_does(dtype, rows, columns):
    generator = np.random.default_rng(rows)
    vectors = [generator.normal(size=columns).astype(dtype) for _ in range(rows)]
    before = [vector.copy() for vector in vectors]
    sums = np.array([(i, j) for j in range(rows - 1, 0, -1) for i in [generator.integers(0, j)]], np.int64)
    sums = sums.reshape(-1, 2)
    out = np.empty(columns, dtype)
    sum_vectors(out, vectors, sums)
    assert out.tobytes() == naive.sum_vectors(before, sums).tobytes()
    assert all(map(np.array_equal, vectors, before))
    sum_vectors(vectors[0], vectors, sums)  # in place
    assert vectors[0].tobytes() == out.tobytes()
    assert all(map(np.array_equal, vectors[1:], before[1:]))
