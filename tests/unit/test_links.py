"""Links between machines: measured as they are, refused to strangers, and said why where there is none."""

import json
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest

from gen_dist.cluster import link_ends
from gen_dist.cluster.link_ends import NONCE_BYTES, Link, LinkError, open_listener, receive, send
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


@pytest.mark.netns
@pytest.mark.parametrize("megabits", [100, 1000])
def test_the_rate_of_a_link_is_found(hosts, megabits):
    with hosts(2, megabits=megabits) as (one, other), pair(one, other) as command:
        rate, latency = run(one, command)
    assert rate * 8e-6 == pytest.approx(megabits, rel=0.15)
    assert latency < 0.05


@pytest.mark.netns
def test_a_link_that_is_cut_gives_the_reason(hosts):
    with hosts(2, megabits=100) as (one, other), pair(one, other) as command:
        other.cut()
        reason = run(one, command)
    assert reason.startswith((f"{other.address}:", f"no answer from {other.address}:"))
    assert "No route to host" in reason or "within 4 s" in reason
