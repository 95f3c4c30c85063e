"""Links between machines: measured as they are, refused to strangers, and said why where there is none."""

import json
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from gen_dist.cluster import link_ends, links
from gen_dist.cluster.link_ends import NONCE_BYTES, Link, LinkError, open_listener, receive, send, slope
from gen_dist.cluster.links import LinkProbe
from tests.command import environment

NONCE = bytes(range(NONCE_BYTES))
# One end each, as a process of a host: the receiver prints its port, the sender what it measured.
RECEIVE = f"""
import sys, threading
from gen_dist.cluster.link_ends import open_listener, receive
listener = open_listener(sys.argv[1])
print(listener.getsockname()[1], flush=True)
receive(listener, {NONCE!r}, threading.Event())
"""
SEND = f"""
import json, sys
from gen_dist.cluster.links import LinkProbe
found = LinkProbe().measure_link(sys.argv[1], int(sys.argv[2]), {NONCE!r}, 0.5)
print(json.dumps(found if isinstance(found, str) else [found.bytes_per_second, found.latency_seconds]))
"""


@contextmanager
def receiver(nonce=NONCE):
    """A receiver on loopback: its port, and the thread that must end."""
    listener, closed = open_listener("127.0.0.1"), threading.Event()
    thread = threading.Thread(target=receive, args=(listener, nonce, closed))
    thread.start()
    try:
        yield listener.getsockname()[1], thread
    finally:
        closed.set()
        thread.join(10)
        assert not thread.is_alive()


@contextmanager
def pair(one, other):
    """A sender's command on `one`, and the receiver that it will meet on `other`."""
    command = [sys.executable, "-c", RECEIVE, other.address]
    with other.popen(command, env=environment(), stdout=subprocess.PIPE) as process:
        try:
            yield [sys.executable, "-c", SEND, other.address, process.stdout.readline().strip()]
        finally:
            process.kill()


def run(host, command):
    """(bytes a second, seconds) that the sender measures, or the reason why not."""
    return json.loads(host.run(command, env=environment(), timeout=60).stdout)


def test_loopback():
    with receiver() as (port, thread):
        link = send("127.0.0.1", port, NONCE, 0.1)
        thread.join(5)
        assert not thread.is_alive()
    assert link.bytes_per_second > 10e6
    assert 0 < link.latency_seconds < 0.1


@pytest.mark.parametrize(
    "when",
    [
        lambda i: i,
        lambda i: 30 if 20 < i < 30 else i,  # a pause, after which all comes at once
        lambda i: 15 if i < 15 else i,
        lambda i: 100 if i > 85 else i,
    ],
)
def test_pauses_do_not_change_a_rate(when):
    samples = [(0.01 * when(i), 1000 * i) for i in range(101)]
    assert slope(samples) == pytest.approx(100_000, rel=0.02)


def test_the_rate_of_few_samples():
    assert slope([(1.0, 0), (1.5, 100), (2.0, 200)]) == 200


def test_strangers_are_hung_up_on_and_do_not_hinder():
    with receiver() as (port, _), socket.create_connection(("127.0.0.1", port)) as stranger:
        stranger.sendall(bytes(NONCE_BYTES))
        stranger.settimeout(5)
        assert stranger.recv(100) == b""
        silent = socket.create_connection(("127.0.0.1", port))  # says nothing: given up after a second
        with silent:
            assert isinstance(send("127.0.0.1", port, NONCE, 0.05), Link)


def test_a_wrong_nonce_is_refused():
    with receiver(bytes(NONCE_BYTES)) as (port, _), pytest.raises(LinkError, match="the other side hung up"):
        send("127.0.0.1", port, NONCE, 0.1)


def test_another_program_is_noticed():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request, and so on")
                connection.recv(1000)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(LinkError, match="another program answers there"):
            send("127.0.0.1", server.getsockname()[1], NONCE, 0.1)
        thread.join(5)


