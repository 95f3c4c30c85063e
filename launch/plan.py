"""`gen-dist plan`: how fast a run would be with so many workers, from what this cluster is measured to do."""

import json
import re
import sys
from typing import Annotated

import typer

from gen_dist.errors import UserError
from gen_dist.launch.options import Overrides, PresetArgument, require_preset, split_arguments

BANDWIDTHS = {"kbit": 1e3, "mbit": 1e6, "gbit": 1e9}
LATENCIES = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
PROJECTED = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]
MOST_LISTED = 8  # up to so many workers, every number of them is predicted


def plan(
    preset: PresetArgument = "",
    overrides: Overrides = None,
    workers: Annotated[
        str, typer.Option(metavar="N,N,...|auto", help="numbers of workers; auto: all that there is room for")
    ] = "auto",
    address: Annotated[
        str | None,
        typer.Option(envvar="RAY_ADDRESS", help="HOST:PORT of a running Ray cluster; default: this machine"),
    ] = None,
    bandwidth: Annotated[
        str | None, typer.Option(metavar="RATE,...", help="of machines that are not there, such as 1Gbit,10Gbit")
    ] = None,
    latency: Annotated[
        str, typer.Option(metavar="TIME", help="between them, one way, such as 50us or 0.1ms")
    ] = "0.1ms",
    weak: Annotated[
        bool, typer.Option("--weak", help="the batch is each worker's: more workers, larger steps")
    ] = False,
    seconds: Annotated[float, typer.Option(min=0.1, max=600, help="how long each measurement computes")] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Predict step time and images per second with so many workers on this cluster, by measuring for a moment.

    With --bandwidth: on up to thousands of machines like this one, and where more of them stop paying.
    """
    preset, settings = split_arguments(preset, overrides)
    require_preset(preset)
    wanted = parse_numbers(workers)
    if bandwidth is not None:
        if address:
            raise UserError(f"--bandwidth {bandwidth}: of machines that are not there; those of --address are measured")
        links = parse_bandwidths(bandwidth), parse_latency(latency)
        from gen_dist.launch.projecting import project_all, text
        from gen_dist.presets import load_config

        found = project_all(load_config(preset, settings), wanted or PROJECTED, *links, weak, seconds, note)
        print(json.dumps(found, indent=2) if as_json else "\n".join(text(found)))
        return
    if weak:
        raise UserError("--weak: belongs to --bandwidth; runs on this cluster have the batch of train.batch_size")
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


def parse_bandwidths(text: str) -> list[float]:
    """Bytes per second. Raises UserError."""
    return [parse_unit("--bandwidth", part, BANDWIDTHS) / 8 for part in text.split(",")]


def parse_latency(text: str) -> float:
    """Seconds. Raises UserError."""
    return parse_unit("--latency", text, LATENCIES)


def parse_unit(option: str, text: str, units: dict[str, float]) -> float:
    found = re.fullmatch(rf"([0-9]*\.?[0-9]+)({'|'.join(units)})", text.strip().lower())
    if found is None or float(found[1]) <= 0:
        raise UserError(
            f"{option} {text}: must be a number above 0 and one of {', '.join(units)}, such as 1{[*units][-1]}"
        )
    return float(found[1]) * units[found[2]]


def numbers_up_to(most: int) -> list[int]:
    """Every number where there are few, else powers of two, and the last."""
    if most <= MOST_LISTED:
        return list(range(1, most + 1))
    return sorted({*(1 << i for i in range(most.bit_length())), most})
