"""The run folder: what a run was asked to do, how far it is, and who may write to it."""

import fcntl
import json
import os
import re
import secrets
import shutil
import socket
import time
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self

import yaml

import gen_dist
from gen_dist.atomic import write_atomic
from gen_dist.errors import UserError
from gen_dist.yaml_text import dump_yaml, parse_yaml

State = Literal["running", "finished", "stopped", "failed"]

_FOLDERS = ("checkpoints", "samples", "wandb")
_LOCK_SECONDS = 1.0  # how long a writer waits for those who only ask whether there is one


class RunFolder:
    """One run on the disk: `config.yaml`, `run.json`, `status.json`, `log.txt` and the folders of the recorder.

    Anyone may open a run folder to read it. Its writer holds the lock, from `create` or `lock` until `unlock`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    @classmethod
    def create(cls, path: str | os.PathLike[str], config: dict[str, Any], info: dict[str, Any]) -> Self:
        """Make a new run folder and lock it for this process.

        `config` is the resolved configuration (plain YAML values). `info` goes into `run.json`, beside what is
        filled in here where it is absent: `id`, `wandb_id`, `created`, `version`.
        Raises UserError where the path is a file, cannot be written, or holds a run or anything else.
        """
        run = cls(Path(path).absolute())
        try:
            run.path.mkdir(parents=True, exist_ok=True)
            run._refuse_content()
            run.lock()
            run._refuse_content()  # another process may have made a run here before we had the lock
            for folder in _FOLDERS:
                (run.path / folder).mkdir(exist_ok=True)
            run.write_config(config)
            identity = secrets.token_hex(4)
            defaults = {"id": identity, "wandb_id": identity, "created": _now(), "version": gen_dist.__version__}
            write_atomic(run.path / "run.json", _json(defaults | info))  # last: it is what makes the folder a run
        except (FileExistsError, NotADirectoryError):
            raise UserError(f"run folder '{path}': there is a file in the way; name another folder") from None
        except OSError as error:
            run.unlock()
            hint = "name a folder that you may write to"
            raise UserError(f"run folder '{path}': cannot be written ({error.strerror}); {hint}") from None
        except UserError:
            run.unlock()
            raise
        return run

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Open an existing run folder, to read it; call `lock` before writing. Raises UserError if it is none."""
        run = cls(Path(path).absolute())
        if not run.path.is_dir():
            raise UserError(f"run folder '{path}': no such folder; give the folder of a run")
        if not (run.path / "run.json").is_file():
            raise UserError(f"run folder '{path}': holds no run (no run.json); give the folder of a run")
        return run

    @property
    def info(self) -> dict[str, Any]:
        """The content of `run.json`. Raises UserError where it is damaged."""
        return self._read("run.json", json.loads)

    @property
    def config(self) -> dict[str, Any]:
        """The content of `config.yaml`, unvalidated. Raises UserError where it is damaged."""
        return self._read("config.yaml", parse_yaml)

    def write_config(self, config: dict[str, Any]) -> None:
        """Write `config.yaml`. Raises UserError where it cannot be written."""
        self._write("config.yaml", lambda path: write_atomic(path, dump_yaml(config).encode()))

    def discard(self) -> None:
        """Remove the whole folder: a run that never began."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.unlock()

    def lock(self) -> None:
        """Become the writer of this run. Raises UserError, naming the other one, where it has a writer already."""
        if self._lock is not None:
            return
        try:
            descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            hint = "choose a run that you may write to"
            raise UserError(f"run folder '{self.path}': cannot be written ({error.strerror}); {hint}") from None
        try:
            _flock(descriptor)
        except BlockingIOError:
            os.close(descriptor)
            who = self._writer()
            raise UserError(
                f"run folder '{self.path}': process {who.get('pid', '?')} on {who.get('host', '?')} is writing to it; "
                f"stop that one first: gen-dist stop {self.path}"
            ) from None
        except OSError:
            pass  # some network file systems know no locks: better an unguarded run than none
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, _json({"pid": os.getpid(), "host": socket.gethostname()}), 0)
        self._lock = descriptor

    def unlock(self) -> None:
        """Let another process write. The lock also ends with the process, however that ends."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def locked(self) -> bool:
        """Whether some process is writing to this run now. A status of `running` without one means that it died."""
        if self._lock is not None:
            return True
        try:
            descriptor = os.open(self.path / "lock", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        else:
            return False
        finally:
            os.close(descriptor)

    def status(self) -> dict[str, Any]:
        """The content of `status.json`; empty before the first `set_status`. Raises UserError if it is damaged."""
        if not (self.path / "status.json").exists():
            return {}
        return self._read("status.json", json.loads)

    def set_status(self, state: State, **fields: Any) -> None:
        """Write `status.json`: `state`, this process and host, the time, and `fields` (`step`, `steps`, `message`).

        Fields that are not given keep their last value. Raises UserError where it cannot be written.
        """
        try:
            old = self.status()
        except UserError:
            old = {}  # a status is news, not a record: a damaged one is replaced
        own = {"state": state, "pid": os.getpid(), "host": socket.gethostname(), "updated": _now()}
        self._write("status.json", lambda path: write_atomic(path, _json(old | own | fields), durable=False))

    def request_stop(self) -> None:
        """Ask the process that writes this run to stop after its step. Raises UserError where that is not allowed."""
        self._write("stop", Path.touch)

    def stop_requested(self) -> bool:
        """Whether someone asked this run to stop."""
        return (self.path / "stop").exists()

    def clear_stop(self) -> None:
        """Forget a request to stop. Raises UserError where that is not allowed."""
        self._write("stop", lambda path: path.unlink(missing_ok=True))

    def log(self, line: str) -> None:
        """Append to `log.txt`, each line with the time in front. Raises UserError where it cannot be written."""
        text = "".join(f"{_now()} {part}\n" for part in line.splitlines() or [""])

        def append(path: Path) -> None:
            with path.open("ab", buffering=0) as file:  # one write, so that threads do not mix their lines
                file.write(text.encode())

        self._write("log.txt", append)

    def _refuse_content(self) -> None:
        if (self.path / "run.json").exists():
            raise UserError(f"run folder '{self.path}': already holds a run; resume it, or name another folder")
        if any(entry.name != "lock" for entry in self.path.iterdir()):
            raise UserError(f"run folder '{self.path}': is not empty; name a new or an empty folder")

    def _writer(self) -> dict[str, Any]:
        try:
            found = json.loads((self.path / "lock").read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _read(self, name: str, parse: Any) -> dict[str, Any]:
        path = self.path / name
        try:
            found = parse(path.read_text())
        except OSError as error:
            raise UserError(f"run file '{path}': cannot be read ({error.strerror}); restore it") from None
        except (ValueError, yaml.YAMLError):
            found = None
        if not isinstance(found, dict):
            raise UserError(f"run file '{path}': is damaged; restore it, or start a new run")
        return found

    def _write(self, name: str, write: Any) -> None:
        path = self.path / name
        try:
            write(path)
        except OSError as error:
            hint = "check the disk and your rights"
            raise UserError(f"run file '{path}': cannot be written ({error.strerror}); {hint}") from None


def default_run_path(root: str | os.PathLike[str], preset: str) -> Path:
    """A path for a new run that does not exist yet: `<root>/<preset>-YYYYmmdd-HHMMSS`, numbered where it does.

    `preset` may also be the path of a YAML file: its name without the ending counts.
    """
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(preset).name.removesuffix(".yaml")).strip(".-") or "run"
    first = Path(root) / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    path, number = first, 1
    while path.exists():
        number += 1
        path = first.with_name(f"{first.name}-{number}")
    return path


def _flock(descriptor: int) -> None:
    """Lock the file for this process alone, waiting a little: `locked` holds a shared lock for a moment.

    Raises BlockingIOError where another process keeps it.
    """
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.02)


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()
