"""Who is sent what, and what becomes of the others when a node fails. In place of Ray, calls run when waited for."""

import os
import shutil
import signal
import threading
import time
from collections import namedtuple
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ray.exceptions import ActorDiedError, RayTaskError

from gen_dist.cluster import shipping
from gen_dist.cluster.receiving import Abandonment, Announcement, PackReceiver, Piece, Request
from gen_dist.cluster.shipping import ShippingFailed, missing, ship
from gen_dist.data.pack import Pack
from gen_dist.data.pack_bytes import PackBytes
from gen_dist.errors import RunError, UserError
from tests.packs import flip, noise, pack_of

PIECE = 500


class Call:
    """What `remote` returns."""

    def __init__(self, run: Callable[[], Any]) -> None:
        self.run, self.ended = run, False
        self.result: Any = None

    def end(self) -> bool:
        if not self.ended:
            try:
                self.result = self.run()
            except TimeoutError:
                return False
            except Exception as error:
                self.result = error
            self.ended = True
        return True


class Ray:
    """As much of ray as shipping uses."""

    put = staticmethod(lambda value: value)

    @staticmethod
    def wait(calls: Sequence[Call], num_returns: int, timeout: float) -> tuple[list[Call], list[Call]]:
        assert num_returns == len(calls) > 0
        done = [call for call in calls if call.end()]
        time.sleep(0.01 if len(done) < len(calls) else 0)
        return done, [call for call in calls if not call.ended]

    @staticmethod
    def get(call: Call) -> Any:
        assert call.ended
        if isinstance(call.result, UserError | RunError):
            raise RayTaskError("receive_pack", "traceback", call.result).as_instanceof_cause()
        if isinstance(call.result, Exception):
            raise call.result
        return call.result


class Node:
    """An actor with a receiver; `trouble(request)` may raise in its place."""

    def __init__(self, root: Path, trouble: Callable[[Request], None] = lambda request: None) -> None:
        self.receiver, self.trouble = PackReceiver(root), trouble
        self.receive_pack, self.asked = self, list[Request]()
        self.calls: list[Call] = []
        self.most_open = 0

    def remote(self, request: Request, data: np.ndarray | None) -> Call:
        def run() -> object:
            self.trouble(request)
            return self.receiver.answer(request, data)

        self.asked.append(request)
        self.calls.append(call := Call(run))
        self.most_open = max(self.most_open, sum(not call.ended for call in self.calls))
        if isinstance(request, Abandonment):  # nobody waits for it
            call.end()
        return call

    @property
    def pieces(self) -> list[int]:
        return [request.start for request in self.asked if isinstance(request, Piece)]


@pytest.fixture(autouse=True)
def ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "ray", Ray)
    monkeypatch.setattr(shipping, "PIECE_BYTES", PIECE)
    monkeypatch.setattr(shipping, "SECONDS_BETWEEN_QUESTIONS", 0.0)


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return pack_of(tmp_path / "pack", noise(40), part_bytes=1000)


def shipped(pack: Path, nodes: dict[str, Node]) -> tuple[dict[str, str], list[str]]:
    lines: list[str] = []
    receivers = {name: (f"host-{name}", node) for name, node in nodes.items()}
    return ship(pack, Pack.open(pack).content_hash, receivers, lines.append), lines


def test_who_needs_a_copy():
    assert missing({"a": "x", "b": "y", "c": None, "d": "x"}, "x") == ["b", "c"]
    assert missing({}, "x") == []


def test_all_get_it_and_few_pieces_are_under_way(pack, tmp_path):
    nodes = {name: Node(tmp_path / name) for name in "abc"}
    begun = PackReceiver(tmp_path / "b")
    stream, content = PackBytes(pack), Pack.open(pack).content_hash
    begun.answer(Announcement(content, stream.layout))
    begun.answer(Piece(0), stream.read(0, 1700))
    begun.answer(Abandonment())
    copies, lines = shipped(pack, nodes)
    assert copies == {name: str(tmp_path / name / content) for name in "abc"}
    assert [Pack.open(copy).verify() for copy in copies.values()] == [[], [], []]
    whole = list(range(0, stream.layout.total, PIECE))
    assert [nodes[name].pieces for name in "abc"] == [whole, whole[3:], whole]
    assert {node.most_open for node in nodes.values()} == {3}
    assert lines[0] == f"data: sending {stream.layout.total / 1e6:.1f} MB to host-a, host-b, host-c"
    assert [line.split(" has it")[0] for line in lines[1:]] == ["data: host-a", "data: host-b", "data: host-c"]
    assert shipped(pack, nodes) == (copies, [])  # they are there


def test_the_others_get_it_when_one_dies(pack, tmp_path, monkeypatch):
    def die(request: Request) -> None:
        if request == Piece(2 * PIECE):
            raise ActorDiedError()

    nodes = {"a": Node(tmp_path / "a"), "b": Node(tmp_path / "b", die), "c": Node(tmp_path / "c")}
    monkeypatch.setattr(shipping, "SECONDS_BETWEEN_REPORTS", 0.0)
    with pytest.raises(ShippingFailed, match="data on host-b: the process died") as caught:
        shipped(pack, nodes)
    assert (caught.value.copies.keys(), caught.value.failures.keys()) == ({"a", "c"}, {"b"})
    assert Pack.open(caught.value.copies["c"]).verify() == []
    assert nodes["b"].pieces[-1] <= 5 * PIECE  # what was under way, and no more


