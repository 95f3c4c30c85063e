"""The actor: one process that trains. Everything it has to tell is fetched by the supervisor with `poll`.

torch is imported in methods only: so the driver can start workers before it has imported torch itself.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import ray

from gen_dist.assignment import Assignment, Files
from gen_dist.cluster.faults import Injector
from gen_dist.cluster.loan import Loan
from gen_dist.cluster.membership import Halted, Identity, Membership, Said
from gen_dist.cluster.outbox import Outbox
from gen_dist.cluster.receiving import PackReceiver, Request
from gen_dist.cluster.receiving import Standing as PackStanding
from gen_dist.cluster.turn import Turn
from gen_dist.config import RunConfig
from gen_dist.data.pack import Pack
from gen_dist.engine.hardware import detect_hardware
from gen_dist.errors import FaultyRank
from gen_dist.events import Message, Where
from gen_dist.garbage import collect_as_usual, collect_seldom
from gen_dist.preparing.resolving import locate_pack
from gen_dist.source_hash import source_hash

if TYPE_CHECKING:
    from gen_dist.engine.journal import Entry
    from gen_dist.engine.process_groups import Meeting
    from gen_dist.training import Trainer

LEAVE_SECONDS = 8.0  # without a sign of the supervisor


class TrainWorker:
    """Ray makes an actor of it, with several threads: `run` keeps one busy, the others answer."""

    def __init__(self, number: int) -> None:
        """`number`: how many workers were started before this one."""
        collect_seldom()
        self.where = "start-up"
        self.outbox = Outbox()
        self.turn = Turn()
        self.faults = Injector(number)
        self.receiver = PackReceiver()
        self.loan = Loan()
        self.alive = time.monotonic()
        self.trainer: Trainer

    def identify(self, data_path: str, pack: Path, content_hash: str) -> Identity:
        """Also opens the data, if this node has them."""
        self.faults.at("import")
        found = locate_pack(data_path, pack, content_hash)
        who = Identity(socket.gethostname(), source_hash(), detect_hardware(), None)
        if isinstance(found, str):
            return replace(who, data_lack=found)
        self.pack = found.path
        return replace(who, data_hash=found.content_hash)

    def receive_pack(self, request: Request, data: np.ndarray | None = None) -> PackStanding | None:
        """See `PackReceiver.answer`."""
        return self.receiver.answer(request, data)

    def probe(self, config: RunConfig) -> str:
        """What this process makes of the step that all workers' probes do; `config` is resolved."""
        from gen_dist.engine.probe import probe_hash

        return self.faults.disturb(probe_hash(config, Pack.open(self.pack).shape[2]))

    def run(self, assignment: Assignment, resume: Files | None, init: Files | None) -> int:
        """Train, in one generation after another; returns the number of finished steps.

        `resume` and `init` are the assignment's, sent once to all.
        """
        from gen_dist.training import Trainer

        collect_as_usual()
        self.alive = time.monotonic()
        threading.Thread(target=self.watch_supervisor, daemon=True).start()
        assignment = replace(assignment, pack=self.pack, resume=resume, init=init)
        self.trainer = trainer = Trainer(
            assignment, self.outbox.send, self.note, self.turn.check, self.loan.between_steps
        )
        self.faults.spoil(trainer.engine)
        self.faults.slow_down(trainer.engine)
        try:
            halted = Halted(trainer.standing)
            while (membership := self.turn.wait(halted, self.outbox.wake)) is not None:
                halted = self.train(trainer, membership)
            return trainer.engine.state.step
        except Exception as error:
            error.add_note(self.where)
            raise
        finally:
            trainer.close()
            self.turn, self.outbox = Turn(), Outbox()  # for another run

    def train(self, trainer: Trainer, membership: Membership) -> Halted:
        """In one generation, until it is left or the run ends."""
        from gen_dist.engine.collectives import is_collective
        from gen_dist.engine.process_groups import GroupBroken, process_group
        from gen_dist.training import Ending

        place, connections = membership.place, self.turn.connections
        self.where = f"generation {membership.generation}, rendezvous"
        try:
            self.faults.at("rendezvous")
            with process_group(self.meeting(membership), connections, trainer.config.train.device) as group:
                try:
                    trainer.join(place, group)
                    ending = trainer.run(self.turn.asked)
                finally:
                    trainer.leave()
            return Halted(trainer.standing, ended=ending is not Ending.PAUSED)
        except FaultyRank as error:
            return Halted(trainer.standing, broke=str(error), faulty=error.rank)
        except RuntimeError as error:  # also what a collective raises
            if not (connections.broken or isinstance(error, GroupBroken) or is_collective(error)):
                raise
            return Halted(trainer.standing, broke=f"{type(error).__name__}: {error}")

    def meeting(self, membership: Membership) -> Meeting | None:
        """Where this worker meets the others; None if there are none."""
        from gen_dist.cluster.network import choose_interface
        from gen_dist.engine.process_groups import Meeting

        place, rendezvous = membership.place, membership.rendezvous
        if place.ownership.workers == 1:
            return None
        own = rendezvous.address if rendezvous.is_local else ray.util.get_node_ip_address()
        interface = choose_interface(own)
        if membership.generation == 0:
            line = f"rank {place.rank} on {socket.gethostname()} uses interface {interface} ({own})"
            self.outbox.send(Message(line))
        return Meeting(
            rendezvous.address, rendezvous.port, f"generation-{membership.generation}", own, place.rank,
            place.ownership.workers, rendezvous.timeout_seconds,
        )  # fmt: skip

    def note(self, where: object) -> None:
        self.where = str(where)
        if isinstance(where, Where):
            self.faults.hit(where)

    def poll(self, taken: int, seconds: float) -> Said:
        """What the worker is doing, and the events from number `taken` on; waits up to `seconds` for the first one."""
        self.alive = time.monotonic()
        known = self.turn.halted
        events = self.outbox.read(taken, seconds, lambda: self.turn.halted is not known)
        return Said(self.where, self.turn.generation, self.turn.halted is not None, taken, events)

    def beat(self) -> None:
        """The supervisor lives."""
        self.alive = time.monotonic()

    def watch_supervisor(self) -> None:
        while time.monotonic() - self.alive < LEAVE_SECONDS:
            time.sleep(0.5)
        self.leave()

    def leave(self) -> None:
        """Nothing here can be saved without the supervisor, and Ray may take minutes to notice."""
        os._exit(1)

    def halt(self, generation: int, gently: bool) -> Halted:
        """Leave this generation, at the end of a step if `gently`, else at once; answers when it is done."""
        self.turn.leave(generation, gently)
        return self.turn.wait_halted(generation)

    def proceed(self, membership: Membership | None) -> None:
        """Go on in another generation; None: end."""
        self.turn.give(membership)

    def lend(self) -> Files:
        """The state at the end of a step, for a newcomer who will follow the journal that is begun with it."""
        return self.loan.ask(lambda: self.turn.between_steps(partial(self.loan.between_steps, self.trainer)))

    def take_journal(self) -> list[Entry] | None:
        """What was committed since the state was lent, or since the last call; None: too much to be kept."""
        journal = self.trainer.engine.journal
        return journal.take() if journal is not None else None

    def end_journal(self) -> None:
        self.trainer.engine.journal = None

    def follow(self, entries: list[Entry] | None) -> Halted | None:
        """Commit what another has; None where that is not known. For one that has not been in any generation."""
        if entries is None:
            return None
        self.trainer.follow(entries)
        return self.turn.moved(self.trainer.standing)

    def snapshot(self) -> Files:
        """The state of a worker that has halted."""
        return self.trainer.snapshot()

    def adopt(self, files: Files) -> Halted:
        """Become as far as the worker is whose state this is; for one that has halted, too."""
        self.trainer.adopt(files)
        return self.turn.moved(self.trainer.standing)

    def request_stop(self) -> None:
        """Finish the step in progress, together with all others, and end."""
        self.turn.stop = True
