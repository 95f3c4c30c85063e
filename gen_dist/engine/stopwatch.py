"""Measures where a rank's time goes: at every moment its training thread is in one part of one phase."""

import time
from collections import defaultdict, deque
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import torch

from gen_dist.step_times import MEASURED, Span

BETWEEN = "between phases"


class Clock(Protocol):
    def stamp(self) -> Any:
        """Now."""

    def seconds(self, start: Any, end: Any) -> float | None:
        """Between two stamps; None while that is not known yet."""


class HostClock:
    def stamp(self) -> float:
        return time.perf_counter()

    def seconds(self, start: float, end: float) -> float:
        return end - start


class CudaClock:
    """The time of the current stream: what the host asks for is done later, and nothing here waits for it."""

    def stamp(self) -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def seconds(self, start: torch.cuda.Event, end: torch.cuda.Event) -> float | None:
        return start.elapsed_time(end) / 1000 if end.query() else None


def clock_of(device: torch.device) -> Clock:
    return CudaClock() if device.type == "cuda" else HostClock()


class Mark(NamedTuple):
    """From `stamp` on, the thread was in this part."""

    step: int
    phase: str
    part: str
    stamp: Any


class Stopwatch:
    """Marks cost a microsecond each; they are added up when a phase is taken."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.began = clock.stamp()
        self.kept: list[Span] | None = None  # all that is added up, where they are wanted for a trace
        self.reset()

    def reset(self) -> None:
        """Forget everything: what came before says nothing about what comes."""
        self.step, self.phase = 0, BETWEEN
        self.marks: deque[Mark] = deque()
        self.totals: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))

    def begin(self, step: int, phase: str) -> None:
        """All that comes belongs to this phase of this step."""
        self.step, self.phase = step, phase
        self.mark("other")

    def end_phase(self) -> None:
        """What comes, until another begins, is bookkeeping."""
        self.phase = BETWEEN
        self.mark("bookkeeping")

    def mark(self, part: str) -> None:
        """From now on it is this part of the phase, one of MEASURED."""
        self.marks.append(Mark(self.step, self.phase, part, self.clock.stamp()))

    def take(self, phase: str) -> Mapping[str, float]:
        """Seconds of each part of `phase`, and of what was between phases, since they were last taken."""
        self.settle()
        taken = self.totals.pop(phase, {})
        between = self.totals.pop(BETWEEN, {})
        return {part: taken.get(part, 0.0) + between.get(part, 0.0) for part in MEASURED}

    def settle(self) -> None:
        """Add up what has an end that is known."""
        marks = self.marks
        while len(marks) > 1:
            seconds = self.clock.seconds(marks[0].stamp, marks[1].stamp)
            if seconds is None:
                return
            step, phase, part, stamp = marks.popleft()
            self.totals[phase][part] += seconds
            if self.kept is not None:
                self.kept.append(Span(step, phase, part, self.clock.seconds(self.began, stamp) or 0.0, seconds))
