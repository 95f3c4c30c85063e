"""What is found out about a run later goes to its own run in Weights & Biases."""

from collections.abc import Callable, Mapping
from pathlib import Path

from gen_dist.errors import UserError
from gen_dist.presets import load_config
from gen_dist.record.run_folder import RunFolder
from gen_dist.record.tracking import Tracker

MOST_SECONDS = 300.0  # for what is sent


def tell_wandb(run: Path, what: str, tell: Callable[[Tracker], None]) -> str:
    """Let `tell` add to what W&B has of the run; returns a line about it. A run that is being trained is left alone.

    Raises:
        UserError: no run.
    """
    folder = RunFolder.open(run)
    config = load_config(str(folder.path / "config.yaml"))
    settings, identity = config.wandb, folder.info.get("wandb_id")
    if settings.mode == "disabled" or identity is None:
        return "W&B: not recorded"
    try:
        folder.lock()
    except UserError as error:  # who trains now tells W&B
        return f"W&B: not told of {what} ({error})"
    try:
        failures: list[str] = []
        tracker = Tracker(
            folder.path, run_id=identity, name=None, config=config.model_dump(), mode=settings.mode,
            project=settings.project, entity=settings.entity, report=failures.append,
            without="the files are here",
        )  # fmt: skip
        tell(tracker)
        tracker.finish(timeout=MOST_SECONDS)
        return failures[0] if failures else tracker.summary
    finally:
        folder.unlock()


def tell_wandb_of_files(run: Path, command: str, files: Mapping[str, Path]) -> str:
    """Pictures, animations and pages that a command has made, under `command` and their names."""
    return tell_wandb(run, f"what {command} made", lambda tracker: tracker.files(command, files))
