"""`gen-dist train --dry-run`: what would happen, without starting or writing anything."""

import os

from gen_dist.cgroups import cpus
from gen_dist.checkpointing import check_checkpoint, check_weights, read_facts
from gen_dist.cluster.session import check_address
from gen_dist.config import RunConfig, result_settings
from gen_dist.engine.hardware import detect_hardware, resolve_hardware
from gen_dist.engine.ownership import decide_ownership
from gen_dist.launch.request import Request, existing_run, read_latest, read_weights
from gen_dist.models.build import count_parameters
from gen_dist.preparing.resolving import channels_of, describe_data
from gen_dist.yaml_text import dump_yaml


def describe(request: Request) -> list[str]:
    """The resolved configuration, the model's size, the batch arithmetic and the plan, as lines.

    Raises:
        UserError: what a real run would refuse.
    """
    config = request.config()
    if request.address:
        check_address(request.address)
    else:
        config = resolve_hardware(config, [detect_hardware()])
    check_resume(request, config)
    train = config.train
    lines = [*dump_yaml(config.model_dump()).splitlines(), ""]
    lines.append(f"data: {describe_data(config.data)}")
    for name, count in count_parameters(config, channels_of(config.data)).items():
        lines.append(f"{name}: {count:,} parameters")
    lines.append(
        f"batch: {train.batch_size} images a step = {train.microbatches} microbatches of {train.microbatch_size}; "
        f"{train.steps:,} steps see {train.steps * train.batch_size:,} images"
    )
    lines += config.notices()
    wish = request.wanted_workers(config)
    wanted = int(os.environ.get("WORLD_SIZE", 1)) if request.no_ray else wish.most if wish.exactly else None
    if request.address and wanted is None:
        return [*lines, f"plan: as many workers as the Ray cluster at {request.address} has room for"]
    workers = wanted or max(1, min(cpus() // train.threads, train.microbatches, wish.most or train.microbatches))
    ownership = decide_ownership(train.microbatches, workers, config.cluster.shares)
    where = f"on the Ray cluster at {request.address}" if request.address else "on this machine"
    how = "plain torch processes" if request.no_ray else "Ray workers"
    lines.append(f"plan: {workers} {how} {where}, {train.threads} torch threads each")
    for rank, share in enumerate(ownership.shares):
        owned, images = ownership.of(rank), share * train.microbatch_size
        lines.append(f"  rank {rank}: microbatches {owned.start} to {owned.stop - 1}, {images} images a step")
    return lines


def check_resume(request: Request, config: RunConfig) -> None:
    """Say now what a run that goes on, or starts from another's weights, would refuse."""
    folder = existing_run(request)
    files = read_latest(folder) if folder else None
    if folder and files is not None:
        facts = read_facts(files)
        expected = {"settings": result_settings(config), "channels": facts["channels"], "data_hash": facts["data_hash"]}
        check_checkpoint(facts, expected, str(folder.path))
    if request.init_from:
        check_weights(read_weights(request.init_from), config, channels_of(config.data), str(request.init_from))
