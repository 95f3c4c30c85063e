"""Events on their way to the supervisor: none is lost or comes twice; what cannot be made again is waited for."""

import threading
import time

import numpy as np

from gen_dist.cluster import outbox as module
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


def test_events_of_short_steps_come_together():
    outbox, many = Outbox(), 60

    def send():
        for number in range(many):
            outbox.send(Message(str(number)))
            time.sleep(0.005)

    sender, got, answers = threading.Thread(target=send), [], 0
    sender.start()
    while len(got) < many:
        found = outbox.read(len(got), 5)
        got += lines(found)
        answers += 1
    sender.join()
    assert got == list(map(str, range(many)))
    assert answers < many / 3


def test_what_is_urgent_is_not_gathered(monkeypatch):
    """The first event after a while, what the sender waits for, what fills the box, and the end."""
    monkeypatch.setattr(module, "GATHER_SECONDS", 600.0)
    outbox, answers = Outbox(), []
    outbox.send(Message("first"))
    answers.append(outbox.read(0, 1200))
    pictures = threading.Thread(target=outbox.send, args=(PICTURES,))
    pictures.start()
    answers.append(outbox.read(1, 1200))
    outbox.read(2, 0)
    pictures.join()
    for number in range(MOST_WAITING // 2):
        outbox.send(Message(str(number)))
    answers.append(outbox.read(2, 1200))
    outbox.send(Message("the end"))
    answers.append(outbox.read(2 + MOST_WAITING // 2, 1200, lambda: True))
    assert [len(answer) for answer in answers] == [1, 1, MOST_WAITING // 2, 1]
