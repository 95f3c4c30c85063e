"""Faults on purpose, for tests: GEN_DIST_FAULT="KIND worker=N [step=S] [phase=P] [stage=G] [seconds=T] proof=FILE; …".

`worker` counts processes as they are started: the first ones are the first ranks, replacements come after them.
`kill`, `stop`, `segfault`, `raise` and `nan` hit at a step, or at a stage of the start ("import", "rendezvous"); a
stopped process goes on after `seconds`, if they are given. `probe` makes a worker look like a machine that rounds
differently. `slow` takes `seconds` more, from step S on, of what its stage says: "data", of each chunk that a loader's
thread fills; "compute", of each microbatch; "optimise", of each phase's update.

A fault that fires writes its proof file first, so that a test can tell a run that survived from one never hurt.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from gen_dist.events import Where

if TYPE_CHECKING:
    from gen_dist.engine.engine import Engine
    from gen_dist.engine.reducer import Work
    from gen_dist.objectives.base import Phase

T = TypeVar("T")
VARIABLE = "GEN_DIST_FAULT"
SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "segfault": signal.SIGSEGV}


@dataclass(frozen=True)
class Fault:
    kind: str
    worker: int
    step: int
    phase: str | None
    stage: str | None
    seconds: float | None
    proof: Path

    def aims_at(self, worker: int, where: Where) -> bool:
        return (
            worker == self.worker
            and where.step == self.step
            and self.phase in (None, where.phase)
            and self.stage in (None, where.stage)
        )

    def fire(self) -> None:
        self.proof.write_text(f"{self.kind} {os.getpid()}\n")
        if self.kind == "raise":
            raise ValueError("a fault on purpose")
        if self.kind == "stop" and self.seconds is not None:  # nobody in a stopped process can wake it
            code = f"import os, signal, time; time.sleep({self.seconds}); os.kill({os.getpid()}, signal.SIGCONT)"
            subprocess.Popen([sys.executable, "-S", "-c", code], start_new_session=True)
        os.kill(os.getpid(), SIGNALS[self.kind])
        if self.kind == "segfault":
            time.sleep(60)  # Ray's handler writes for a while: nothing may be computed meanwhile

    def wait(self, engine: "Engine") -> None:
        if engine.state.step + 1 >= self.step:
            self.proof.write_text(f"{self.kind}\n")
            time.sleep(self.seconds or 0.0)


def after(first: Callable[[], None], then: Callable[..., T]) -> Callable[..., T]:
    def both(*args: Any, **options: Any) -> T:
        first()
        return then(*args, **options)

    return both


def at_forward(mark: Callable[[str], None], wait: Callable[[], None]) -> Callable[[str], None]:
    """A stopwatch's `mark` that waits where a microbatch begins to be computed."""

    def marked(part: str) -> None:
        mark(part)
        if part == "forward":
            wait()

    return marked


def parse_fault(text: str) -> Fault:
    kind, *pairs = text.split()
    values: dict[str, Any] = dict(pair.split("=", 1) for pair in pairs)
    return Fault(
        kind, int(values["worker"]), int(values.get("step", 0)), values.get("phase"), values.get("stage"),
        float(values["seconds"]) if "seconds" in values else None, Path(values["proof"]),
    )  # fmt: skip


class Injector:
    """The faults of the environment, if there are any, as far as they concern worker number `worker`."""

    def __init__(self, worker: int) -> None:
        self.worker = worker
        parts = [part for part in os.environ.get(VARIABLE, "").split(";") if part.strip()]
        self.faults = [fault for fault in map(parse_fault, parts) if fault.worker == worker]

    def at(self, stage: str) -> None:
        """While it starts."""
        self.hit(Where(0, "", stage))

    def hit(self, where: Where) -> None:
        for fault in self.faults:
            if fault.kind in (*SIGNALS, "raise") and fault.aims_at(self.worker, where) and not fault.proof.exists():
                fault.fire()

    def spoil(self, engine: "Engine") -> None:
        """Let the images that it loads where a fault of kind `nan` hits be NaN, each time."""
        load = engine.load

        def spoilt(number: int, phase: "Phase", indices: Sequence[int]) -> "Work":
            work = load(number, phase, indices)
            where = Where(engine.state.step + 1, phase.name, "data")
            for fault in self.faults:
                if fault.kind == "nan" and fault.aims_at(self.worker, where):
                    fault.proof.write_text("nan\n")
                    return [(replace(m, images=m.images * float("nan")), draws) for m, draws in work]
            return work

        engine.load = spoilt  # type: ignore[method-assign]

    def slow_down(self, engine: "Engine") -> None:
        """Let what faults of kind `slow` are about take longer."""
        for fault in self.faults:
            if fault.kind == "slow":
                wait = partial(fault.wait, engine)
                if fault.stage == "data":
                    source = engine.loader.source
                    source.fill = after(wait, source.fill)  # type: ignore[method-assign]
                elif fault.stage == "compute":
                    engine.stopwatch.mark = at_forward(engine.stopwatch.mark, wait)  # type: ignore[method-assign, assignment]
                else:
                    for optimizer in engine.state.optimizers.values():
                        optimizer.step = after(wait, optimizer.step)  # type: ignore[method-assign, assignment]

    def disturb(self, probe: str) -> str:
        """The hash of a probe, or another where a fault of kind `probe` hits."""
        for fault in self.faults:
            if fault.kind == "probe":
                fault.proof.write_text(f"{fault.kind}\n")
                return probe[::-1]
        return probe
