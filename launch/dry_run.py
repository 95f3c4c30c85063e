"""`gen-dist train --dry-run`: what would happen, without starting or writing anything."""

import os

import yaml

from gen_dist.data.prepare import cpus
from gen_dist.data.source import describe_data
from gen_dist.engine.ownership import decide_ownership
from gen_dist.launch.request import Request
from gen_dist.models.build import count_parameters


def describe(request: Request) -> list[str]:
    """The resolved configuration, the model's size, the batch arithmetic and the plan, as lines.

    Raises:
        UserError: what a real run would refuse.
    """
    config = request.config()
    train = config.train
    lines = [*yaml.safe_dump(config.model_dump(), sort_keys=False).splitlines(), ""]
    lines.append(f"data: {describe_data(config.data.path, config.data.size)}")
    for name, count in count_parameters(config).items():
        lines.append(f"{name}: {count:,} parameters")
    lines.append(
        f"batch: {train.batch_size} images a step = {train.microbatches} microbatches of {train.microbatch_size}; "
        f"{train.steps:,} steps see {train.steps * train.batch_size:,} images"
    )
    if request.address:
        return [*lines, f"plan: workers on the Ray cluster at {request.address} (not contacted)"]
    if request.no_ray:
        workers = int(os.environ.get("WORLD_SIZE", 1))
    elif request.workers or config.cluster.shares:
        workers = request.workers or len(config.cluster.shares or [])
    else:
        workers = max(1, min(cpus() // train.threads, train.microbatches))
    ownership = decide_ownership(train.microbatches, workers, config.cluster.shares)
    how = "plain torch processes" if request.no_ray else "Ray workers on this machine"
    lines.append(f"plan: {workers} {how}, {train.threads} torch threads each")
    for rank, share in enumerate(ownership.shares):
        owned, images = ownership.of(rank), share * train.microbatch_size
        lines.append(f"  rank {rank}: microbatches {owned.start} to {owned.stop - 1}, {images} images a step")
    return lines
