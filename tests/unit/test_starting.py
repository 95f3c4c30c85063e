"""How many deaths the start of a group survives: as many as it takes, as long as some worker gets further."""

from types import SimpleNamespace

import pytest
from ray.exceptions import RayActorError

from gen_dist.cluster import starting
from gen_dist.cluster.failures import WorkerFailed
from gen_dist.cluster.starting import MOST_DEATHS, Start

WORKERS = 2
MOST = MOST_DEATHS * WORKERS


@pytest.fixture(autouse=True)
def no_ray(monkeypatch):
    """Its references are functions, whose results are the answers."""
    fake = SimpleNamespace(
        wait=lambda all_, timeout: (all_, []), get=lambda reference: reference(), kill=lambda actor: None
    )
    monkeypatch.setattr(starting, "ray", fake)


def member(where: str) -> SimpleNamespace:
    return SimpleNamespace(where=where, host="somewhere", actor=None, identity=None)


def dies() -> None:
    raise RayActorError


def begin() -> Start:
    nothing = SimpleNamespace()
    members = [member("start-up") for _ in range(WORKERS)]
    return Start(nothing, nothing, members, lambda old: member("start-up"), print, lambda: None, nothing)


def ask(start: Start, where: str, answer) -> object:
    asked = start.members[0]
    asked.where = where
    return start.answer(asked, answer)


def test_who_dies_again_and_again_ends_the_start():
    start = begin()
    for _ in range(MOST):
        assert ask(start, "start-up", dies) is None
    with pytest.raises(WorkerFailed, match="rank 0 on somewhere failed in start-up"):
        ask(start, "start-up", dies)


def test_a_worker_that_gets_past_the_point_is_new_hope():
    start = begin()
    for _ in range(3):
        for _ in range(MOST):
            assert ask(start, "start-up", dies) is None
        assert ask(start, "start-up", lambda: "an identity") == "an identity"


def test_getting_past_one_point_says_nothing_of_the_next():
    start = begin()
    for _ in range(MOST):
        assert ask(start, "start-up", lambda: "an identity") == "an identity"
        assert ask(start, "probe", dies) is None
    with pytest.raises(WorkerFailed, match="failed in probe"):
        ask(start, "probe", dies)
