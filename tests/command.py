"""The command line as a user meets it: a process of its own, in a folder of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

COMMAND = [sys.executable, "-m", "gen_dist.launch.cli"]
ROOT = Path(__file__).parents[1]
SECONDS = 120.0


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


def environment(**changes: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "WANDB_", "GEN_DIST_"))}
    return {**kept, "PYTHONPATH": str(ROOT), "WANDB_MODE": "offline", **changes}


def start(arguments: Sequence[object], cwd: Path, **changes: str) -> subprocess.Popen[str]:
    """The command, running, in a process group of its own."""
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)], cwd=cwd, env=environment(**changes), text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(process: subprocess.Popen[str], seconds: float = SECONDS) -> Done:
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        raise AssertionError(f"still running after {seconds} s\n{out}\n{err}") from None
    return Done(process.returncode, out, err)


def gen_dist(*arguments: object, cwd: Path, **changes: str) -> Done:
    return finish(start(arguments, cwd, **changes))


def train(cwd: Path, run: str, *arguments: object, **changes: str) -> Path:
    """Train into `run`, without W&B; it must succeed. Returns the run folder."""
    done = gen_dist("train", *arguments, "--run-dir", run, "wandb.mode=disabled", cwd=cwd, **changes)
    assert done.code == 0, f"exit code {done.code}\n{done.out}\n{done.err}"
    return cwd / run


def rows(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def losses(run: Path) -> dict[int, dict[str, float]]:
    """Step to losses."""
    return {int(r["step"]): {k: v for k, v in r.items() if k.startswith("train/")} for r in rows(run)}


def last_state(run: Path) -> dict[str, object]:
    """The JSON of the latest checkpoint."""
    name = (run / "checkpoints" / "latest").read_text().strip()
    return json.loads((run / "checkpoints" / name / "state.json").read_text())


def wait_for(what: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain"
        time.sleep(0.02)


def reached(run: Path, step: int) -> Callable[[], bool]:
    """Whether the record of `run` has come to `step`."""
    path = run / "metrics.jsonl"
    return lambda: path.exists() and path.read_text().count("\n") >= step


def traces(group: int) -> list[str]:
    """What a command left behind: processes of its session, and folders of Ray clusters that gen-dist started."""
    alive = [str(folder) for folder in Path(os.environ["TMPDIR"]).glob("gd-*")]
    for process in psutil.process_iter(["pid", "cmdline", "status"]):
        try:
            if os.getsid(process.pid) == group and process.info["status"] != psutil.STATUS_ZOMBIE:
                alive.append(f"process {process.pid}: {' '.join(process.info['cmdline'] or [])[:100]}")
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return alive
