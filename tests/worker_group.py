"""Four training processes in gloo groups of 1 to 4, kept for many small runs: `WorkerGroup` asks, `main` answers.

A process of each rank reads a request (one line of JSON) from standard input and writes its answer to standard output.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch.distributed as dist

from gen_dist.assignment import Assignment
from gen_dist.checkpointing import checkpoint_facts
from gen_dist.data.pack import Pack
from gen_dist.draws import Draws
from gen_dist.engine import shared_memory
from gen_dist.engine.engine import Engine
from gen_dist.engine.exchange import Exchange
from gen_dist.engine.ownership import Ownership
from gen_dist.engine.program import PhaseProgram
from gen_dist.engine.replicas import compare_states, send_state
from gen_dist.engine.tree import Plan, plan
from gen_dist.training import build_engine
from tests.training_cases import case

MOST = 4


@dataclass(frozen=True)
class Request:
    """A small run: `shares` says who owns how many microbatches, `mutation` (of MUTATIONS) spoils the rank `mutant`."""

    case: str
    pack: str
    shares: Sequence[int]
    overrides: Sequence[str] = ()
    steps: int = 3
    load: str | None = None  # a folder with a checkpoint to continue
    save: str | None = None  # a folder for one at the end
    mutation: str | None = None
    mutant: int = 0
    machines: Sequence[int] | None = None  # by rank, where they are to be taken for several


@dataclass(frozen=True)
class Answer:
    """What a rank saw: after every step its state's hash and the losses; which samples it read at which positions."""

    hashes: list[str]
    losses: list[dict[str, float]]
    read: list[tuple[int, int]]
    bytes_sent: int
    error: str = ""
    shares_memory_with: Sequence[int] = ()  # ranks
    messages: Mapping[str, int] = field(default_factory=dict)  # how often others were told something, by way
    events: Sequence[str] = ()  # of the last step: "microbatch", and of gradients "send", "receive", in order


class WorkerGroup:
    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        self.store = store  # lives as long as the group
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.worker_group", str(rank), str(store.port)],
                env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for rank in range(MOST)
        ]  # fmt: skip

    def run(self, request: Request) -> list[Answer]:
        """Every rank's answer."""
        processes = self.processes[: len(request.shares)]
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(json.dumps(asdict(request)) + "\n")
            process.stdin.flush()
        answers = []
        for process in processes:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, f"a worker ended with exit code {process.wait()}"
            answers.append(Answer(**json.loads(line)))
        return answers

    def close(self) -> None:
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.close()
        for process in self.processes:
            process.wait(30)
            assert process.stdout is not None
            process.stdout.close()


def main() -> None:
    rank, port = int(sys.argv[1]), int(sys.argv[2])
    store = dist.TCPStore("127.0.0.1", port, is_master=False, timeout=timedelta(seconds=60))
    timeout = timedelta(seconds=20)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=MOST, timeout=timeout)
    groups = {size: dist.new_group(list(range(size)), timeout=timeout) for size in range(2, MOST + 1)}
    for line in sys.stdin:
        request = Request(**json.loads(line))
        answer = answer_request(request, rank, groups.get(len(request.shares)))
        print(json.dumps(asdict(answer)), flush=True)
    dist.destroy_process_group()


