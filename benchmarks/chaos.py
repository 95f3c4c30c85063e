"""Random faults for as long as you like: a run that workers keep dying in must end with the bits of an undisturbed one.

Every few seconds a seeded draw chooses what happens to whom: workers are killed, crash, or are stopped for a moment or
for good; one, two, all but one, or all at once; trained ones and their replacements alike. After that time the run is
asked to stop, its steps are trained again by one undisturbed process, and the two states are compared.

    python -m benchmarks.chaos [--seconds 1800] [--seed 0] [--workers 4]
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psutil

from benchmarks.processes import train_workers
from gen_dist.draws import Draws

LOG_EVERY = 50
COMMAND = [sys.executable, "-m", "gen_dist.launch.cli"]
SETTINGS = ["smoke", "train.steps=100000000", f"train.log_every={LOG_EVERY}", "train.checkpoint_every=250",
            "train.sample_every=100000000", "wandb.mode=disabled"]  # fmt: skip
PAUSE_SECONDS = (1.0, 6.0)  # between faults
START_SECONDS, END_SECONDS = 180.0, 120.0
# Out of a hundred faults so many: how many workers it hits, and what with.
KINDS = {
    "one killed": (40, 1, signal.SIGKILL),
    "one crashed": (10, 1, signal.SIGSEGV),
    "one stopped for a moment": (18, 1, signal.SIGSTOP),
    "one stopped": (8, 1, signal.SIGSTOP),
    "two killed": (14, 2, signal.SIGKILL),
    "all but one killed": (8, -1, signal.SIGKILL),
    "all killed": (2, 0, signal.SIGKILL),
}
MOMENT_SECONDS = 1.5


@dataclass(frozen=True)
class Fault:
    pause: float  # seconds, before it
    kind: str
    order: tuple[float, ...]  # of the victims, among the workers that are there

    def choose(self, workers: Sequence[psutil.Process]) -> list[psutil.Process]:
        _, hit, _ = KINDS[self.kind]
        shuffled = [worker for _, worker in sorted(zip(self.order, workers, strict=False), key=lambda pair: pair[0])]
        return shuffled[: hit if hit > 0 else max(1, len(shuffled) + hit)]


def faults(seed: int, most_workers: int) -> Iterator[Fault]:
    """What happens, one after the other, for ever."""
    thresholds = [sum(share for share, *_ in list(KINDS.values())[: n + 1]) for n in range(len(KINDS))]
    for number in count():
        pause, kind, *order = map(float, Draws(seed).uniform_array(f"fault {number}", (2 + most_workers,)))
        low, high = PAUSE_SECONDS
        name = next(name for name, most in zip(KINDS, thresholds, strict=True) if kind * thresholds[-1] < most)
        yield Fault(low + pause * (high - low), name, tuple(order))


def strike(fault: Fault, workers: Sequence[psutil.Process]) -> int:
    """Returns how many it has hit."""
    struck = 0
    for victim in fault.choose(workers):
        with suppress(psutil.NoSuchProcess):
            victim.send_signal(KINDS[fault.kind][2])
            struck += 1
            if fault.kind.endswith("moment"):
                wake = f"sleep {MOMENT_SECONDS}; kill -CONT {victim.pid} 2>/dev/null"  # it may be dead by then
                subprocess.Popen(["sh", "-c", wake])
    return struck


def train_in_chaos(folder: Path, seconds: float, seed: int, workers: int) -> Counter[str]:
    """Train into `folder`/run for so long; returns how often what happened.

    Raises:
        SystemExit: the run ended by itself, or did not end when it was asked to.
    """
    happened: Counter[str] = Counter()
    with open(folder / "output", "w") as output:
        run = subprocess.Popen([*COMMAND, "train", *SETTINGS, "--workers", str(workers), "--run-dir", "run"],
                               cwd=folder, stdout=output, stderr=output, start_new_session=True)  # fmt: skip
    driver = psutil.Process(run.pid)
    try:
        wait_for_rows(folder, run)
        ends = time.monotonic() + seconds
        sizes = [describe(driver)]
        for fault in faults(seed, 2 * workers):
            if time.monotonic() + fault.pause > ends:
                break
            time.sleep(fault.pause)
            if run.poll() is not None:
                break
            happened[fault.kind] += bool(strike(fault, train_workers(driver)))
        sizes.append(describe(driver))
        run.send_signal(signal.SIGTERM)
        code = run.wait(END_SECONDS)
    except (subprocess.TimeoutExpired, psutil.NoSuchProcess) as error:
        raise SystemExit(f"{error}\n{tail(folder)}") from None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
    if code != 128 + signal.SIGTERM:
        raise SystemExit(f"the run ended with exit code {code}\n{tail(folder)}")
    print(f"the driver at the beginning: {sizes[0]}; at the end: {sizes[1]}")
    return happened


def wait_for_rows(folder: Path, run: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while not (folder / "run" / "metrics.jsonl").exists():
        if run.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"the run did not start\n{tail(folder)}")
        time.sleep(0.1)


def describe(process: psutil.Process) -> str:
    return f"{process.memory_info().rss / 1e6:.0f} MB, {process.num_fds()} files, {process.num_threads()} threads"


def tail(folder: Path) -> str:
    return "\n".join((folder / "output").read_text().splitlines()[-20:])


def train_undisturbed(folder: Path, steps: int) -> None:
    settings = [*SETTINGS, f"train.steps={steps}", f"train.checkpoint_every={steps}", "--run-dir", "alone"]
    done = subprocess.run([*COMMAND, "train", *settings, "--no-ray"], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"the undisturbed run ended with exit code {done.returncode}\n{done.stderr}")


def last_state(run: Path) -> tuple[int, str]:
    """Step and hash of the latest checkpoint."""
    name = (run / "checkpoints" / "latest").read_text().strip()
    state = json.loads((run / "checkpoints" / name / "state.json").read_text())
    return state["step"], state["hash"]


def judge(folder: Path) -> tuple[int, list[str]]:
    """The last step, and what is wrong."""
    steps, hash_of_run = last_state(folder / "run")
    train_undisturbed(folder, steps)
    wrong = []
    if last_state(folder / "alone") != (steps, hash_of_run):
        wrong.append(f"another state after {steps} steps than without faults")
    rows = map(json.loads, (folder / "run" / "metrics.jsonl").read_text().splitlines())
    # Where every worker was lost shortly before the end, later rows are there, which resuming would replace.
    recorded = [row["step"] for row in rows if row["step"] <= steps]
    if recorded != [1, *range(LOG_EVERY, steps + 1, LOG_EVERY)]:
        wrong.append(f"steps in the record: {recorded}")
    return steps, wrong


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Random faults, and the same bits.")
    parser.add_argument("--seconds", type=float, default=1800.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=4)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="gx-") as base:
        folder = Path(base)
        happened = train_in_chaos(folder, given.seconds, given.seed, given.workers)
        generations = max([0, *map(int, re.findall(r"generation (\d+):", (folder / "output").read_text()))])
        steps, wrong = judge(folder)
        print("; ".join(f"{kind}: {happened[kind]}" for kind in KINDS))
        print(f"{sum(happened.values())} faults, {generations} generations, {steps} steps")
        print("\n".join(wrong) or "the same state, and every step recorded once")
        if wrong:
            print(tail(folder))
    return bool(wrong)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # the run, too, is to end then
    sys.exit(main())
