"""One worker's part in a run, as plain values: what its supervisor sends it. Needs no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gen_dist.config import RunConfig
from gen_dist.engine.ownership import Ownership

Files = Mapping[str, bytes]  # a checkpoint: file name to content


@dataclass(frozen=True)
class Assignment:
    """One worker's part in a run. `config` has its device and precision resolved."""

    config: RunConfig
    pack: Path
    rank: int
    ownership: Ownership
    resume: Files | None = None  # a checkpoint to continue
    init: Files | None = None  # a checkpoint whose weights to start from
    only_exchanges: bool = False  # computes next to nothing, to measure what else there is

    @property
    def reports(self) -> bool:
        return self.rank == 0
