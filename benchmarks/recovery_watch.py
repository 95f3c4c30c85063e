"""The record of a run that something happens to: when each step came, and what was lost."""

import json
import re
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from benchmarks.launch import tail

WARM_STEPS, FOLLOWING_STEPS = 40, 12  # before something happens, and after it
FIRST_STEPS = 5  # of a run that nothing happens to
LONGEST_SECONDS = 300.0
ALLOWED = re.compile(r"no answer for [\d.]+ s, ([\d.]+) s are allowed")


@dataclass(frozen=True)
class Outcome:
    overhead: float  # seconds
    lost: int  # steps
    step: float  # seconds, of those that were left
    allowed: float | None  # seconds of silence, where the silence was what was noticed


class Rows:
    """The steps in the metrics file of a run that grows, and when each came."""

    def __init__(self, folder: Path, process: subprocess.Popen, output: Path | None) -> None:
        self.folder, self.process, self.output = folder, process, output
        self.steps: list[int] = []
        self.times: list[float] = []

    def until(self, done: Callable[[], bool]) -> None:
        """Raises SystemExit where the run ends, or gets no further."""
        deadline = time.perf_counter() + LONGEST_SECONDS
        while not done():
            with suppress(FileNotFoundError):
                lines = (self.folder / "metrics.jsonl").read_bytes().split(b"\n")[:-1]
                for line in lines[len(self.steps) :]:
                    self.steps.append(json.loads(line)["step"])
                    self.times.append(time.perf_counter())
            if self.process.poll() is not None or time.perf_counter() > deadline:
                said = tail(self.output) if self.output else ""
                raise SystemExit(f"it ended, or got no further in {LONGEST_SECONDS:.0f} s\n{said}")
            time.sleep(0.002)

    def allowed_silence(self) -> float | None:
        with suppress(FileNotFoundError):
            if found := ALLOWED.search((self.folder / "log.txt").read_text()):
                return float(found[1])
        return None


def measure(rows: Rows, strike: Callable[[], None], own: float | None) -> Outcome:
    """Let the run warm up, strike, and see what it costs. `own`: seconds of a step of those left; None: as it goes on.

    A spare worker may join them at once, so their own step is measured elsewhere.
    """
    rows.until(lambda: len(rows.steps) >= WARM_STEPS)
    strike()
    struck = time.perf_counter()
    before, seen = max(rows.steps), len(rows.steps)
    rows.until(lambda: max(rows.steps) >= before + FOLLOWING_STEPS)
    later = list(zip(rows.steps, rows.times, strict=True))[seen:]
    new = [(step, at) for step, at in later if step > before]
    lost = sum(step <= before for step, _ in later)
    if own is None:
        own = median_step([at for _, at in new])
    return Outcome(new[0][1] - struck - own, lost, own, rows.allowed_silence())


def measure_undisturbed(rows: Rows) -> float:
    """Seconds a step."""
    rows.until(lambda: len(rows.steps) >= FIRST_STEPS + FOLLOWING_STEPS)
    return median_step(rows.times[FIRST_STEPS:])


def median_step(times: Sequence[float]) -> float:
    return statistics.median(after - before for before, after in pairwise(times))
