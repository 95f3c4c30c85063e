"""What this machine keeps about the Ray node that `gen-dist up` or `join` started on it: a JSON and the token.

Both are readable by their user only. They lie in a folder named after the host, because homes may be shared.
"""

import fcntl
import ipaddress
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from gen_dist.errors import UserError

TOKEN_VARIABLES = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


@dataclass(frozen=True)
class NodeRecord:
    """The Ray node of this machine. `session` is that of its processes; 0 before they were started."""

    role: str  # head or member
    head: str  # HOST:PORT
    address: str
    interface: str
    folder: str
    session: int = 0

    def describe(self) -> str:
        if self.role == "head":
            return f"the Ray head {self.head} ({self.interface})"
        return f"the Ray node {self.address} ({self.interface}), a member of {self.head}"


@dataclass(frozen=True)
class Way:
    """How a driver on this machine connects: through the node of `record`; None: through one that Ray finds."""

    address: str
    record: NodeRecord | None
    environment: Mapping[str, str]


def record_folder() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "gen-dist" / "nodes" / socket.gethostname()


def token_path() -> Path:
    return record_folder() / "token"


def read_record() -> NodeRecord | None:
    """The node that was started on this machine, whether it still runs or not.

    Raises:
        UserError: the record is there and cannot be read.
    """
    path = record_folder() / "node.json"
    try:
        return NodeRecord(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"{path}: not a record of a Ray node ({error}); end that node with 'ray stop', and remove the file"
        ) from None


def write_record(record: NodeRecord) -> None:
    _write(record_folder() / "node.json", json.dumps(asdict(record), indent=1) + "\n")


def write_token(token: str) -> Path:
    _write(token_path(), token + "\n")
    return token_path()


def read_token() -> str | None:
    try:
        return token_path().read_text().strip() or None
    except FileNotFoundError:
        return None


def forget_node() -> None:
    for name in ("token", "node.json"):  # the record goes last: while it is there, `down` has something to end
        (record_folder() / name).unlink(missing_ok=True)


@contextmanager
def record_locked(waits: bool = False) -> Iterator[None]:
    """Only one command at a time starts or ends the node of this machine. `waits`: for the other one to end.

    Raises:
        UserError: another one is at it, or the folder cannot be made.
    """
    folder = record_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror}; set XDG_STATE_HOME to a folder of yours") from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
        except OSError:
            raise UserError("another 'gen-dist up', 'join' or 'down' is at work on this machine; try again") from None
        yield
    finally:
        os.close(lock)


def way_to(address: str, record: NodeRecord | None, token: str | None, environment: Mapping[str, str]) -> Way:
    """How to connect to the cluster at `address` (HOST:PORT or auto). Pure.

    What the user set in the environment goes before the token that is kept here, which is for the cluster of this
    machine's node only.
    """
    if record is None or not _is_head(address, record):
        return Way(address, None, {})
    changes = {}
    if token is not None and not any(environment.get(name) for name in TOKEN_VARIABLES):
        changes = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
    return Way(record.head, record, changes)


def saved_way(address: str) -> Way:
    """`way_to` with what this machine keeps and this process's environment."""
    return way_to(resolved(address), read_record(), read_token(), os.environ)


def resolved(address: str) -> str:
    """`address` with the host as an IPv4 address, where it has one: what Ray itself works with."""
    host, colon, port = address.rpartition(":")
    with suppress(OSError, UnicodeError):
        return f"{socket.gethostbyname(host)}:{port}" if colon and host else address
    return address


def _is_head(address: str, record: NodeRecord) -> bool:
    if address in ("auto", record.head):
        return True
    host, _, port = address.rpartition(":")
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
    return loopback and record.role == "head" and port == record.head.rpartition(":")[2]


def _write(path: Path, text: str) -> None:
    """Private from its first byte on, and never half-written."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    temporary.replace(path)
