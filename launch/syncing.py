"""`gen-dist sync`: what a run recorded offline, uploaded to Weights & Biases."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from gen_dist.errors import RunError, UserError
from gen_dist.record.run_folder import RunFolder

SYNCED = "*.wandb.synced"  # the file by which wandb knows that a folder is uploaded


def sync(run: Path) -> int:
    """Upload what is not uploaded yet; returns how many folders that were.

    Raises:
        UserError: no run, nothing recorded offline.
        RunError: wandb failed, for example since nobody is logged in.
    """
    folder = RunFolder.open(run)
    recorded = sorted((folder.path / "wandb").glob("offline-run-*"))
    if not recorded:
        mode = folder.config.get("wandb", {}).get("mode", "auto")
        raise UserError(f"run '{run}': nothing was recorded offline (wandb.mode is {mode}); there is nothing to upload")
    if folder.locked():
        recorded.pop()  # it is being written
    waiting = [path for path in recorded if not is_synced(path)]
    if waiting:
        upload(waiting)
    return len(waiting)


def is_synced(folder: Path) -> bool:
    return any(folder.glob(SYNCED))


def upload(folders: Sequence[Path]) -> None:
    """All in one call: those of one run go one after the other then, in the order of time."""
    done = subprocess.run(
        [sys.executable, "-m", "wandb", "sync", *map(str, folders)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    left = [path.name for path in folders if not is_synced(path)]
    if done.returncode or left:
        said = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        reason = said[-1] if said else f"exit code {done.returncode}"
        raise RunError(f"W&B: not uploaded: {', '.join(left) or 'nothing'} ({reason})")
