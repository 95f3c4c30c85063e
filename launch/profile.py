"""`gen-dist profile`: where each millisecond of a step goes, and what to change."""

from pathlib import Path
from typing import Annotated

import typer

from gen_dist.errors import UserError
from gen_dist.launch.options import Address, Overrides, Workers, parse_workers, require_preset, split_arguments

WHAT = ("loader", "compute", "reduce")


def profile(
    preset: Annotated[
        str, typer.Argument(metavar="PRESET|FILE.yaml|RUN", help="see 'gen-dist configs'; of a run folder, its record")
    ] = "",
    overrides: Overrides = None,
    workers: Workers = "auto",
    address: Address = None,
    no_ray: Annotated[bool, typer.Option("--no-ray", help="plain torch: one process")] = False,
    steps: Annotated[int, typer.Option(min=1, max=1000, help="steps that are measured")] = 20,
    what: Annotated[
        str | None, typer.Option(metavar="PART", help="measure one alone: loader, compute or reduce")
    ] = None,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="try every value of KEY=A,B,C settings, and of workers=1,2")
    ] = False,
    compare: Annotated[
        Path | None, typer.Option(metavar="PROFILE", help="an earlier profile.json, or its folder: what changed")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="default: profiles/PRESET-TIME")] = None,
) -> int:
    """Train for a moment and say where the time goes, what is slowest, and what to change.

    Of a run folder: say it of that run, which may be running, from its record.
    """
    from gen_dist.launch.profiling import Wanted, measure_part, profile_recorded, profile_run, profile_sweep

    preset, settings = split_arguments(preset, overrides)
    require_preset(preset)
    if what is not None and what not in WHAT:
        raise UserError(f"--what {what}: must be one of {', '.join(WHAT)}")
    if out is not None and (sweep or what):
        raise UserError(f"--out {out}: is for a profile; {'--sweep' if sweep else '--what'} only prints")
    given = [name for name, is_given in (("--sweep", sweep), ("--what", what), ("--compare", compare)) if is_given]
    if len(given) > 1:
        raise UserError(f"{' and '.join(given)}: give one of them")
    if (Path(preset) / "run.json").exists():
        if settings or sweep or what:
            raise UserError(f"{preset}: is a run, whose record is read; settings, --sweep and --what need a preset")
        return profile_recorded(Path(preset), out, compare)
    wanted = Wanted(preset, settings, parse_workers(workers), address, no_ray, steps, out)
    wanted.check()
    if sweep:
        return profile_sweep(wanted)
    return measure_part(wanted, what) if what else profile_run(wanted, compare)
