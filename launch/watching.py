"""`gen-dist status` and `gen-dist stop`: look at and end a run from outside, through its folder."""

import time
from collections.abc import Callable
from pathlib import Path

from gen_dist.errors import UserError
from gen_dist.record.checkpoints import latest_checkpoint
from gen_dist.record.metrics import read_metrics
from gen_dist.record.run_folder import RunFolder

STOP_SECONDS = 120.0


def describe_status(path: Path) -> list[str]:
    folder = RunFolder.open(path)
    status = folder.status()
    state = status.get("state", "unknown")
    if state == "running" and not folder.locked():
        state = "died without a word (its process is gone)"
    lines = [f"{folder.path}: {state}" + (f", {status['message']}" if status.get("message") else "")]
    if status.get("step") is not None:
        lines.append(f"step {status['step']} of {status.get('steps')}, at {status.get('updated')}")
    rows = read_metrics(folder.path / "metrics.jsonl")
    if rows:
        shown = {k.partition("/")[2]: v for k, v in rows[-1].items() if k.startswith(("train/", "perf/"))}
        lines.append(f"at step {rows[-1]['step']}: " + ", ".join(f"{k} {v:.4g}" for k, v in shown.items()))
    checkpoint = latest_checkpoint(folder.path)
    lines.append(f"checkpoint: {checkpoint.name if checkpoint else 'none yet'}")
    return lines


def stop_run(path: Path, say: Callable[[str], None]) -> int:
    """Returns the exit code: 0 when the run has ended, 1 when it has not within two minutes.

    Raises:
        UserError: nothing is running there.
    """
    folder = RunFolder.open(path)
    if not folder.locked():
        raise UserError(
            f"run folder '{path}': nothing is running there (it {folder.status().get('state', 'never ran')})"
        )
    folder.request_stop()
    deadline = time.monotonic() + STOP_SECONDS
    while folder.locked():
        if time.monotonic() > deadline:
            say(f"asked to stop, but still running after {STOP_SECONDS:.0f} s; see {folder.path / 'log.txt'}")
            return 1
        time.sleep(0.2)
    status = folder.status()
    say(f"{status.get('state')} {status.get('message', '')}".strip())
    return 0
