"""Downloads from a server on this machine that can be made to fail in every way. Nothing here reaches the internet."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from gen_dist.data.cache import downloads_cache
from gen_dist.errors import UserError
from gen_dist.sources import transfer
from gen_dist.sources.catalogue import Entry, Form, RemoteFile
from gen_dist.sources.downloading import fetch

DATA = np.random.default_rng(3).bytes(300_000)
CHUNK = transfer.CHUNK_BYTES
SHA256 = f"sha256:{hashlib.sha256(DATA).hexdigest()}"


@dataclass
class Plan:
    """What the server does with the next requests."""

    data: bytes = DATA
    ranges: bool = True
    tag: str = '"one"'
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: list[int] = field(default_factory=list)  # of each next answer, so many bytes are sent
    statuses: list[int] = field(default_factory=list)  # instead of an answer, one each
    stall: bool = False


class Server(ThreadingHTTPServer):
    """Remembers (method, path, Range, If-Range) of every request, and how many bytes it has answered."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan, self.requests, self.sent = Plan(), list[tuple[str, str, str]](), 0
        self.wake = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        plan, asked = self.server.plan, self.headers.get("Range", "")
        self.server.requests.append((self.path, asked, self.headers.get("If-Range", "")))
        self.close_connection = True
        if self.path == "/missing":
            return self.send_error(404)
        if plan.statuses:
            return self.send_error(plan.statuses.pop(0))
        if plan.stall:
            self.server.wake.wait(20)
            return None
        begin = 0
        fits = self.headers.get("If-Range", plan.tag) == plan.tag
        if plan.ranges and asked and fits:
            begin = int(asked.removeprefix("bytes=").removesuffix("-"))
            if begin >= len(plan.data):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(plan.data)}")
                self.send_header("Content-Length", "0")
                return self.end_headers()
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{len(plan.data) - 1}/{len(plan.data)}")
        else:
            self.send_response(200)
        body = plan.data[begin:]
        for name, value in {"Content-Length": str(len(body)), "ETag": plan.tag, **plan.headers}.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        body = body[: plan.cut_after.pop(0)] if plan.cut_after else body
        self.server.sent += len(body)  # before the client can have it
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.wake.set()
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


def entry(*urls: str, checksum: str = SHA256, length: int | None = len(DATA)) -> Entry:
    return Entry(
        name="tiny",
        title="Tiny",
        files=(RemoteFile("tiny.tar", urls, checksum, length),),
        forms=(Form("archive", (("tiny.tar",),)),),
        classes="none",
        home="https://example.invalid/",
        terms="none",
    )


def get(server: Server, cache: Path, **options: object) -> list[Path]:
    return fetch(entry(server.url + "tiny.tar", **options), cache, wait=0.0)  # type: ignore[arg-type]


def only_the_file(cache: Path) -> bool:
    return [path.name for path in (cache / "tiny").iterdir()] == ["tiny.tar"]


def test_a_download_and_then_none(server: Server, tmp_path: Path) -> None:
    for _ in range(2):
        (path,) = get(server, tmp_path)
        assert path.read_bytes() == DATA
    assert path == tmp_path / "tiny/tiny.tar"
    assert only_the_file(tmp_path)
    assert server.requests == [("/tiny.tar", "", "")]


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
@pytest.mark.parametrize("length", [None, len(DATA)])
def test_checksums_of_either_kind(server: Server, tmp_path: Path, algorithm: str, length: int | None) -> None:
    digest = f"{algorithm}:{hashlib.new(algorithm, DATA).hexdigest()}"
    (path,) = get(server, tmp_path, checksum=digest, length=length)
    assert path.read_bytes() == DATA
    server.plan.data = DATA[::-1]
    path.unlink()
    with pytest.raises(UserError, match=f"expected {digest}, got "):
        get(server, tmp_path, checksum=digest, length=length)


def test_a_damaged_file_in_the_cache_is_fetched_again(server: Server, tmp_path: Path) -> None:
    (path,) = get(server, tmp_path)
    path.write_bytes(DATA[:-1] + b"?")
    assert get(server, tmp_path)[0].read_bytes() == DATA
    assert server.sent == 2 * len(DATA)


