"""`events.jsonl`: what happened to a run's workers and its health, and after which step."""

import json
from dataclasses import dataclass
from pathlib import Path

from gen_dist.errors import UserError

FILE = "events.jsonl"


@dataclass(frozen=True)
class Happening:
    """`step`: finished steps when it was noticed."""

    step: int
    text: str


def append_event(run: Path, event: Happening) -> None:
    """Raises UserError where the disk refuses."""
    try:
        with open(run / FILE, "ab", buffering=0) as file:
            torn = file.tell() and not (run / FILE).read_bytes().endswith(b"\n")  # by a crash
            line = json.dumps({"step": event.step, "text": event.text}) + "\n"
            file.write(("\n" * bool(torn) + line).encode())
    except OSError as error:
        raise UserError(f"run file '{run / FILE}': cannot be written ({error.strerror}); check the disk") from None


def read_events(run: Path) -> list[Happening]:
    """In the order in which they happened; none where there is no file, and a torn or damaged line is left out.

    Raises:
        UserError: it cannot be read.
    """
    try:
        lines = (run / FILE).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"run file '{run / FILE}': cannot be read ({error.strerror}); restore it") from None
    found = []
    for line in lines:
        try:
            row = json.loads(line)
            found.append(Happening(int(row["step"]), str(row["text"])))
        except (ValueError, TypeError, KeyError, OverflowError):
            continue
    return found
