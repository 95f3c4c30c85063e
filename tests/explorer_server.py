"""`gen-dist explore`, running, for tests to ask."""

import http.client
import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.command import finish, start


class Answer(NamedTuple):
    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Server(NamedTuple):
    process: subprocess.Popen[str]
    port: int

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return Answer(answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()})
        finally:
            connection.close()

    def post(self, path: str, fields: object, **headers: str) -> Answer:
        return self.ask("POST", path, json.dumps(fields).encode(), **{"Content_Type": "application/json"} | headers)


@contextmanager
def explorer(place: Path, *arguments: str) -> Iterator[Server]:
    """Ended by Ctrl-C, of which it must not complain."""
    process = start(["explore", *arguments, "--port", "0", "--no-browser"], place)
    assert process.stdout is not None
    line = process.stdout.readline()
    while line.startswith("note: "):
        line = process.stdout.readline()
    if not line.startswith("http://"):
        done = finish(process)
        raise AssertionError(f"{line}{done.out}{done.err}")
    try:
        yield Server(process, int(line.split()[0].rsplit(":", 1)[1].strip("/")))
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGINT)
        done = finish(process, 30)
    assert done.code == 130, done
    assert "Traceback" not in done.err