def test_a_lost_connection_is_taken_up_where_it_was_lost(server: Server, tmp_path: Path) -> None:
    server.plan.cut_after = [6 * CHUNK, 3 * CHUNK + 7]
    assert get(server, tmp_path)[0].read_bytes() == DATA
    assert [asked for _, asked, _ in server.requests] == ["", f"bytes={6 * CHUNK}-", f"bytes={9 * CHUNK}-"]
    assert server.sent == len(DATA) + 7


def test_a_connection_that_ends_early_without_telling(server: Server, tmp_path: Path) -> None:
    """Without a Content-Length only the published length tells."""
    server.plan.headers, server.plan.cut_after = {"Content-Length": ""}, [CHUNK]
    assert get(server, tmp_path)[0].read_bytes() == DATA
    assert server.sent == len(DATA)


def test_a_download_continues_in_a_later_call(server: Server, tmp_path: Path) -> None:
    server.plan.cut_after = [4 * CHUNK, *[0] * (transfer.TRIES - 1)]
    with pytest.raises(UserError, match="the connection was lost, 5 times in a row"):
        get(server, tmp_path)
    assert (tmp_path / "tiny/tiny.tar.part").stat().st_size == 4 * CHUNK
    server.requests.clear()
    assert get(server, tmp_path)[0].read_bytes() == DATA
    assert server.requests == [("/tiny.tar", f"bytes={4 * CHUNK}-", '"one"')]
    assert server.sent == len(DATA)
    assert only_the_file(tmp_path)


def part(cache: Path, data: bytes, origin: str) -> None:
    (cache / "tiny").mkdir()
    (cache / "tiny/tiny.tar.part").write_bytes(data)
    (cache / "tiny/tiny.tar.part.from").write_text(origin)


@pytest.mark.parametrize(
    ("begun", "mark", "ranges", "requests", "sent"),
    [
        (DATA[:9], '"one"', True, ["bytes=9-"], len(DATA) - 9),
        (b"older" * 5, '"zero"', True, ["bytes=25-"], len(DATA)),  # If-Range makes the server send all
        (DATA[:9], '"one"', False, ["bytes=9-"], len(DATA)),  # it knows no ranges
        (b"older" * 5, "", True, ["bytes=25-", ""], 2 * len(DATA) - 25),  # nothing told, until the checksum
        (DATA, '"one"', True, [], 0),
        (DATA + b"more", '"one"', True, ["bytes=300004-", ""], len(DATA)),
    ],
)
def test_what_was_begun_before(
    server: Server, tmp_path: Path, begun: bytes, mark: str, ranges: bool, requests: list[str], sent: int
) -> None:
    part(tmp_path, begun, f"{server.url}tiny.tar\n{mark}\n" if mark else "")
    server.plan.ranges = ranges
    assert get(server, tmp_path)[0].read_bytes() == DATA
    assert [asked for _, asked, _ in server.requests] == requests
    assert server.sent == sent
    assert only_the_file(tmp_path)


def test_the_mark_of_one_server_is_not_shown_to_another(server: Server, tmp_path: Path) -> None:
    part(tmp_path, DATA[:9], 'http://other.invalid/tiny.tar\n"one"\n')
    get(server, tmp_path)
    assert server.requests == [("/tiny.tar", "bytes=9-", "")]


def test_a_weak_mark_is_not_used(server: Server, tmp_path: Path) -> None:
    server.plan.tag, server.plan.cut_after = 'W/"one"', [CHUNK]
    server.plan.headers = {"Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}
    server.plan.ranges = False
    assert get(server, tmp_path)[0].read_bytes() == DATA
    assert [mark for _, _, mark in server.requests] == ["", "Wed, 21 Oct 2015 07:28:00 GMT"]


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path, status: int) -> None:
    server.plan.statuses = [status, status]
    assert get(server, tmp_path)[0].read_bytes() == DATA
    assert len(server.requests) == 3


def test_a_server_that_stays_busy(server: Server, tmp_path: Path) -> None:
    server.plan.statuses = [500] * 100
    with pytest.raises(UserError, match=r"^data set 'tiny': cannot download tiny.tar .*says 500[^\n]*--from DIR$"):
        get(server, tmp_path)
    assert len(server.requests) == transfer.TRIES


