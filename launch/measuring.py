"""What `gen-dist profile --what PART` measures: the loader, computing, or exchanging gradients, each alone."""

import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from gen_dist.config import RunConfig
from gen_dist.data.loader import Loader
from gen_dist.data.pixels import kernels_used
from gen_dist.engine.hardware import detect_hardware, resolve_hardware
from gen_dist.engine.loading import build_loader
from gen_dist.engine.timing import Timing
from gen_dist.errors import UserError
from gen_dist.kernels.warm_up import warm_up
from gen_dist.launch.profiling import Wanted, read_run, train
from gen_dist.launch.request import open_data
from gen_dist.objectives.build import build_objective
from gen_dist.presets import load_config
from gen_dist.profiling.bottleneck import WAITING, rows
from gen_dist.profiling.tables import aligned, ms

COMPUTE_SECONDS = 5.0


def resolved(wanted: Wanted) -> RunConfig:
    return resolve_hardware(load_config(wanted.preset, wanted.overrides), [detect_hardware()])


def one_process(wanted: Wanted, what: str) -> None:
    """Raises UserError where others were asked for."""
    for option, value in (("--workers", wanted.workers), ("--address", wanted.address)):
        if value is not None:
            raise UserError(f"{option} {value}: --what {what} measures one process of this machine; leave it out")


def loader_alone(wanted: Wanted) -> list[str]:
    """Images a second of one worker's loader, for a consumer that only touches the images."""
    one_process(wanted, "loader")
    config = resolved(wanted)
    torch.set_num_threads(config.train.threads)
    _, pack = open_data(config, print)
    warm_up(*kernels_used(pack, config.data.augment))
    loader = build_loader(config, pack, build_objective(config))
    try:
        take(loader, 0)
        loader.split_wait({})
        started = time.perf_counter()
        for step in range(1, wanted.steps + 1):
            take(loader, step)
        seconds = time.perf_counter() - started
        parts = loader.split_wait({"data_wait": 1.0})
    finally:
        loader.close()
    images = wanted.steps * loader.batching.reads_per_step * loader.batching.batch_size
    of = f"{config.data.loader_threads} threads, {wanted.steps} steps of {loader.batching.batch_size} images"
    shares = ", ".join(f"{name} {parts.get(key, 0.0):.0%}" for name, key in
                       (("making images", "decode"), ("augmenting", "augment"), ("the rest", "data_wait")))  # fmt: skip
    return [f"loader alone: {images / seconds:,.0f} images/s ({of})", f"of its threads' time: {shares}"]


def take(loader: Loader, step: int) -> None:
    """All images of a step, touched."""
    for read in range(loader.batching.reads_per_step):
        for microbatch in loader.get(step, read, range(loader.batching.microbatches)):
            np.add.reduce(microbatch.images[:, 0, 0, 0].numpy())
    loader.release(step)


def compute_alone(wanted: Wanted) -> list[str]:
    """What one worker computes, on noise, with nobody to wait for."""
    one_process(wanted, "compute")
    config = resolved(wanted)
    _, pack = open_data(config, print)
    timing = Timing(config, pack.shape[2])
    try:
        costs = timing.measure(COMPUTE_SECONDS)
    finally:
        timing.close()
    found = [["milliseconds", "a microbatch", "whatever the share", "times a step"]]
    for phase in costs.phases:
        found.append([phase.name, ms(phase.microbatch), ms(phase.fixed), f"{phase.count:.3g}"])
    size = config.train.microbatch_size
    return [
        f"computing alone: {size / costs.microbatch:.4g} images/s of one worker ({config.train.threads} threads, "
        f"{config.train.precision}, microbatches of {size})",
        *aligned(found),
    ]


def reduce_alone(wanted: Wanted) -> list[str]:
    """A run of all its workers that computes next to nothing: what is left is exchanging gradients.

    Raises UserError where there is one worker only.
    """
    with tempfile.TemporaryDirectory(prefix="gen-dist-profile-") as temporary:
        run_dir = Path(temporary) / "run"
        request = wanted.request(run_dir, only_exchanges=True)
        request.check()
        if train(request):
            return ["exchanging was not measured"]
        profile = read_run(run_dir, wanted.steps)
    if len(profile.hosts) == 1:
        raise UserError("--what reduce: one worker has nobody to exchange gradients with; use --workers 2 or more")
    tables = profile.step_times.seconds
    exchanging = [rows(table, WAITING).sum(0).mean() for table in tables.values()]
    optimising = [rows(table, ("optimise",)).sum(0).mean() for table in tables.values()]
    how = f"{len(profile.hosts)} workers, {profile.settings['train.reducer']}"
    return [
        f"exchanging alone: {ms(sum(exchanging))} ms a step ({how})",
        *aligned(
            [
                ["milliseconds a step", *tables],
                ["exchanging gradients", *map(ms, exchanging)],
                ["optimiser", *map(ms, optimising)],
            ]
        ),
    ]
