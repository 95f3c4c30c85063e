"""Who owns which microbatch."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen_dist.engine.ownership import Ownership, decide_ownership
from gen_dist.errors import UserError


@given(st.integers(1, 200), st.data())
def test_equal_ownership_covers_everything_once_and_leaves_no_worker_idle(microbatches, data):
    workers = data.draw(st.integers(1, microbatches))
    ownership = Ownership.equal(microbatches, workers)
    owned = [index for rank in range(workers) for index in ownership.of(rank)]
    assert owned == list(range(microbatches))
    assert min(ownership.shares) >= 1
    assert max(ownership.shares) - min(ownership.shares) <= 1
    assert all(index in ownership.of(ownership.owner(index)) for index in owned)


def test_shares_are_contiguous_in_rank_order():
    ownership = Ownership.from_shares([3, 1])
    assert [list(ownership.of(rank)) for rank in (0, 1)] == [[0, 1, 2], [3]]
    assert decide_ownership(4, 2, [3, 1]) == ownership
    with pytest.raises(ValueError, match="at least one"):
        Ownership.from_shares([4, 0])


@pytest.mark.parametrize(
    ("workers", "shares", "message"),
    [
        (5, None, "5 workers: more than the batch has microbatches (4); use at most 4 workers"),
        (3, [3, 1], "cluster.shares [3, 1]: 2 shares for 3 workers; give one per worker, or --workers 2"),
    ],
)
def test_impossible_wishes_are_refused(workers, shares, message):
    with pytest.raises(UserError) as caught:
        decide_ownership(4, workers, shares)
    assert message in str(caught.value)
