"""The actor: one process that trains. Everything it has to tell is fetched by the supervisor with `poll`.

torch is imported in methods only: so the driver can start workers before it has imported torch itself.
"""

from __future__ import annotations

import queue
import socket
import threading
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import ray

from gen_dist.assignment import Assignment, Files
from gen_dist.cluster.faults import disturb_probe, inject_faults
from gen_dist.cluster.receiving import PackReceiver, Request, Standing
from gen_dist.config import RunConfig
from gen_dist.data.pack import Pack
from gen_dist.engine.hardware import Hardware, detect_hardware
from gen_dist.events import Event, Message
from gen_dist.preparing.resolving import locate_pack
from gen_dist.source_hash import source_hash

if TYPE_CHECKING:
    import torch.distributed as dist

MOST_WAITING_EVENTS = 64  # then training waits for the supervisor


@dataclass(frozen=True)
class Identity:
    """Who a worker is and what it has."""

    host: str
    source: str
    hardware: Hardware
    data_hash: str | None  # None: it has no copy of the pack
    data_lack: str = ""  # why it has none


@dataclass(frozen=True)
class Rendezvous:
    """Where the ranks of a generation meet."""

    address: str
    port: int
    generation: int
    timeout_seconds: float

    @property
    def is_local(self) -> bool:
        return self.address.startswith("127.")


class TrainWorker:
    """Ray makes an actor of it, with a few threads: `run` keeps one busy, the others answer."""

    def __init__(self) -> None:
        self.where = "start-up"
        self.events: queue.Queue[Event] = queue.Queue(MOST_WAITING_EVENTS)
        self.stop = threading.Event()
        self.receiver = PackReceiver()

    def identify(self, data_path: str, pack: Path, content_hash: str) -> Identity:
        """Also opens the data, if this node has them."""
        found = locate_pack(data_path, pack, content_hash)
        who = Identity(socket.gethostname(), source_hash(), detect_hardware(), None)
        if isinstance(found, str):
            return replace(who, data_lack=found)
        self.pack = found.path
        return replace(who, data_hash=found.content_hash)

    def receive_pack(self, request: Request, data: np.ndarray | None = None) -> Standing | None:
        """See `PackReceiver.answer`."""
        return self.receiver.answer(request, data)

    def probe(self, config: RunConfig, rank: int) -> str:
        """What this process makes of the step that all workers' probes do; `config` is resolved."""
        from gen_dist.engine.probe import probe_hash

        return disturb_probe(rank, probe_hash(config, Pack.open(self.pack).shape[2]))

    def run(self, assignment: Assignment, resume: Files | None, init: Files | None, rendezvous: Rendezvous) -> int:
        """Train; returns the number of finished steps. `resume` and `init` are the assignment's, sent once to all."""
        import torch.distributed as dist

        from gen_dist.training import train

        group = None
        if assignment.ownership.workers > 1:
            self.where = "rendezvous"
            group = self.meet(assignment, rendezvous)
        assignment = replace(assignment, pack=self.pack, resume=resume, init=init)
        watch = inject_faults(assignment.rank, self.note)
        try:
            return train(assignment, self.events.put, self.stop.is_set, watch, group)
        finally:
            if dist.is_initialized():
                dist.destroy_process_group()

    def meet(self, assignment: Assignment, rendezvous: Rendezvous) -> dist.ProcessGroup:
        """Join the process group of this generation."""
        import torch.distributed as dist

        from gen_dist.cluster.network import choose_interface

        own = rendezvous.address if rendezvous.is_local else ray.util.get_node_ip_address()
        interface = choose_interface(own)
        self.events.put(Message(f"rank {assignment.rank} on {socket.gethostname()} uses interface {interface} ({own})"))
        timeout = timedelta(seconds=rendezvous.timeout_seconds)
        store = dist.TCPStore(rendezvous.address, rendezvous.port, is_master=False, timeout=timeout)
        dist.init_process_group(
            "nccl" if assignment.config.train.device == "cuda" else "gloo",
            store=dist.PrefixStore(f"generation-{rendezvous.generation}", store),
            rank=assignment.rank,
            world_size=assignment.ownership.workers,
            timeout=timeout,
        )
        assert dist.group.WORLD is not None
        return dist.group.WORLD

    def note(self, where: object) -> None:
        self.where = str(where)

    def poll(self, seconds: float) -> tuple[str, list[Event]]:
        """What the worker is doing, and the events since the last call; waits up to `seconds` for the first one."""
        events: list[Event] = []
        deadline = time.monotonic() + seconds
        try:
            while True:
                left = deadline - time.monotonic()
                events.append(self.events.get(timeout=left) if left > 0 and not events else self.events.get_nowait())
        except queue.Empty:
            return self.where, events

    def request_stop(self) -> None:
        """Finish the step in progress, together with all others, and end."""
        self.stop.set()
