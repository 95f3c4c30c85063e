"""`gen-dist train`: from the command line to a run."""

from pathlib import Path
from typing import Annotated

import typer

from gen_dist.launch.options import Address, Overrides, PresetArgument, Workers, parse_workers, split_arguments


def train(
    preset: PresetArgument = "",
    overrides: Overrides = None,
    workers: Workers = "auto",
    address: Address = None,
    no_ray: Annotated[
        bool, typer.Option("--no-ray", help="plain torch: one process, or as many as torchrun started")
    ] = False,
    resume: Annotated[str, typer.Option(metavar="auto|never|RUN", help="auto: continue what --run-dir holds")] = "auto",
    init_from: Annotated[
        Path | None, typer.Option(metavar="RUN", help="start from this run's weights, at step 0")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show configuration and plan; start nothing")] = False,
    run_dir: Annotated[Path | None, typer.Option(metavar="DIR", help="default: runs/PRESET-TIME")] = None,
) -> int:
    """Train a preset or a configuration file."""
    from gen_dist.launch.request import Request

    preset, settings = split_arguments(preset, overrides)
    request = Request(preset, settings, parse_workers(workers), address, no_ray, resume, init_from, run_dir)
    request.check()
    if dry_run:
        from gen_dist.launch.dry_run import describe

        print("\n".join(describe(request)))
        return 0
    if no_ray:
        from gen_dist.launch.without_ray import run_without_ray

        return run_without_ray(request)
    from gen_dist.launch.with_ray import run_with_ray

    return run_with_ray(request)
