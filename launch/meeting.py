"""How torchrun's ranks agree before they train, and tell why they failed: notes in torchrun's key-value store.

Rank 0 announces the configuration once it has the data; the others answer with what they have; all show what they make
of the same step; rank 0 starts all of them or none. A process group would not do: its time limit is that of a
collective, and preparing data may take hours.
"""

import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch.distributed as dist
from pydantic import TypeAdapter
from torch.distributed.rendezvous import rendezvous

from gen_dist.cluster.faults import Injector
from gen_dist.cluster.policy import Failure, Kind, root_cause
from gen_dist.config import RunConfig
from gen_dist.data.pack import Pack
from gen_dist.engine.hardware import Hardware, detect_hardware
from gen_dist.engine.probe import probe_hash
from gen_dist.engine.reproducibility import Probe, wants_probe
from gen_dist.errors import RunError, UserError
from gen_dist.launch.request import open_data
from gen_dist.source_hash import source_hash

CONNECT_SECONDS = 300.0  # all ranks come to the store when they start
MEET_SECONDS = 86400.0  # any rank may have to prepare a big folder of images
ASK_SECONDS = 0.1
LISTEN_SECONDS = 3.0  # for the ranks that live to tell that a collective broke
ANNOUNCED, RESOLVED, STARTED = "announced", "resolved", "started"  # what rank 0 says
MEMBER, PROBE = "member", "probe"  # what the others answer to the first two
DEAD = "the process died or does not answer: killed, crashed, out of memory or cut off"


@dataclass(frozen=True)
class Member:
    """What a rank has."""

    hardware: Hardware
    source: str
    data_hash: str

    @classmethod
    def here(cls, pack: Pack) -> "Member":
        return cls(detect_hardware(), source_hash(), pack.content_hash)


@dataclass(frozen=True)
class Refusal:
    host: str
    reason: str


ANSWER: TypeAdapter[Member | Probe | Refusal] = TypeAdapter(Member | Probe | Refusal)
FAILURE = TypeAdapter(Failure)


