"""The two ends of a measured connection: plain TCP, no Ray. One end listens and counts, the other one sends.

    sender                          receiver
    nonce, 32 bytes            →    hangs up on any other
                               ←    SHA-256 of the nonce, so that the sender knows whom it met
    PING, one byte, some times ⇄    the same back
    START, warm-up, window     →
    zeros, as fast as they go  →    counts those of the window: TCP starts slowly
                               ←    bytes per second
    hangs up

Everything has a time limit. Neither end believes the other one more than a number.
"""

import hashlib
import hmac
import itertools
import os
import select
import socket
import statistics
import struct
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

CONNECT_SECONDS = 4.0  # Linux needs three to find out that nobody has an address of its own network
QUIET_SECONDS = 5.0  # without a byte: then the link counts as cut
HELLO_SECONDS = 1.0  # for one who connects to say the nonce
MOST_SECONDS = 10.0  # of sending, whatever the sender asks for
LISTEN_SECONDS = 30.0  # then a receiver whom nobody met gives up
PINGS = 25
WARM_UP_SHARE, WARM_UP_ROUND_TRIPS = 0.3, 10  # not counted at the start: the larger of the two
CHUNK_BYTES = 1 << 18
LEAST_SAMPLES, MOST_SAMPLES = 3, 100  # of how much has come, in the time that counts
PING, START = b"p", b"s"
WINDOW, RATE = struct.Struct("!dd"), struct.Struct("!d")
NONCE_BYTES = 32


@dataclass(frozen=True)
class Link:
    """One direction between two machines. The latency is half a round trip of a small message, the median of some."""

    bytes_per_second: float
    latency_seconds: float


class LinkError(Exception):
    """Why there is no connection, in words."""


def open_listener(address: str) -> socket.socket:
    """Listens on a free port of `address` only. Raises LinkError if this machine does not have it."""
    try:
        return socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)  # the error's own text says all of it twice
        raise LinkError(f"cannot listen on {address}: {reason}") from None


def receive(listener: socket.socket, nonce: bytes, closed: threading.Event) -> None:
    """Serve one sender who knows the nonce, then return; also when `closed` is set, or after LISTEN_SECONDS."""
    deadline = time.monotonic() + LISTEN_SECONDS
    with listener:
        while time.monotonic() < deadline and not closed.is_set():
            connection = _accept(listener, nonce)
            if connection is None:
                continue
            listener.close()
            with connection, suppress(OSError, LinkError):  # the sender says what went wrong
                connection.sendall(hashlib.sha256(nonce).digest())
                _count(connection)
            return


def _accept(listener: socket.socket, nonce: bytes) -> socket.socket | None:
    """The next connection, of one who knows the nonce; None if it is another's, or nobody comes for a moment."""
    listener.settimeout(0.2)
    try:
        connection, _ = listener.accept()
    except OSError:
        return None
    with suppress(OSError, LinkError):
        _prepare(connection, HELLO_SECONDS)
        if hmac.compare_digest(_exactly(connection, NONCE_BYTES), nonce):
            connection.settimeout(QUIET_SECONDS)
            return connection
    connection.close()
    return None


def _count(connection: socket.socket) -> None:
    while (said := _exactly(connection, 1)) == PING:
        connection.sendall(PING)
    if said != START:
        return
    warm_up, window = (min(value, MOST_SECONDS) for value in WINDOW.unpack(_exactly(connection, WINDOW.size)))
    buffer = bytearray(CHUNK_BYTES * 4)
    begin = time.perf_counter() + warm_up
    counted, answered = 0, False
    samples: list[tuple[float, int]] = []
    while got := connection.recv_into(buffer):
        now = time.perf_counter()
        counted += got
        if now < begin or answered or (samples and now - samples[-1][0] < window / MOST_SAMPLES):
            continue
        samples.append((now, counted))
        if now - begin >= window and len(samples) >= LEAST_SAMPLES:
            connection.sendall(RATE.pack(slope(samples)))
            answered = True


def slope(samples: Sequence[tuple[float, int]]) -> float:
    """Bytes per second of (seconds, bytes so far): the median over pairs that are at least half of the time apart.

    Theil and Sen's estimate: a pause of this process, or a lost packet that holds back those behind it, gives nothing
    for a while and then much at once. Neither belongs to the rate, and a mean from start to end may hold one of them.
    """
    half = (samples[-1][0] - samples[0][0]) / 2
    return statistics.median(
        (bytes_b - bytes_a) / (b - a)
        for (a, bytes_a), (b, bytes_b) in itertools.combinations(samples, 2)
        if b - a >= half
    )


def send(address: str, port: int, nonce: bytes, seconds: float) -> Link:
    """Measure the link to a receiver, for about so long; more where round trips are long.

    Raises:
        LinkError: why it cannot be measured.
    """
    where = f"{address}:{port}"
    try:
        connection = socket.create_connection((address, port), timeout=CONNECT_SECONDS)
    except TimeoutError:
        raise LinkError(f"no answer from {where} within {CONNECT_SECONDS:g} s") from None
    except OSError as error:
        raise LinkError(f"{where}: {error.strerror or error}") from None
    try:
        with connection:
            _prepare(connection, QUIET_SECONDS)
            connection.sendall(nonce)
            if _exactly(connection, NONCE_BYTES) != hashlib.sha256(nonce).digest():
                raise LinkError(f"{where}: another program answers there")
            round_trip = _round_trip(connection)
            warm_up = max(WARM_UP_SHARE * seconds, WARM_UP_ROUND_TRIPS * round_trip)
            connection.sendall(START + WINDOW.pack(warm_up, (1 - WARM_UP_SHARE) * seconds))
            return Link(_flood(connection, 2 * (seconds + warm_up) + QUIET_SECONDS), round_trip / 2)
    except TimeoutError:
        raise LinkError(f"{where}: connected, then nothing came for {QUIET_SECONDS:g} s") from None
    except OSError as error:
        raise LinkError(f"{where}: connected, then {error.strerror or error}") from None


def _round_trip(connection: socket.socket) -> float:
    """Seconds, the median of up to PINGS, or of as many as begin within a second."""
    taken: list[float] = []
    end = time.perf_counter() + 1.0
    while len(taken) < PINGS and (not taken or time.perf_counter() < end):
        started = time.perf_counter()
        connection.sendall(PING)
        _exactly(connection, 1)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def _flood(connection: socket.socket, seconds: float) -> float:
    """Send until the receiver has counted enough and says what: bytes per second. Raises LinkError, OSError."""
    zeros = memoryview(bytes(CHUNK_BYTES))
    connection.setblocking(False)
    poll = select.poll()
    poll.register(connection, select.POLLIN | select.POLLOUT)
    # What is still queued when the answer is there must not travel into the next measurement.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for _, ready in poll.poll(QUIET_SECONDS * 1000):
            if ready & ~select.POLLOUT:
                connection.settimeout(QUIET_SECONDS)
                return float(RATE.unpack(_exactly(connection, RATE.size))[0])
            with suppress(BlockingIOError):
                connection.send(zeros)
    raise TimeoutError


def _prepare(connection: socket.socket, quiet: float) -> None:
    connection.settimeout(quiet)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _exactly(connection: socket.socket, count: int) -> bytes:
    """So many bytes, or LinkError if the other side hangs up before."""
    data = b""
    while len(data) < count:
        got = connection.recv(count - len(data))
        if not got:
            raise LinkError("the other side hung up")
        data += got
    return data
