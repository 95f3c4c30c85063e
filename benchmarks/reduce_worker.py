"""A worker of `benchmarks.reduce`: one model trained with each of several reducers, each with a state of its own.

`Group` starts one worker a rank and asks them; `main` is a worker. They talk in lines of JSON over standard input and
output. Rank 0 begins with its store's port, which the driver hands to the others.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any
from unittest import mock

import torch
import torch.distributed as dist
from torch import Tensor

from gen_dist.assignment import Assignment
from gen_dist.cluster.network import choose_interface, serve_store
from gen_dist.config import RunConfig
from gen_dist.data.pack import Pack
from gen_dist.engine import shared_memory
from gen_dist.engine.engine import Engine
from gen_dist.engine.exchange import Transfer
from gen_dist.engine.gradients import GradientStack
from gen_dist.engine.hardware import detect_hardware, resolve_hardware
from gen_dist.engine.ownership import Ownership
from gen_dist.engine.program import PhaseProgram
from gen_dist.engine.reducer import Work
from gen_dist.engine.tree import Add
from gen_dist.engine.tree_reducer import TreeReducer
from gen_dist.presets import load_config
from gen_dist.training import build_engine
from tests.hosts import Host

ROOT = Path(__file__).parents[1]
LOOPBACK = "127.0.0.1"
LONGEST_SECONDS = 120.0  # a collective that waits longer fails
END_SECONDS = 10.0
TREE, DDP, LATE, PLAIN = "tree", "ddp", "late", "plain"


@dataclass(frozen=True)
class Model:
    """A preset with changes, trained on the images of a pack."""

    preset: str
    overrides: list[str]
    pack: str

    def config(self, reducer: str) -> RunConfig:
        config = load_config(self.preset, [*self.overrides, "train.device=cpu", f"train.reducer={reducer}"])
        return resolve_hardware(config, [detect_hardware()])


class Group:
    """Workers in processes of their own: one on each host, or `workers` on this machine's loopback. A context."""

    def __init__(self, workers: int, hosts: Sequence[Host] = ()) -> None:
        self.hosts = hosts
        addresses = [host.address for host in hosts] or [LOOPBACK] * workers
        self.processes = []
        for rank, address in enumerate(addresses):
            argv = [sys.executable, "-m", "benchmarks.reduce_worker", str(rank), str(workers), address, addresses[0]]
            command = hosts[rank].command(argv) if hosts else argv
            pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            # Else the store warns that addresses without names have none.
            environment = {**os.environ, "TORCH_CPP_LOG_LEVEL": "ERROR"}
            self.processes.append(subprocess.Popen(command, cwd=ROOT, env=environment, **pipes))
        try:
            port = self.read(0)
            for rank in range(1, workers):
                self.write(rank, port)
        except BaseException:
            self.close()
            raise

    def ask(self, question: str, **fields: Any) -> list[Any]:
        """Every rank's answer."""
        for rank in range(len(self.processes)):
            self.write(rank, [question, fields])
        return [self.read(rank) for rank in range(len(self.processes))]

    def write(self, rank: int, message: Any) -> None:
        file = self.processes[rank].stdin
        assert file is not None
        with suppress(BrokenPipeError):  # `read` says what became of the worker
            print(json.dumps(message), file=file, flush=True)

    def read(self, rank: int) -> Any:
        file = self.processes[rank].stdout
        assert file is not None
        if not (line := file.readline()):
            raise SystemExit(f"the worker of rank {rank} ended with exit code {self.processes[rank].wait(END_SECONDS)}")
        return json.loads(line)

    def __enter__(self) -> "Group":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """At their input's end workers leave; those that cannot, because a peer is gone, are killed."""
        for process in self.processes:
            assert process.stdin is not None
            with suppress(BrokenPipeError):
                process.stdin.close()
        for process in self.processes:
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            assert process.stdout is not None
            process.stdout.close()


class LateTreeReducer(TreeReducer):
    """`tree` without overlap: everything is sent when the last backward is done."""

    def __init__(self, group: dist.ProcessGroup | None, limit_seconds: float) -> None:
        super().__init__(group, limit_seconds)
        self.kept: list[tuple[Transfer, Tensor]] = []

    def keep(self, stack: GradientStack, add: Add, number: int, transfers: Sequence[Transfer]) -> None:
        super().keep(stack, add, number, ())
        if transfers and add.settles is not None:
            self.kept.append((transfers[number], stack.piece(add.settles, number)))

    def send_numbers(
        self, program: PhaseProgram, numbers: list[Tensor], ownership: Ownership, number: int
    ) -> list[Transfer]:
        for transfer, piece in self.kept:
            transfer.send(piece)
        self.kept.clear()
        return super().send_numbers(program, numbers, ownership, number)


