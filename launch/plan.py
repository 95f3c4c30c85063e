"""`gen-dist plan`: how fast a run would be with so many workers, from what this cluster is measured to do."""

import json
import sys
from typing import Annotated

import typer

from gen_dist.errors import UserError
from gen_dist.launch.train import Overrides

MOST_LISTED = 8  # up to so many workers, every number of them is predicted


def plan(
    preset: Annotated[str, typer.Argument(metavar="PRESET|FILE.yaml", help="see 'gen-dist configs'")] = "",
    overrides: Overrides = None,
    workers: Annotated[
        str, typer.Option(metavar="N,N,...|auto", help="numbers of workers; auto: all that there is room for")
    ] = "auto",
    address: Annotated[
        str | None,
        typer.Option(envvar="RAY_ADDRESS", help="HOST:PORT of a running Ray cluster; default: this machine"),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.1, max=600, help="how long each measurement computes")] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Predict step time and images per second with so many workers on this cluster, by measuring for a moment."""
    settings = list(overrides or ())
    if "=" in preset and not preset.endswith((".yaml", ".yml")):
        settings, preset = [preset, *settings], ""
    if not preset:
        raise UserError("PRESET: missing; give a preset (see 'gen-dist configs') or a .yaml file")
    wanted = parse_numbers(workers)
    from gen_dist.launch.planning import predict_all, table
    from gen_dist.presets import load_config

    found = predict_all(load_config(preset, settings), wanted, address, seconds, note)
    print(json.dumps(found, indent=2) if as_json else "\n".join(table(found)))


def note(line: str) -> None:
    print(f"gen-dist: {line}", file=sys.stderr)


def parse_numbers(text: str) -> list[int] | None:
    """Numbers of workers, ascending, or None for auto.

    Raises:
        UserError: neither.
    """
    if text == "auto":
        return None
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise UserError(f"--workers {text}: must be whole numbers of at least 1 with commas between, or auto")
    return sorted({int(part) for part in parts})


def numbers_up_to(most: int) -> list[int]:
    """Every number where there are few, else powers of two, and the last."""
    if most <= MOST_LISTED:
        return list(range(1, most + 1))
    return sorted({*(1 << i for i in range(most.bit_length())), most})
