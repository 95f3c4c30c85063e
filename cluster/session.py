"""The Ray cluster of a run: one started here and ended with the run, or a running one that is joined."""

import logging
import os
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from gen_dist.cluster.adapting_ray import SIGNALS, adapt_ray
from gen_dist.cluster.head_probe import SAME_MINOR_PYTHON
from gen_dist.cluster.janitor import dismiss, hire
from gen_dist.cluster.node_processes import is_running
from gen_dist.cluster.node_record import TOKEN_VARIABLES, saved_way
from gen_dist.cluster.placement import Node
from gen_dist.errors import RunError, UserError

MEGABYTE = 1_000_000
NEVER_BY_ITSELF = {"RAY_ENABLE_AUTO_CONNECT": "0"}  # a call after the end would start a cluster without our token
LONGEST_TEMPORARY_FOLDER = 28  # Unix socket paths end at 107 bytes


@contextmanager
def ray_cluster(address: str | None, cpus: int, object_store_mb: int) -> Iterator[None]:
    """Connected to the cluster at `address`, or to one started on this machine; leaves nothing behind.

    Raises:
        UserError: an address of an unsupported kind, or where no cluster answers.
    """
    if address is None:
        with local_cluster(cpus, object_store_mb):
            yield
    else:
        with joined_cluster(address):
            yield


@contextmanager
def local_cluster(cpus: int, object_store_mb: int) -> Iterator[None]:
    if "ray" in sys.modules:
        raise RuntimeError("ray is imported already: it reads whether to ask for a token at that moment only")
    # Ray listens on every interface even here, so it must ask for a token.
    environment = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_DISABLE_IMPORT_WARNING": "1",
        **NEVER_BY_ITSELF,
    }
    folder = make_folder()
    with changed_environment(environment):
        janitor = hire(folder)
        try:
            with signals_held():
                import ray

                adapt_ray()
                ray.init(
                    num_cpus=cpus,
                    include_dashboard=False,
                    object_store_memory=object_store_mb * MEGABYTE,
                    _temp_dir=folder,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
        except BaseException as error:
            with suppress(Exception):
                ray.shutdown()  # or it would write into its folder when the process ends
            dismiss(janitor)
            if isinstance(error, Exception):
                raise RunError(f"Ray could not start on this machine: {' '.join(str(error).split())[:300]}") from error
            raise
    try:
        yield
    finally:
        ray.shutdown()
        dismiss(janitor)


@contextmanager
def changed_environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Only what is started inside inherits the changes: W&B's process gets no token."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


@contextmanager
def joined_cluster(address: str) -> Iterator[None]:
    """Connected through this machine's node, with the token that `gen-dist up` or `join` kept here, if they ran."""
    check_address(address)
    way = saved_way(address)
    if way.record is not None and not is_running(way.record):
        again = "up" if way.record.role == "head" else f"join {way.record.head}"
        raise UserError(f"--address {address}: {way.record.describe()} has ended; 'gen-dist {again}' starts it again")
    check_address(way.address)  # auto is none, and a head may have gone
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "5")  # seconds for a head node to answer, or refuse the token
    with changed_environment({**SAME_MINOR_PYTHON, **NEVER_BY_ITSELF, **way.environment}):
        import ray

        adapt_ray()
        try:
            with without_stderr(), signals_held():
                ray.init(
                    address=way.address,
                    _node_ip_address=None if way.record is None else way.record.address,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise UserError(refusal(address, error)) from None
    try:
        yield
    finally:
        ray.shutdown()


def refusal(address: str, error: Exception) -> str:
    """Why the cluster at `address` cannot be joined, and what to do."""
    reason = " ".join(str(error).split())[:200]
    given = [name for name in TOKEN_VARIABLES if os.environ.get(name)]
    token = f"the token of {given[0]}" if given else "the token"
    return (
        f"--address {address}: no Ray cluster answers there, or it refused {token} ({reason}); run 'gen-dist up' or "
        f"'gen-dist join' on this machine, or set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN as it was started with"
    )


@contextmanager
def without_stderr() -> Iterator[None]:
    """Ray's C++ part repeats a wrong token every second; the exception that follows says it once."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def check_address(address: str, name: str = "--address") -> None:
    """Refuse what cannot work before Ray spends a minute on it. `name` is what the message calls it.

    Raises:
        UserError: a ray:// address, a malformed one, or one where nothing listens.
    """
    place = parse_address(address, name)
    if place is None:
        return
    try:
        with suppress(TimeoutError), socket.create_connection(place, timeout=5):
            return
        raise UserError(f"{name} {address}: no answer within 5 s; is the Ray head node running there?")
    except OSError as error:
        raise UserError(f"{name} {address}: {error.strerror or error}; is the Ray head node running there?") from None


def parse_address(address: str, name: str = "--address") -> tuple[str, int] | None:
    """Host and port; None for auto. Raises UserError as `check_address`, but for connecting."""
    if address.startswith("ray://"):
        raise UserError(
            f"{name} {address}: Ray Client addresses are not supported; run 'gen-dist train' on a node of the "
            "cluster with --address HOST:PORT, or hand it over with 'ray job submit'"
        )
    if address == "auto":
        return None
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise UserError(f"{name} {address}: must be HOST:PORT of a Ray head node, such as 192.0.2.1:6379, or auto")
    return host, int(port)


def make_folder(base: str | None = None) -> str:
    """A new folder for a cluster's files, short enough for the Unix sockets that Ray puts deep below it.

    Raises:
        UserError: `base` was given, and is too long or cannot be written to.
    """
    folder = os.path.realpath(base or tempfile.gettempdir())  # files that are open are known by their real names
    if base is not None and len(folder) > LONGEST_TEMPORARY_FOLDER:
        of = f" ('{folder}')" * (folder != base)
        raise UserError(
            f"--temp-dir {base}{of}: must have at most {LONGEST_TEMPORARY_FOLDER} letters, for Ray's sockets"
        )
    try:
        short = folder if len(folder) <= LONGEST_TEMPORARY_FOLDER else os.path.realpath("/tmp")
        return tempfile.mkdtemp(prefix="gd-", dir=short)
    except OSError as error:
        if base is None:
            raise
        raise UserError(f"--temp-dir {base}: {error.strerror}; name a folder that is there and yours") from None


@contextmanager
def signals_held() -> Iterator[None]:
    """Signals wait, and meet the handlers afterwards that were there before. For the main thread.

    While Ray connects, its C++ aborts the process if a signal comes, to whatever thread, and it leaves handlers of its
    own. Threads that start meanwhile never take signals, which then all go to the main thread.
    """
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def list_nodes() -> list[Node]:
    """The living nodes of the connected cluster, this machine first, then by address."""
    import ray

    here = ray.get_runtime_context().get_node_id()
    nodes = [
        Node(
            n["NodeID"], n["NodeManagerHostname"], n["NodeManagerAddress"],
            int(n["Resources"].get("CPU", 0)), int(n["Resources"].get("GPU", 0)),
            int(n["Resources"].get("memory", 0)),
        )
        for n in ray.nodes() if n["Alive"]
    ]  # fmt: skip
    return sorted(nodes, key=lambda node: (node.node_id != here, node.address, node.node_id))


def head_address() -> tuple[str, int]:
    """Host and port of the connected cluster's control store."""
    import ray

    host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
    return host, int(port)


def own_address(address: str | None) -> str:
    """Where workers reach this process: loopback where all of them are on this machine."""
    import ray

    return ray.util.get_node_ip_address() if address else "127.0.0.1"
