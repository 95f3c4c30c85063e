"""Arguments and options that several commands have, and what they mean."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from gen_dist.cluster.placement import Wish
from gen_dist.errors import UserError

PresetArgument = Annotated[str, typer.Argument(metavar="PRESET|FILE.yaml", help="see 'gen-dist configs'")]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="run folder")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="settings to change")]
Workers = Annotated[str, typer.Option(metavar="N|MIN:MAX|auto", help="training processes")]
Address = Annotated[
    str | None, typer.Option(envvar="RAY_ADDRESS", help="HOST:PORT of a running Ray cluster; default: start one")
]


def split_arguments(preset: str, overrides: Sequence[str] | None) -> tuple[str, list[str]]:
    """The preset, "" where none is given, and the settings: the first of these may stand in the preset's place."""
    settings = list(overrides or ())
    if "=" in preset and not preset.endswith((".yaml", ".yml")):
        return "", [preset, *settings]
    return preset, settings


def require_preset(preset: str) -> None:
    """Raises UserError where it is missing."""
    if not preset:
        raise UserError("PRESET: missing; give a preset (see 'gen-dist configs') or a .yaml file")


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