def test_the_others_get_it_when_one_is_silent(pack, tmp_path, monkeypatch):
    def freeze(request: Request) -> None:
        if request == Piece(2 * PIECE):
            raise TimeoutError

    monkeypatch.setattr(shipping, "PIECE_SECONDS", 0.05)
    monkeypatch.setattr(shipping, "SECONDS_OF_SILENCE", 0.0)
    nodes = {"a": Node(tmp_path / "a"), "b": Node(tmp_path / "b", freeze)}
    lines: list[str] = []
    receivers = {name: (f"host-{name}", node) for name, node in nodes.items()}
    with pytest.raises(ShippingFailed, match="data on host-b: it did not answer within 0 s") as caught:
        ship(pack, Pack.open(pack).content_hash, receivers, lines.append)
    assert caught.value.copies.keys() == {"a"}
    assert "data: waiting for host-b to take the next piece" in lines
    assert not any("waiting for host-a" in line for line in lines)


def test_a_signal_ends_it(pack, tmp_path):
    def freeze(request: Request) -> None:
        if request == Piece(2 * PIECE):
            if not waiting.is_set():
                waiting.set()
                signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
            raise TimeoutError

    def interrupt(number: int, frame: object) -> None:
        raise InterruptedError("by a signal")

    waiting, node = threading.Event(), Node(tmp_path / "a", freeze)
    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(InterruptedError, match="by a signal"):
            shipped(pack, {"a": node})
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert node.asked[-1] == Abandonment()
    assert not any(thread.name.startswith("shipping") for thread in threading.enumerate())


def test_a_full_disk_stops_it_before_anything_is_sent(pack, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(0, 0, 10**6 if folder.name == "b" else 10**9))
    nodes = {name: Node(tmp_path / name) for name in "ab"}
    with pytest.raises(
        UserError,
        match=rf"data: no room for a copy of '{pack}' on host-b: '{tmp_path}/b' needs 67 MB, 1.0 MB are free; make",
    ):
        shipped(pack, nodes)
    assert nodes["a"].pieces == nodes["b"].pieces == []
    assert not list((tmp_path / "a").glob(".*"))
    usage_of_all = usage(0, 0, 10**9)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage_of_all)
    copies, _ = shipped(pack, nodes)  # nobody held a lock
    assert len(copies) == 2


def test_a_node_without_a_folder_stops_it_before_anything_is_sent(pack, tmp_path):
    (tmp_path / "b").touch()
    nodes = {name: Node(tmp_path / name) for name in "ab"}
    with pytest.raises(UserError, match="data on .*: cannot keep a pack in '.*/b': File exists; mend that"):
        shipped(pack, nodes)
    assert nodes["a"].pieces == []


def test_nodes_that_share_a_cache_are_sent_one_copy(pack, tmp_path):
    nodes = {name: Node(tmp_path / "shared") for name in "ab"}
    copies, lines = shipped(pack, nodes)
    assert copies["a"] == copies["b"]
    assert (len(nodes["a"].pieces) > 0, nodes["b"].pieces) == (True, [])
    assert not any("another run" in line for line in lines)


def test_it_waits_for_another_run_that_sends_the_same(pack, tmp_path):
    other, stream, content = PackReceiver(tmp_path / "a"), PackBytes(pack), Pack.open(pack).content_hash
    other.answer(Announcement(content, stream.layout))
    asked: list[Request] = []

    def give_up(request: Request) -> None:
        asked.append(request)
        if len(asked) == 3:
            other.answer(Abandonment())

    copies, lines = shipped(pack, {"a": Node(tmp_path / "a", give_up)})
    assert list(copies) == ["a"]
    assert lines[0] == "data: another run is sending the same pack to host-a; waiting for it"
    assert sum("another run" in line for line in lines) == 1


def test_what_was_left_damaged_is_sent_again(pack, tmp_path):
    begun, stream, content = PackReceiver(tmp_path / "a"), PackBytes(pack), Pack.open(pack).content_hash
    begun.answer(Announcement(content, stream.layout))
    begun.answer(Piece(0), stream.read(0, 1700))
    begun.answer(Abandonment())
    flip(next((tmp_path / "a").glob(".*")) / "images-00000.npy", -1)
    copies, lines = shipped(pack, {"a": Node(tmp_path / "a")})
    assert Pack.open(copies["a"]).verify() == []
    assert lines[0].startswith("data: sending the last ")
    assert lines[1:3] == [
        "data: what host-a had of it was damaged; sending all of it again",
        f"data: sending {stream.layout.total / 1e6:.1f} MB to host-a",
    ]


def test_a_pack_that_is_damaged_here(pack, tmp_path):
    content, receivers = Pack.open(pack).content_hash, {"a": ("host-a", Node(tmp_path / "a"))}
    flip(pack / "images-00002.npy", -1)
    with pytest.raises(ShippingFailed, match="what arrived is not the pack that was sent: 1 of 40 images are dam"):
        ship(pack, content, receivers, print)
    os.truncate(pack / "images-00002.npy", 5)
    with pytest.raises(UserError, match=f"pack '{pack}': images-00002.npy: has 5 bytes, 990 and a header are due; mak"):
        ship(pack, content, receivers, print)
    (pack / "index.jsonl").unlink()
    with pytest.raises(UserError, match=f"pack '{pack}': index.jsonl: cannot read it: No such file"):
        ship(pack, content, receivers, print)


def test_many_names_are_cut_short(pack, tmp_path):
    _, lines = shipped(pack, {name: Node(tmp_path / name) for name in "abcdef"})
    assert lines[0].endswith(" MB to host-a, host-b, host-c and 3 more")
