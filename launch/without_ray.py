"""A run under plain torch: one process, or the ranks that torchrun started."""

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

import numpy as np
import torch
import torch.distributed as dist

from gen_dist.assignment import Assignment, Files
from gen_dist.cluster.faults import Injector
from gen_dist.config import RunConfig
from gen_dist.engine.collectives import is_collective
from gen_dist.engine.hardware import resolve_hardware
from gen_dist.engine.ownership import decide_ownership
from gen_dist.engine.reproducibility import resolve_reproducibility
from gen_dist.errors import RunError
from gen_dist.events import Where
from gen_dist.launch.meeting import Meeting, Member
from gen_dist.launch.recording import Recording
from gen_dist.launch.request import Opened, Request, open_run
from gen_dist.launch.signals import StopRequest, stop_on_signals
from gen_dist.training import train

LINGER_SECONDS = 2.0  # torchrun reports the rank that ends first, and ends the others


class Position:
    """What this rank is doing, for the message when it fails."""

    where = "start-up"

    def __init__(self, rank: int) -> None:
        self.faults = Injector(rank)

    def note(self, where: Where) -> None:
        self.where = str(where)
        self.faults.hit(where)


def run_without_ray(request: Request) -> int:
    """Train as this rank; returns the exit code. Rank 0 keeps the record and is the one that speaks."""
    rank, world_size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    meeting = Meeting(rank, world_size)
    if rank == 0 and world_size > 1:
        # What stop_on_signals goes back to: when another rank ends in failure, torchrun's SIGTERM must not cut off the
        # message about it.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with stop_on_signals(graceful=False) as stop:
        return record(request, meeting, stop) if rank == 0 else follow(meeting, stop)


def record(request: Request, meeting: Meeting, stop: StopRequest) -> int:
    with meeting.refusal_told():
        config = request.config()
        decide_ownership(config.train.microbatches, meeting.world_size, config.cluster.shares)  # refuse before any work
        opened = open_run(request, print, stop.hold)
    recording = Recording(opened, meeting.world_size, request.way, request.is_kept)
    with recording.failures_recorded():
        with meeting.refusal_told():
            stop.release()
            meeting.announce(opened.config)
            config = resolve_hardware(opened.config, meeting.gather(Member.here(opened.pack)))
            probes = meeting.probe(config, opened.pack)
            config, line = resolve_reproducibility(config, probes)
            stop.graceful = True
            meeting.start(config)
        steps = record_training(config, [line] if line else [], request, opened, recording, meeting, stop)
    return recording.end(steps, stop)


def record_training(
    config: RunConfig,
    lines: Sequence[str],
    request: Request,
    opened: Opened,
    recording: Recording,
    meeting: Meeting,
    stop: StopRequest,
) -> int:
    """Train as rank 0; returns the number of finished steps. `lines` are recorded first.

    Raises:
        RunError: another rank failed.
    """
    position = Position(0)
    ownership = decide_ownership(config.train.microbatches, meeting.world_size, config.cluster.shares)
    try:
        with process_group(config, meeting) as group:
            for files in (opened.resume, opened.init):
                share_files(files, meeting.world_size)
            recording.start(config, lines)
            return train(
                Assignment(config, opened.pack_path, 0, ownership, opened.resume, opened.init, request.only_exchanges),
                recording.handle, partial(recording.asked_to_stop, stop), position.note, group,
            )  # fmt: skip
    except Exception as error:
        if meeting.world_size == 1 or not is_collective(error):
            raise
        own = meeting.failure(error, position.where, traceback.format_exc(), collective=True)
        cause = meeting.explain(own)
        raise RunError(str(cause), f"{own.detail}\n{cause.detail}" if cause is not own else own.detail) from None


def follow(meeting: Meeting, stop: StopRequest) -> int:
    """Every other rank: trains as rank 0 says and leaves it to rank 0 to say what went wrong."""
    position = Position(meeting.rank)
    try:
        agreed = meeting.attend()
        if agreed is None:
            time.sleep(LINGER_SECONDS)  # rank 0 is about to say why
            return 2
        stop.graceful = True
        config, pack_path = agreed
        ownership = decide_ownership(config.train.microbatches, meeting.world_size, config.cluster.shares)
        with process_group(config, meeting) as group:
            resume, init = (share_files(None, meeting.world_size) for _ in range(2))
            assignment = Assignment(config, pack_path, meeting.rank, ownership, resume, init)
            steps = train(assignment, lambda event: None, lambda: bool(stop), position.note, group)
        return stop.exit_code if steps < config.train.steps else 0
    except Exception as error:
        failure = meeting.failure(error, position.where, traceback.format_exc(), is_collective(error))
        try:
            meeting.tell(failure)
        except RuntimeError:  # the store went with its host
            print(f"gen-dist: {failure}", file=sys.stderr)
        return 1


@contextmanager
def process_group(config: RunConfig, meeting: Meeting) -> Iterator[dist.ProcessGroup | None]:
    """torch.distributed's default group of torchrun's ranks, where there are several."""
    if meeting.world_size == 1:
        yield None
        return
    cuda = config.train.device == "cuda"
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
    timeout = timedelta(seconds=config.cluster.timeout_seconds)
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if cuda else "gloo", store=dist.PrefixStore("group", meeting.store),
        rank=meeting.rank, world_size=meeting.world_size, timeout=timeout,
    )  # fmt: skip
    try:
        yield dist.group.WORLD
    finally:
        dist.destroy_process_group()


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
