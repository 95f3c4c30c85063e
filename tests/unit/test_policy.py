"""What happened in, decision out."""

import pytest

from gen_dist.cluster.policy import (
    LEAST_SILENCE,
    MOST_FUTILE,
    Failure,
    Kind,
    Patience,
    choose_reporter,
    ends_run,
    is_futile,
    root_cause,
)
from gen_dist.standing import Standing


def failure(rank: int, kind: Kind, where: str = "step 3, vae phase, compute") -> Failure:
    return Failure(rank, f"host{rank}", where, kind, f"cause {rank}")


def test_a_death_explains_broken_collectives_and_its_peers_know_where():
    dead = failure(2, Kind.DEATH, "step 1, vae phase, data")
    peers = [failure(0, Kind.COLLECTIVE), failure(1, Kind.COLLECTIVE)]
    assert (
        str(root_cause([peers[0], dead, peers[1]])) == "rank 2 on host2 failed in step 3, vae phase, compute: cause 2"
    )


def test_an_exception_explains_broken_collectives():
    broken, raised = failure(0, Kind.COLLECTIVE), failure(3, Kind.EXCEPTION)
    assert root_cause([broken, raised]) is raised
    assert root_cause([failure(2, Kind.EXCEPTION), raised]).rank == 2


def test_what_all_ranks_found_together_is_not_laid_on_the_one_that_tells():
    agreed = Failure(0, "host0", "step 3", Kind.EXCEPTION, "after step 3: rank 2 on host2 holds another", agreed=True)
    assert str(agreed) == agreed.cause


# kind of the failure, kind and place of an earlier one, workers left -> the run ends
ENDS = {
    "a death, others go on": (Kind.DEATH, None, 1, False),
    "a death of the last one: there is a checkpoint": (Kind.DEATH, None, 0, False),
    "what raises may be one machine's fault": (Kind.EXCEPTION, None, 1, False),
    "there is nobody else to try": (Kind.EXCEPTION, None, 0, True),
    "it raises on another machine too": (Kind.EXCEPTION, (Kind.EXCEPTION, "step 3, vae phase, data"), 1, True),
    "it raised elsewhere": (Kind.EXCEPTION, (Kind.EXCEPTION, "step 2, vae phase, data"), 1, False),
    "the other one died": (Kind.EXCEPTION, (Kind.DEATH, "step 3, vae phase, data"), 1, False),
}


@pytest.mark.parametrize("row", ENDS)
def test_what_ends_a_run(row):
    kind, earlier, left, ends = ENDS[row]
    assert ends_run(failure(0, kind), [failure(1, *earlier)] if earlier else [], left) is ends


def test_what_all_agree_on_ends_it():
    assert ends_run(Failure(0, "host0", "step 3", Kind.DEATH, "found together", agreed=True), [], 3)


def test_generations_that_get_nowhere_end_it():
    here, further = Standing(3, True, 1), Standing(3, True, 2)
    assert not is_futile([here] * MOST_FUTILE)
    assert is_futile([further, *[here] * (MOST_FUTILE + 1)])
    assert not is_futile([here] * MOST_FUTILE + [further])


def test_the_furthest_reports_the_present_one_if_it_is():
    behind, ahead = Standing(3, True, 0), Standing(3, True, 1)
    assert Standing(3, False, 0) < behind < ahead < Standing(4, False, 0)
    assert choose_reporter([behind, ahead, ahead], None) == 1
    assert choose_reporter([behind, ahead, ahead], 2) == 2
    assert choose_reporter([behind, ahead, ahead], 0) == 1


def test_patience_follows_the_phases_within_bounds():
    patience = Patience(120.0)
    assert patience.silence == patience.stall == 120.0  # nothing is known yet
    patience.note(2.0)
    assert patience.silence == LEAST_SILENCE + 4 * 2.0
    for _ in range(50):
        patience.note(0.1)
    assert patience.silence < LEAST_SILENCE + 1
    patience.note(1000.0)
    assert patience.silence == patience.stall == 120.0
