"""`gen-dist train`: from the command line to a run."""

from pathlib import Path
from typing import Annotated

import typer

from gen_dist.cluster.placement import Wish
from gen_dist.errors import UserError

Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="settings to change")]


def train(
    preset: Annotated[str, typer.Argument(metavar="PRESET|FILE.yaml", help="see 'gen-dist configs'")] = "",
    overrides: Overrides = None,
    workers: Annotated[str, typer.Option(metavar="N|MIN:MAX|auto", help="training processes")] = "auto",
    address: Annotated[
        str | None,
        typer.Option(envvar="RAY_ADDRESS", help="HOST:PORT of a running Ray cluster; default: start one"),
    ] = None,
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

    settings = list(overrides or ())
    if "=" in preset and not preset.endswith((".yaml", ".yml")):
        settings, preset = [preset, *settings], ""
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


def parse_workers(text: str) -> Wish | None:
    """How many workers; None for auto.

    Raises:
        UserError: not N, MIN:MAX or auto.
    """
    if text == "auto":
        return None
    parts = text.split(":")
    if not all(part.isascii() and part.isdecimal() and int(part) >= 1 for part in parts) or len(parts) > 2:
        raise UserError(f"--workers {text}: must be a whole number of at least 1, a range such as 2:8, or auto")
    if len(parts) == 1:
        return Wish(1, int(text), exactly=True)
    least, most = map(int, parts)
    if least > most:
        raise UserError(f"--workers {text}: the least comes first; use {most}:{least}")
    return Wish(least, most)
