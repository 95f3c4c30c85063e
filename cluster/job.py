"""What the workers of a run have in common."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gen_dist.assignment import Files
from gen_dist.config import RunConfig


@dataclass(frozen=True)
class Job:
    """`last` reads the newest checkpoint of the run, if there is one."""

    config: RunConfig
    pack: Path
    data_hash: str
    resume: Files | None
    init: Files | None
    first_step: int = 0
    last: Callable[[], Files | None] = lambda: None
    only_exchanges: bool = False  # see Assignment
