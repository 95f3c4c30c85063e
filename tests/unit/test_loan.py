"""Who asks for a worker's state gets it between two steps, from the thread that trains or in its place."""

import threading

from gen_dist.cluster.loan import Loan
from gen_dist.cluster.membership import Halted, Membership, Rendezvous
from gen_dist.cluster.turn import Turn
from gen_dist.engine.ownership import Ownership
from gen_dist.standing import Place, Standing


class Lender:
    def __init__(self):
        self.lent = 0

    def lend(self):
        self.lent += 1
        return {"weights": b"x" * self.lent}


def nobody():
    """The trainer is in the middle of a step."""


def start(loan, at_rest=nobody):
    found = []
    thread = threading.Thread(target=lambda: found.append(loan.ask(at_rest)))
    thread.start()
    return thread, found


def test_the_thread_that_trains_lends_to_all_who_wait():
    loan, lender = Loan(), Lender()
    loan.between_steps(lender)  # nobody wants anything
    askers = [start(loan) for _ in range(2)]
    while any(thread.is_alive() for thread, _ in askers):
        loan.between_steps(lender)
    assert 1 <= lender.lent <= 2
    assert all(found[0]["weights"] for _, found in askers)


def test_a_step_that_is_cut_off_does_not_keep_them_waiting():
    """The trainer halts between two steps without coming to the end of one."""
    loan, lender, turn = Loan(), Lender(), Turn()
    thread, found = start(loan, lambda: turn.between_steps(lambda: loan.between_steps(lender)))
    thread.join(0.5)
    assert thread.is_alive()
    turn.halted = Halted(Standing(3, True, 1))  # in the middle of a step
    thread.join(0.5)
    assert thread.is_alive()
    turn.halted = Halted(Standing(3, True, 0))
    thread.join(10)
    assert found == [{"weights": b"x"}]


def test_no_generation_begins_while_the_state_is_taken():
    turn, taken, given = Turn(), threading.Event(), threading.Event()
    turn.halted = Halted(Standing(3, True, 0))
    membership = Membership(0, Place(0, Ownership.equal(4, 1), Standing(3, True, 0), True, 3), Rendezvous("", 1, 1.0))

    def give():
        turn.give(membership)
        given.set()

    def take():
        thread = threading.Thread(target=give)
        thread.start()
        assert not given.wait(0.3)
        taken.set()

    turn.between_steps(take)
    assert taken.is_set()
    assert given.wait(10)
