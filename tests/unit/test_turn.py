"""Which generation a worker is in: calls of its supervisor may come late and in any order."""

import threading

import pytest

from gen_dist.cluster.membership import Halted, Membership, Rendezvous
from gen_dist.cluster.turn import Turn
from gen_dist.engine.ownership import Ownership
from gen_dist.engine.process_groups import GroupBroken
from gen_dist.standing import Place, Standing

HERE = Standing(3, True, 0)


def membership(generation: int) -> Membership:
    place = Place(0, Ownership((0, 4)), HERE, True, 3)
    return Membership(generation, place, Rendezvous("127.0.0.1", 1, 60.0))


def beside(action):
    """Its result, later: the thread that trains, or one that answers."""
    found = []
    thread = threading.Thread(target=lambda: found.append(action()), daemon=True)
    thread.start()

    def result(seconds=10.0):
        thread.join(seconds)
        assert not thread.is_alive(), "it still waits"
        return found[0]

    return result, thread


def test_a_worker_waits_until_it_is_given_a_generation():
    turn = Turn()
    result, _ = beside(lambda: turn.wait(Halted(HERE), lambda: None))
    assert turn.wait_halted(-1) == Halted(HERE)
    turn.give(membership(0))
    assert result() == membership(0)
    assert (turn.generation, turn.halted) == (0, None)


def test_leaving_breaks_the_connections_and_gently_asks_for_a_pause():
    turn = Turn()
    turn.give(membership(0))
    turn.check()
    turn.leave(0, gently=True)
    assert turn.asked().pause
    turn.check()
    turn.leave(0, gently=False)
    with pytest.raises(GroupBroken):
        turn.check()
    turn.give(membership(1))
    turn.check()  # this one has just begun
    assert not turn.asked().pause


def test_a_call_for_a_generation_that_is_over_does_nothing():
    turn = Turn()
    turn.give(membership(4))
    for old in (3, 4):
        turn.give(membership(old))
    turn.leave(3, gently=False)
    turn.check()
    assert turn.generation == 4


def test_who_asks_for_the_end_of_a_generation_that_has_not_begun_waits_for_it():
    turn = Turn()
    waiting, _ = beside(lambda: turn.wait(Halted(HERE), lambda: None))
    turn.wait_halted(-1)
    turn.leave(0, gently=False)  # comes before the call that begins it
    ended, thread = beside(lambda: turn.wait_halted(0))
    thread.join(0.1)
    assert thread.is_alive(), "it took the halt before the generation for its end"
    turn.give(membership(0))
    waiting()
    with pytest.raises(GroupBroken):
        turn.check()
    later = Halted(Standing(4, True, 0))
    beside(lambda: turn.wait(later, lambda: None))
    assert ended() == later


def test_the_end_of_the_run_lets_it_go():
    turn = Turn()
    result, _ = beside(lambda: turn.wait(Halted(HERE, ended=True), lambda: None))
    turn.give(None)
    assert result() is None
