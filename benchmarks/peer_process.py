"""The parent's side of a way that runs in a process of its own, see `benchmarks.peers.worker`."""

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
END_SECONDS = 10.0
SHOWN_LINES = 15


class PeerFailed(Exception):
    """The last lines of what the process said."""


class PeerProcess:
    """A way, pinned to `cores`. A context; leaving it ends the process."""

    def __init__(self, python: Path, way: str, folder: Path, cores: Sequence[int]) -> None:
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115
        where = ["taskset", "-c", ",".join(map(str, cores))]
        self.way = way
        command = [*where, str(python), "-m", "benchmarks.peers.worker", way, str(folder), str(len(cores))]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
            text=True,
        )  # fmt: skip

    def versions(self) -> dict[str, str]:
        return self._ask("versions")

    def output(self, path: Path) -> int:
        """Do the work once, write what came out as `.npy`; returns how many images."""
        return self._ask("output", path=str(path))

    def rate(self, seconds: float) -> tuple[float, float]:
        """Images a second, and the cores that it had on average."""
        answer = self._ask("time", seconds=seconds)
        return answer["rate"], answer["busy"]

    def fresh_rate(self) -> float:
        """Images a second of the first run in this process, preparation included, imports not."""
        return self._ask("fresh")

    def _ask(self, what: str, **fields: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(BrokenPipeError):
            print(json.dumps({"do": what, **fields}), file=self.process.stdin, flush=True)
        if line := self.process.stdout.readline():
            return json.loads(line)
        code = self.process.wait(END_SECONDS)
        self.errors.seek(0)
        said = self.errors.read().decode(errors="replace").splitlines()[-SHOWN_LINES:]
        raise PeerFailed("\n".join([f"exit code {code}: {self.way}", *said]))

    def __enter__(self) -> "PeerProcess":
        return self

    def __exit__(self, *exception: object) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.errors.close()
