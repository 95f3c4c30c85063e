"""Summing gradients among workers of one machine: what others read in memory, beside what is sent through sockets.

python -m benchmarks.exchange [--workers 2 4 8] [--turns 30]

One transfer of the tree reducer, from the last worker's arrival to the last one's end; the two ways take turns.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from unittest import mock

import torch
import torch.distributed as dist

from benchmarks.launch import describe_machine
from gen_dist.engine import shared_memory
from gen_dist.engine.exchange import Exchange, Transfer
from gen_dist.engine.ownership import Ownership
from gen_dist.engine.tree import plan

ROOT = Path(__file__).parents[1]
SMALL = "a few numbers"
PARAMETERS = {SMALL: 128, "`vae-mnist`": 815_000, "`vae-64`": 2_960_000, "`dcgan-64`": 6_340_000}
WAYS = ("memory", "sockets")
SECONDS = 60


def measure(group: dist.ProcessGroup, elements: int, turns: int) -> dict[str, list[float]]:
    """Seconds of each transfer, both ways; and the processor's, where messages go through sockets. Raises
    AssertionError if the ways give different sums."""
    exchanges = {"memory": Exchange(group, SECONDS)}
    with mock.patch.object(shared_memory, "machine_number", return_value=0):
        exchanges["sockets"] = Exchange(group, SECONDS)
    assert len(exchanges["memory"].memory.peers) == group.size() - 1, "memory cannot be shared here"
    vectors = {way: exchanges[way].allocate(elements, torch.empty(0)) for way in WAYS}
    order = plan(Ownership.equal(group.size(), group.size()))
    found: dict[str, list[float]] = {way: [] for way in (*WAYS, "processor")}
    for _ in range(turns):
        for way in WAYS:
            vectors[way].copy_(torch.arange(elements) % 7 + group.rank())
            dist.barrier(group)
            began, processor = time.perf_counter(), time.process_time()
            transfer = Transfer(exchanges[way], elements, torch.float32, order, 0, lambda: None, shared=True)
            transfer.send(vectors[way])
            transfer.sum()
            transfer.finish()
            if way == "sockets":
                found["processor"].append(time.process_time() - processor)
            dist.barrier(group)
            found[way].append(time.perf_counter() - began)
        assert torch.equal(vectors["memory"], vectors["sockets"])
    exchanges["memory"].reset()
    return found


def work(rank: int, workers: int, port: int, elements: int, turns: int) -> None:
    torch.set_num_threads(1)
    store = dist.TCPStore("127.0.0.1", port, is_master=False, timeout=timedelta(seconds=SECONDS))
    dist.init_process_group("gloo", store=store, rank=rank, world_size=workers, timeout=timedelta(seconds=SECONDS))
    assert dist.group.WORLD is not None
    print(json.dumps(measure(dist.group.WORLD, elements, turns)), flush=True)
    dist.destroy_process_group()


def run(workers: int, elements: int, turns: int) -> dict[str, list[float]]:
    """Rank 0's times."""
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    numbers = [workers, store.port, elements, turns]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.exchange", "--rank", *map(str, [rank, *numbers])],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )
        for rank in range(workers)
    ]  # fmt: skip
    answers = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise SystemExit("a worker failed")
    times: dict[str, list[float]] = json.loads(answers[0])
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description="Summing gradients among workers of one machine.")
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--turns", type=int, default=30)
    parser.add_argument("--rank", type=int, nargs=5, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.rank:
        work(*given.rank)
        return
    print(describe_machine())
    print(
        "| workers | gradients of | MB | sockets, ms | memory, ms | memory / sockets |\n|---:|---|---:|---:|---:|---:|"
    )
    for workers in given.workers:
        for preset, elements in PARAMETERS.items():
            times = run(workers, elements, given.turns)
            sockets, memory = (1000 * statistics.median(times[way]) for way in ("sockets", "memory"))
            if preset == SMALL:  # a piece and a sum, to and from each other worker
                message = 1e6 * statistics.median(times["processor"]) / (4 * (workers - 1))
            size = 4e-6 * elements
            print(
                f"| {workers} | {preset} | {size:.1f} | {sockets:.2f} | {memory:.2f} | {memory / sockets:.2f} |",
                flush=True,
            )
        print(f"processor time of a message through a socket: {message:.0f} microseconds\n", flush=True)


if __name__ == "__main__":
    main()