def test_the_next_mirror(server: Server, tmp_path: Path) -> None:
    tiny = entry(server.url + "missing", "http://127.0.0.1:1/tiny.tar", server.url + "tiny.tar")
    assert fetch(tiny, tmp_path, wait=0.0)[0].read_bytes() == DATA
    assert [path for path, *_ in server.requests] == ["/missing", "/tiny.tar"]


def test_no_mirror_has_it(server: Server, tmp_path: Path) -> None:
    tiny = entry(server.url + "missing", "http://127.0.0.1:1/tiny.tar")
    with pytest.raises(UserError) as caught:
        fetch(tiny, tmp_path, wait=0.0)
    assert str(caught.value) == (
        f"data set 'tiny': cannot download tiny.tar ({server.url}missing: the server says 404 Not Found; "
        "http://127.0.0.1:1/tiny.tar: the server refuses the connection); "
        "try again later, or give a folder that holds it: --from DIR"
    )


def test_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*arguments: object, **options: object) -> None:
        raise OSError(-3, "Temporary failure in name resolution")

    monkeypatch.setattr("socket.getaddrinfo", offline)
    with pytest.raises(UserError, match=r"http://nowhere.invalid/x: .*name is not found[^\n]*--from DIR$"):
        fetch(entry("http://nowhere.invalid/x"), tmp_path, wait=0.0)


def test_a_server_that_falls_silent(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "READ_SECONDS", 0.2)
    server.plan.stall = True
    with pytest.raises(UserError, match="nothing came for 0.2 seconds, 5 times in a row"):
        get(server, tmp_path)


@pytest.mark.parametrize(
    ("data", "length", "headers", "reason"),
    [
        (DATA + b"x", len(DATA), {}, "the server's file has 300001 bytes, the published one 300000"),
        (DATA[:5], len(DATA), {}, "the server's file has 5 bytes, the published one 300000"),
        (DATA + b"x", len(DATA), {"Content-Length": ""}, "sends more than the file's 300000 bytes"),
        (DATA[::-1], None, {}, "tiny.tar from .* is not the published file: expected sha256:.*, got [0-9a-f]{64}; it"),
    ],
)
def test_wrong_bytes(
    server: Server, tmp_path: Path, data: bytes, length: int | None, headers: dict[str, str], reason: str
) -> None:
    server.plan.data, server.plan.headers = data, headers
    with pytest.raises(UserError, match=reason):
        get(server, tmp_path, length=length)
    assert not (tmp_path / "tiny/tiny.tar").exists()


def test_a_file_of_unknown_length_that_ends_with_the_connection(server: Server, tmp_path: Path) -> None:
    server.plan.headers = {"Content-Length": ""}
    assert get(server, tmp_path, length=None)[0].read_bytes() == DATA


def test_bytes_are_stored_as_they_are(server: Server, tmp_path: Path) -> None:
    """Some servers call a .gz file a compressed transfer, which clients unpack."""
    server.plan.headers = {"Content-Encoding": "gzip"}
    assert get(server, tmp_path)[0].read_bytes() == DATA


def test_progress(server: Server, tmp_path: Path) -> None:
    server.plan.cut_after = [100_000]
    seen: list[tuple[str, int, int | None]] = []
    tiny = entry(server.url + "tiny.tar")
    fetch(tiny, tmp_path, lambda file, done, total: seen.append((file, done, total)), wait=0.0)
    done = [count for _, count, _ in seen]
    assert done == sorted(set(done))
    assert seen[-1] == ("tiny.tar", len(DATA), len(DATA))


def test_two_at_a_time(server: Server, tmp_path: Path) -> None:
    import fcntl

    part(tmp_path, b"", "")
    with open(tmp_path / "tiny/tiny.tar.part", "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another process is downloading it"):
            get(server, tmp_path)


def test_a_full_disk(server: Server, tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny/tiny.tar.part").symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"^cache '.*tiny': No space left on device; make room[^\n]*$"):
        get(server, tmp_path)


def test_a_cache_that_cannot_be_made(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"^cache '.*file/tiny': Not a directory; .*XDG_CACHE_HOME"):
        get(server, tmp_path / "file")


def test_where_downloads_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert downloads_cache() == tmp_path / "gen-dist/downloads"