def test_what_goes_quiet_is_given_up(monkeypatch):
    monkeypatch.setattr(link_ends, "QUIET_SECONDS", 0.2)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        pytest.raises(LinkError, match=r"connected, then nothing came for 0.2 s"),
    ):
        send("127.0.0.1", server.getsockname()[1], NONCE, 0.1)


def test_nothing_listens_there():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert LinkProbe().measure_link("127.0.0.1", port, NONCE, 0.1) == f"127.0.0.1:{port}: Connection refused"


def test_an_address_that_this_machine_does_not_have():
    assert LinkProbe().listen_on("192.0.2.1", NONCE) == "cannot listen on 192.0.2.1: Cannot assign requested address"


def test_a_probe_listens_for_one_sender_at_a_time():
    probe = LinkProbe()
    _, first = probe.listen_on("127.0.0.1", NONCE)
    address, second = probe.listen_on("127.0.0.1", NONCE)
    assert isinstance(probe.measure_link(address, second, NONCE, 0.05), Link)
    deadline = time.monotonic() + 5
    while "refused" not in str(probe.measure_link(address, first, NONCE, 0.05)):  # it stops within a moment
        assert time.monotonic() < deadline


class FakeProbe:
    """Answers as an actor does, but at once, and notes what it was asked; `wrong`: what it cannot do."""

    def __init__(self, name, wrong=""):
        self.name, self.wrong, self.asked = name, wrong, []

    def __getattr__(self, method):
        def remote(*arguments):
            self.asked.append(method)
            return self, method

        return SimpleNamespace(remote=remote)


def answer(reference, seconds):
    probe, method = reference
    if probe.wrong == "silent":
        raise links._Silent(f"{probe.name} is silent")
    if method == "open_link":
        return "cannot listen" if probe.wrong == "deaf" else (probe.name, 1)
    return "refused" if probe.wrong == "walled in" else Link(seconds, 0.1)


def test_every_ordered_pair_is_measured_and_a_silent_probe_is_asked_once(monkeypatch):
    monkeypatch.setattr(links, "_answer", answer)
    probes = [FakeProbe("a"), FakeProbe("b", "deaf"), FakeProbe("c", "silent"), FakeProbe("d", "walled in")]
    found = links.measure_links(probes, seconds=0.1)
    assert sorted(found) == [(a, b) for a in range(4) for b in range(4) if a != b]
    assert {pair: link for pair, link in found.items() if 2 in pair} == dict.fromkeys(
        [(0, 2), (1, 2), (2, 0), (2, 1), (2, 3), (3, 2)], "c is silent"
    )
    assert len(probes[2].asked) == 1
    assert found[0, 1] == found[3, 1] == "cannot listen"
    assert found[3, 0] == "refused"
    assert isinstance(found[0, 3], Link)
    assert isinstance(found[1, 3], Link)
    assert probes[0].asked.count("close_link") == 1  # where the one who was walled in did not come


@pytest.mark.netns
@pytest.mark.parametrize("megabits", [100, 1000])
def test_the_rate_of_a_link_is_found(hosts, megabits):
    rates = []
    with hosts(2, megabits=megabits) as (one, other):
        while (
            len(rates) < 5 and max(rates, default=0) < 0.85 * megabits
        ):  # what else runs here takes CPUs from both ends
            with pair(one, other) as command:
                rate, latency = run(one, command)
                rates.append(rate * 8e-6)
    assert max(rates) == pytest.approx(megabits, rel=0.15), rates
    assert latency < 0.05


@pytest.mark.netns
def test_a_link_that_is_cut_gives_the_reason(hosts):
    with hosts(2, megabits=100) as (one, other), pair(one, other) as command:
        other.cut()
        reason = run(one, command)
    assert reason.startswith((f"{other.address}:", f"no answer from {other.address}:"))
    assert "No route to host" in reason or "within 4 s" in reason
