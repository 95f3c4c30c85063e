"""What starting a head and joining one have in common, and ending the node."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from gen_dist.cgroups import cpus
from gen_dist.cluster.keeper import program
from gen_dist.cluster.node_processes import drivers, end_node, is_running, node_processes
from gen_dist.cluster.node_record import NodeRecord, read_record, record_locked
from gen_dist.errors import RunError, UserError
from gen_dist.launch.signals import stop_on_signals

DEFAULT_PORT = 6379  # Ray's own
WATCH_SECONDS = 2.0
WORKERS = ("ray::TrainWorker", "ray::decode_there")


@dataclass(frozen=True)
class Wish:
    """Options that `up` and `join` share."""

    node_ip_address: str | None
    num_cpus: int | None
    object_store_mb: int
    temp_dir: str | None
    block: bool

    def arguments(self, address: str) -> list[str]:
        """Of `ray start`. Ports of the worker processes are left to the system, as all others but the head's are."""
        return [
            f"--node-ip-address={address}",
            f"--num-cpus={cpus() if self.num_cpus is None else self.num_cpus}",
            f"--object-store-memory={self.object_store_mb * 1_000_000}",
            "--min-worker-port=0",
            "--max-worker-port=0",
            "--disable-usage-stats",
        ]


def check_system() -> None:
    if not sys.platform.startswith("linux"):
        raise UserError("up, join and down need Linux (on Windows: WSL2); here, train with no --address")


def running_node() -> NodeRecord | None:
    """The node of this machine; what is left of one that ended by itself is removed."""
    record = read_record()
    if record is not None and not is_running(record):
        end_node(record)
        return None
    return record


def stay(record: NodeRecord, lines: Sequence[str]) -> int:
    """Say these lines, wait for a signal, then end the node. Raises RunError if it ended by itself."""
    with stop_on_signals() as stop:  # before anyone reads that the node is there
        print("\n".join(lines), flush=True)
        while not stop:
            if not is_running(record):
                with record_locked(waits=True):  # 'down' may be at work: its record goes last
                    if ended_by_itself := read_record() == record:
                        end_node(record)
                if ended_by_itself:
                    raise RunError(f"{record.describe()} has ended by itself: its head is gone, or Ray failed")
            if read_record() != record:
                print(f"{record.describe()}: ended by 'gen-dist down'")
                return 0
            time.sleep(WATCH_SECONDS)
    return end_this_node(record)


def end_this_node(expected: NodeRecord | None = None) -> int:
    """End the node of this machine; only if it is the `expected` one, where that is given."""
    check_system()
    with record_locked():
        record = read_record()
        if record is None or expected not in (None, record):
            print("nothing to end: neither 'gen-dist up' nor 'gen-dist join' runs on this machine")
            return 0
        running, users = node_processes(record), drivers(record)
        workers = sum(program(process).startswith(WORKERS) for process in running)
        ended = end_node(record)
    if not ended:
        print(f"{record.describe()} had ended already; what was left of it is removed")
        return 0
    print(f"ended {record.describe()}: {ended} processes" + f", {workers} of them of runs" * bool(workers))
    if users:
        print(f"was in use by {', '.join(f'process {user}' for user in users)} of this machine, which cannot go on")
    if record.role == "head":
        print("machines that had joined it leave within some 60 s; 'gen-dist down' there does so at once")
    return 0
