"""A run under plain torch: one process, or the ranks that torchrun started."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

import numpy as np
import torch
import torch.distributed as dist

from gen_dist.assignment import Assignment
from gen_dist.config import RunConfig
from gen_dist.engine.hardware import Hardware, detect_hardware, resolve_hardware
from gen_dist.engine.ownership import decide_ownership
from gen_dist.launch.recording import Recording
from gen_dist.launch.request import Files, Request, open_data, open_run
from gen_dist.launch.signals import StopRequest, stop_on_signals
from gen_dist.training import train

CONFIG = "config.json"


def run_without_ray(request: Request) -> int:
    """Train as this rank; returns the exit code. Rank 0 keeps the record."""
    rank, world_size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    with stop_on_signals() as stop:
        return record(request, world_size, stop) if rank == 0 else follow(request, rank, world_size, stop)


def record(request: Request, world_size: int, stop: StopRequest) -> int:
    config = request.config()
    ownership = decide_ownership(config.train.microbatches, world_size, config.cluster.shares)
    opened = open_run(request, print)
    recording = Recording(opened, world_size, request.way)
    with recording.failures_recorded(), process_group(opened.config, world_size):
        config = resolve_together(opened.config, world_size)
        share_files({CONFIG: config.model_dump_json().encode()}, world_size)
        share_files(opened.resume, world_size)
        share_files(opened.init, world_size)
        recording.start(config)
        assignment = Assignment(config, opened.pack_path, 0, ownership, opened.resume, opened.init)
        steps = train(assignment, recording.handle, partial(recording.asked_to_stop, stop))
    return recording.end(steps, stop)


def follow(request: Request, rank: int, world_size: int, stop: StopRequest) -> int:
    """Every other rank: meets rank 0, which may have prepared the data meanwhile, and trains silently."""
    config = request.config()
    ownership = decide_ownership(config.train.microbatches, world_size, config.cluster.shares)
    with process_group(config, world_size):
        resolve_together(config, world_size)
        shared, resume, init = (share_files(None, world_size) for _ in range(3))
        assert shared is not None
        config = RunConfig.model_validate_json(shared[CONFIG])  # rank 0 may be continuing a run
        pack_path, _ = open_data(config, lambda line: None)
        assignment = Assignment(config, pack_path, rank, ownership, resume, init)
        steps = train(assignment, lambda event: None, lambda: bool(stop))
    return stop.exit_code if steps < config.train.steps else 0


@contextmanager
def process_group(config: RunConfig, world_size: int) -> Iterator[None]:
    """torch.distributed's default group of torchrun's ranks, where there are several."""
    if world_size == 1:
        yield
        return
    cuda = torch.cuda.is_available() and config.train.device != "cpu"
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
    backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
    dist.init_process_group(backend, timeout=timedelta(seconds=config.cluster.timeout_seconds))
    try:
        yield
    finally:
        dist.destroy_process_group()


def resolve_together(config: RunConfig, world_size: int) -> RunConfig:
    """The configuration with what all ranks' machines have."""
    own = detect_hardware()
    if world_size > 1:
        flags = torch.tensor([own.cuda, own.bf16_on_cpu, own.bf16_on_cuda], dtype=torch.int64)
        dist.all_reduce(flags, dist.ReduceOp.MIN)
        own = Hardware(own.host, *map(bool, flags.tolist()))
    return resolve_hardware(config, [own])


def share_files(files: Files | None, world_size: int) -> Files | None:
    """Rank 0's files on every rank, as plain bytes: a JSON list of names and lengths, then the contents."""
    if world_size == 1:
        return files
    header = json.dumps([(name, len(content)) for name, content in files.items()] if files is not None else None)
    payload = b"".join((header.encode(), *(files or {}).values()))
    sizes = torch.tensor([len(header.encode()), len(payload)])
    dist.broadcast(sizes, 0)
    buffer = torch.zeros(int(sizes[1]), dtype=torch.uint8)
    if dist.get_rank() == 0:
        buffer.copy_(torch.from_numpy(np.frombuffer(payload, np.uint8).copy()))
    dist.broadcast(buffer, 0)
    return unpack_files(buffer.numpy().tobytes(), int(sizes[0]))


def unpack_files(payload: bytes, header_size: int) -> Mapping[str, bytes] | None:
    entries = json.loads(payload[:header_size])
    if entries is None:
        return None
    files, start = {}, header_size
    for name, length in entries:
        files[name] = payload[start : start + length]
        start += length
    return files