def answer_request(request: Request, rank: int, group: dist.ProcessGroup | None) -> Answer:
    config = case(request.case, request.overrides)
    torch.set_num_threads(config.train.threads)
    pack = Pack.open(Path(request.pack))
    files = {file.name: file.read_bytes() for file in Path(request.load).iterdir()} if request.load else None
    assignment = Assignment(config, Path(request.pack), rank, Ownership.from_shares(request.shares), files)
    number = request.machines[rank] if request.machines else shared_memory.machine_number()
    with mock.patch.object(shared_memory, "machine_number", return_value=number):
        engine = build_engine(assignment, pack, lambda where: None, group)
    settle = compare_states if config.train.reproducibility == "bitwise" else send_state
    answer = Answer([], [], [], 0)
    mutation = MUTATIONS[request.mutation] if request.mutation and request.mutant == rank else unspoilt
    try:
        with ledger(engine) as read, mutation(engine), counted() as messages, watched() as events:
            for _ in range(request.steps):
                events.clear()
                answer.losses.append(engine.step().losses)
                answer.hashes.append(settle(engine.state, group))
    except Exception as error:
        return Answer(answer.hashes, answer.losses, [], 0, str(error))
    finally:
        engine.loader.close()
    if request.save and rank == 0:
        for name, content in engine.state.to_files(checkpoint_facts(config, pack)).items():
            (Path(request.save) / name).write_bytes(content)
    exchange = getattr(engine.reducer, "exchange", None)
    sent, peers = (exchange.bytes_sent, sorted(exchange.memory.peers)) if exchange is not None else (0, [])
    return Answer(answer.hashes, answer.losses, read, sent, "", peers, messages, events)


@contextmanager
def watched() -> Iterator[list[str]]:
    """What happens, in order; see `Answer.events`."""
    found: list[str] = []

    def noted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def calling(*arguments: Any, **options: Any) -> Any:
            if name == "microbatch" or arguments[4]:  # `shared`: of gradients
                found.append(name)
            return call(*arguments, **options)

        return calling

    with (
        mock.patch.object(Exchange, "send", noted("send", Exchange.send)),
        mock.patch.object(Exchange, "receive", noted("receive", Exchange.receive)),
        mock.patch.object(PhaseProgram, "forward", noted("microbatch", PhaseProgram.forward)),
    ):
        yield found


@contextmanager
def counted() -> Iterator[dict[str, int]]:
    """Calls to others, of the two kinds that steps make: `send` and `all_reduce`."""
    found = {"send": 0, "all_reduce": 0}

    def noted(kind: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def calling(*arguments: Any, **options: Any) -> Any:
            found[kind] += 1
            return call(*arguments, **options)

        return calling

    with (
        mock.patch.object(Exchange, "send", noted("send", Exchange.send)),
        mock.patch.object(dist, "all_reduce", noted("all_reduce", dist.all_reduce)),
    ):
        yield found


@contextmanager
def ledger(engine: Engine) -> Iterator[list[tuple[int, int]]]:
    """Every (position, sample) that the engine reads."""
    read: list[tuple[int, int]] = []
    get = engine.loader.get

    def noted(step: int, number: int, indices: Sequence[int]) -> Any:
        microbatches = get(step, number, indices)
        for microbatch in microbatches:
            read.extend(zip(microbatch.positions.tolist(), microbatch.samples.tolist(), strict=True))
        return microbatches

    with mock.patch.object(engine.loader, "get", noted):
        yield read


@contextmanager
def unspoilt(engine: Engine) -> Iterator[None]:
    yield


@contextmanager
def own_generator(engine: Engine) -> Iterator[None]:
    """Random numbers that depend on the rank."""
    engine.draws = Draws(engine.draws.seed + 1)
    yield


@contextmanager
def own_order(engine: Engine) -> Iterator[None]:
    """All pieces added one after the other, not in the tree."""

    def one_by_one(ownership: Ownership) -> Plan:
        counts = plan(ownership).counts
        return Plan(counts, tuple((0, added) for added in range(1, sum(counts))))

    with mock.patch("gen_dist.engine.tree_reducer.plan", one_by_one):
        yield


@contextmanager
def flipped_bit(engine: Engine) -> Iterator[None]:
    """The lowest bit of one weight, after the first step."""
    step = engine.step

    def spoilt() -> Any:
        report = step()
        if engine.state.step == 1:
            weight = next(iter(engine.state.modules.values())).get_parameter("layers.1.weight")
            weight.data.as_strided((weight.numel(),), (1,)).view(torch.int32)[0] ^= 1
        return report

    with mock.patch.object(engine, "step", spoilt):
        yield


MUTATIONS: dict[str, Callable[[Engine], Any]] = {
    "own generator": own_generator,
    "own order": own_order,
    "flipped bit": flipped_bit,
}

if __name__ == "__main__":
    main()
