"""What happened in, decision out."""

from gen_dist.cluster.policy import Failure, Kind, root_cause, seconds_to_wait_for_more


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


def test_it_waits_longer_where_the_cause_is_still_missing():
    broken = [failure(0, Kind.COLLECTIVE)]
    assert seconds_to_wait_for_more(broken) > seconds_to_wait_for_more([*broken, failure(1, Kind.DEATH)])
    assert seconds_to_wait_for_more(broken) < 10
