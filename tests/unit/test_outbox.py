"""Events on their way to the supervisor: none is lost or comes twice; what cannot be made again is waited for."""

import threading

import numpy as np

from gen_dist.cluster.outbox import MOST_WAITING, Outbox
from gen_dist.events import Message, Pictures

PICTURES = Pictures(1, "samples", np.zeros((1, 2, 2, 3), np.uint8), 1)


def lines(events):
    return [event.text for event in events]


def test_what_was_read_stays_until_the_reader_says_that_it_has_it():
    outbox = Outbox()
    for text in "abc":
        outbox.send(Message(text))
    assert lines(outbox.read(0, 0)) == ["a", "b", "c"]
    assert lines(outbox.read(0, 0)) == ["a", "b", "c"]  # the answer was lost
    assert lines(outbox.read(2, 0)) == ["c"]
    assert lines(outbox.read(1, 0)) == ["c"]  # an old question that comes late takes nothing back
    assert lines(outbox.read(3, 0)) == []


def test_a_question_to_a_former_run_is_answered_with_nothing():
    """It would else be taken for the failure that ended the run."""
    outbox = Outbox()
    assert outbox.read(3, 0) == []
    outbox.send(Message("a"))
    assert outbox.read(3, 0) == []
    assert lines(outbox.read(0, 0)) == ["a"]


def test_the_sender_waits_for_pictures_and_while_too_many_are_under_way():
    for first in (PICTURES, None):
        outbox, done = Outbox(), threading.Event()

        def send(outbox=outbox, first=first, done=done):
            for event in [first] if first else [Message(str(i)) for i in range(MOST_WAITING + 1)]:
                outbox.send(event)
            done.set()

        sender = threading.Thread(target=send)
        sender.start()
        assert len(outbox.read(0, 5)) >= 1
        assert not done.wait(0.1)
        outbox.read(1, 0)
        assert done.wait(5)
        sender.join()


def test_a_reader_that_waits_is_woken_by_an_event():
    outbox = Outbox()
    threading.Timer(0.05, lambda: outbox.send(Message("late"))).start()
    assert lines(outbox.read(0, 30)) == ["late"]
