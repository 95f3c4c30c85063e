"""A run as it looks while another process trains it, on whose machine its images are."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gen_dist.record.run_folder import RunFolder

ELSEWHERE = "/nowhere/at/all"


@contextmanager
def under_way_elsewhere(run: Path, copy: Path) -> Iterator[Path]:
    """A copy of `run` that is locked, and whose `data.path` is not there."""
    folder = RunFolder.open(shutil.copytree(run, copy))
    folder.lock()
    config = folder.config
    config["data"]["path"] = ELSEWHERE
    folder.write_config(config)
    try:
        yield copy
    finally:
        folder.unlock()
