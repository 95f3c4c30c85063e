"""A profile: where the time of a run's steps went, with what is needed to read it. Kept as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gen_dist.errors import UserError
from gen_dist.step_times import PARTS, Record, StepTimes, from_record, to_record

FORMAT = 1


@dataclass(frozen=True)
class Profile:
    """`hosts` by rank; `times`: phase to part to seconds a step of each rank, the mean over `steps` steps."""

    preset: str
    settings: dict[str, Any]  # the whole configuration, flat
    hosts: list[str]
    batch_size: int
    steps: int
    step_seconds: float  # from step to step, the mean
    times: dict[str, dict[str, list[float]]]
    bottleneck: str = ""
    advice: str = ""

    @property
    def images_per_second(self) -> float:
        return self.batch_size / self.step_seconds

    @property
    def step_times(self) -> StepTimes:
        return from_record(self.times)

    def save(self, path: Path) -> None:
        facts = {"format": FORMAT, **asdict(self), "images_per_second": self.images_per_second}
        path.write_text(json.dumps(facts, indent=1) + "\n")


def read_profile(path: Path) -> Profile:
    """Raises UserError where there is none that this version understands."""
    try:
        facts = json.loads(path.read_bytes())
        if facts.pop("format") != FORMAT:
            raise ValueError("of another version")
        facts.pop("images_per_second")
        profile = Profile(**facts)
        table = profile.step_times.by_rank()
        whole = table.shape == (len(PARTS), len(profile.hosts)) and profile.step_seconds > 0
        whole = whole and isinstance(profile.settings, dict)
    except OSError as error:
        raise UserError(f"profile '{path}': cannot be read ({error.strerror}); name a profile.json") from None
    except (ValueError, TypeError, KeyError, AttributeError):
        whole = False
    if not whole:
        raise UserError(f"profile '{path}': not a profile of this version; make it anew with 'gen-dist profile'")
    return profile


def merge_rows(rows: Sequence[Record]) -> dict[str, dict[str, list[float]]]:
    """The mean of what single steps recorded. Phases that only some steps have count as often as they come.

    Raises ValueError where there is no row, or rows are of different numbers of ranks.
    """
    all_times = [from_record(row) for row in rows]
    if not all_times or len({times.ranks for times in all_times}) > 1:
        raise ValueError(f"rows of {sorted({times.ranks for times in all_times})} ranks: give some, of one group")
    merged = StepTimes(steps=len(rows))
    for times in all_times:
        for phase, table in times.seconds.items():
            merged.add_told(phase, table, times.counted[phase])
    return to_record(merged)