class Meeting:
    """One rank's side of it. A single process meets itself."""

    def __init__(self, rank: int, world_size: int) -> None:
        """Raises RunError where the store cannot be reached."""
        self.rank, self.world_size, self.host = rank, world_size, socket.gethostname()
        self.hosts = [self.host]
        self.store: dist.Store = dist.HashStore() if world_size == 1 else connect(rank, world_size)

    def ask(self, key: str) -> bytes:
        """Wait for a note. By asking again and again, because a wait inside torch does not end at a signal."""
        deadline = time.monotonic() + MEET_SECONDS
        while not self.store.check([key]):
            if time.monotonic() > deadline:
                raise RunError(f"rank {self.rank} on {self.host} waited {MEET_SECONDS:.0f} s for the other ranks")
            time.sleep(ASK_SECONDS)
        return self.store.get(key)

    @contextmanager
    def refusal_told(self) -> Iterator[None]:
        """Rank 0: whatever ends it before the start ends the others too."""
        try:
            yield
        except BaseException:
            for key in (ANNOUNCED, RESOLVED, STARTED):
                self.store.set(key, "")
            raise

    def announce(self, config: RunConfig) -> None:
        self.store.set(ANNOUNCED, config.model_dump_json())

    def answers(self, question: str) -> Iterator[Member | Probe]:
        """Rank 0: what the other ranks answer, in order.

        Raises:
            UserError: a rank refused.
        """
        for rank in range(1, self.world_size):
            answer = ANSWER.validate_json(self.ask(f"{question}/{rank}"))
            if isinstance(answer, Refusal):
                raise UserError(f"rank {rank} on {answer.host}: {answer.reason}")
            yield answer

    def gather(self, own: Member) -> list[Hardware]:
        """Rank 0: what all ranks have.

        Raises:
            UserError: a rank refused, or has other source or data than this one.
        """
        group = [own.hardware]
        for rank, answer in enumerate(self.answers(MEMBER), start=1):
            assert isinstance(answer, Member)
            who = f"rank {rank} on {answer.hardware.host}"
            if answer.source != own.source:
                raise UserError(f"gen-dist of {who}: other source than rank 0's; install the same version everywhere")
            if answer.data_hash != own.data_hash:
                raise UserError(f"data of {who}: other content than rank 0's; copy the same pack to every machine")
            group.append(answer.hardware)
        self.hosts = [hardware.host for hardware in group]
        return group

    def probe(self, config: RunConfig, pack: Pack) -> list[Probe]:
        """Rank 0: what all ranks make of the same step. `config` has its device, precision and reducer resolved.

        Raises:
            UserError: a rank refused.
        """
        self.store.set(RESOLVED, config.model_dump_json())
        if not wants_probe(config, self.world_size):
            return []
        own = self.own_probe(config, pack)  # while the others make theirs
        return [own, *(answer for answer in self.answers(PROBE) if isinstance(answer, Probe))]

    def own_probe(self, config: RunConfig, pack: Pack) -> Probe:
        return Probe(self.host, Injector(self.rank).disturb(probe_hash(config, pack.shape[2])))

    def start(self, config: RunConfig) -> None:
        self.store.set(STARTED, config.model_dump_json())

    def attend(self) -> tuple[RunConfig, Path] | None:
        """Every other rank: the configuration to train with and the data here, or None where rank 0 does not start."""
        question, pack_path = MEMBER, Path()
        try:
            if not (announced := self.ask(ANNOUNCED)):
                return None
            pack_path, pack = open_data(RunConfig.model_validate_json(announced), lambda line: None)
            self.answer(MEMBER, Member.here(pack))
            if not (resolved := self.ask(RESOLVED)):
                return None
            question = PROBE
            config = RunConfig.model_validate_json(resolved)
            if wants_probe(config, self.world_size):
                self.answer(PROBE, self.own_probe(config, pack))
        except Exception as error:  # rank 0 says it, for it would wait
            self.answer(question, Refusal(self.host, describe(error)))
        started = self.ask(STARTED)
        return (RunConfig.model_validate_json(started), pack_path) if started else None

    def answer(self, question: str, answer: Member | Probe | Refusal) -> None:
        self.store.set(f"{question}/{self.rank}", ANSWER.dump_json(answer).decode())

    def failure(self, error: Exception, where: str, detail: str, collective: bool) -> Failure:
        kind = Kind.COLLECTIVE if collective else Kind.EXCEPTION
        return Failure(self.rank, self.host, where, kind, describe(error), detail)

    def tell(self, failure: Failure) -> None:
        self.store.set(f"failure/{self.rank}", FAILURE.dump_json(failure).decode())

    def explain(self, own: Failure) -> Failure:
        """Rank 0, whose collective broke: the failure of another rank that explains it."""
        deadline = time.monotonic() + LISTEN_SECONDS
        while True:
            keys = {rank: f"failure/{rank}" for rank in range(1, self.world_size)}
            told = {rank: self.store.get(key) for rank, key in keys.items() if self.store.check([key])}
            failures = [own, *map(FAILURE.validate_json, told.values())]
            if any(failure.kind is not Kind.COLLECTIVE for failure in failures):
                return root_cause(failures)
            silent = [rank for rank in keys if rank not in told]
            if not silent or time.monotonic() > deadline:
                return root_cause([*failures, *self.deaths(silent, own.where)])
            time.sleep(ASK_SECONDS)

    def deaths(self, silent: Sequence[int], where: str) -> list[Failure]:
        """The first of the ranks that told nothing, naming the others."""
        others = "".join(f"; nor does rank {rank} on {self.hosts[rank]}" for rank in silent[1:])
        return [Failure(rank, self.hosts[rank], where, Kind.DEATH, DEAD + others) for rank in silent[:1]]


def connect(rank: int, world_size: int) -> dist.Store:
    """The store at MASTER_ADDR:MASTER_PORT, which torchrun keeps, or else rank 0."""
    try:
        timeout = timedelta(seconds=CONNECT_SECONDS)
        store, _, _ = next(rendezvous("env://", rank=rank, world_size=world_size, timeout=timeout))
    except (ValueError, RuntimeError) as error:
        where = f"MASTER_ADDR {os.environ.get('MASTER_ADDR')}, MASTER_PORT {os.environ.get('MASTER_PORT')}"
        raise RunError(f"rank {rank} on {socket.gethostname()} cannot meet the others at {where}: {error}") from None
    return store


def describe(error: Exception) -> str:
    """In one line, without the name of a class where the message is meant for the user."""
    line = " ".join(str(error).split())[:500]
    return line if isinstance(error, (UserError, RunError)) else f"{type(error).__name__}: {line}"