class PlainReducer:
    """One worker's gradients summed in `grad`, as torch does it where nobody says otherwise."""

    receive = None

    def accumulate(
        self, program: PhaseProgram, work: Work, ownership: Ownership, extra: Tensor, batch_size: int
    ) -> Tensor:
        numbers: list[Tensor] = []
        for microbatch, draws in work:
            loss, vector = program(microbatch, draws)
            (loss / batch_size).backward()
            numbers.append(vector)
        return torch.cat((torch.stack(numbers).sum(0), extra))

    def sum(self, numbers: Tensor, check: Callable[[], None]) -> Tensor:
        return numbers

    def reset(self) -> None:
        pass

    def leave(self) -> None:
        pass


class Worker:
    def __init__(self, rank: int, workers: int, group: dist.ProcessGroup | None) -> None:
        self.rank, self.workers, self.group = rank, workers, group
        self.engines: dict[str, Engine] = {}

    def prepare(self, model: dict[str, Any], reducers: Sequence[str], steps: int) -> dict[str, Any]:
        """Build an engine for each reducer and take its first steps: what they computed, for comparison."""
        self.close()
        self.engines = {name: self.build(Model(**model), name) for name in reducers}
        answer = {}
        for name, engine in self.engines.items():
            losses = [engine.step().losses for _ in range(steps)]
            answer[name] = {"hash": engine.state.hash(), "losses": losses}
        gradients = sum(p.numel() * p.element_size() for e in self.engines.values() for p in trained(e))
        return {"reducers": answer, "gradient_bytes": gradients // len(self.engines)}

    def build(self, model: Model, name: str) -> Engine:
        config = model.config(DDP if name == DDP else TREE)
        torch.set_num_threads(config.train.threads)
        ownership = Ownership.equal(config.train.microbatches, self.workers)
        assignment = Assignment(config, Path(model.pack), self.rank, ownership)
        with mock.patch.object(shared_memory, "machine_number", return_value=0):  # the tables are of links
            engine = build_engine(assignment, Pack.open(assignment.pack), lambda where: None, self.group)
            if name == LATE:
                return replace(engine, reducer=LateTreeReducer(self.group, LONGEST_SECONDS))
        return replace(engine, reducer=PlainReducer()) if name == PLAIN else engine

    def time(self, reducer: str, steps: int) -> dict[str, float]:
        """Wall and CPU seconds from all ranks' beginning to this one's end; the bytes it sent as the reducer counts."""
        engine = self.engines[reducer]
        before = bytes_sent(engine)
        if self.group is not None:
            dist.barrier(self.group)
        started, cpu = time.perf_counter(), time.process_time()
        for _ in range(steps):
            engine.step()
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        return {"seconds": seconds, "cpu": cpu, "sent": bytes_sent(engine) - before}

    def close(self) -> None:
        for engine in self.engines.values():
            engine.loader.close()
            engine.reducer.reset()
        self.engines = {}


def trained(engine: Engine) -> list[torch.nn.Parameter]:
    """What is reduced in a step in which every phase comes once."""
    return [p for program in engine.programs.values() for p in program.parameters()]


def bytes_sent(engine: Engine) -> int:
    exchange = getattr(engine.reducer, "exchange", None)
    return exchange.bytes_sent if exchange is not None else 0


def join(rank: int, workers: int, address: str, meeting: str) -> dist.ProcessGroup | None:
    """All ranks' gloo group over the interface of `address`; rank 0 keeps the store at `meeting`."""
    choose_interface(address)
    if rank == 0:
        store, port = serve_store(address, LONGEST_SECONDS)
        print(port, flush=True)
    else:
        port = json.loads(sys.stdin.readline())
        store = dist.TCPStore(meeting, port, is_master=False, timeout=timedelta(seconds=LONGEST_SECONDS))
    if workers == 1:
        return None
    timeout = timedelta(seconds=LONGEST_SECONDS)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=workers, timeout=timeout)
    return dist.group.WORLD


def main() -> None:
    rank, workers, address, meeting = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
    group = join(rank, workers, address, meeting)
    worker = Worker(rank, workers, group)
    questions: dict[str, Callable[..., Any]] = {"prepare": worker.prepare, "time": worker.time}
    for line in sys.stdin:
        question, fields = json.loads(line)
        print(json.dumps(questions[question](**fields)), flush=True)
    worker.close()
    if group is not None:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
