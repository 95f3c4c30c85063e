"""Faults on purpose, for tests: GEN_DIST_FAULT="kind rank=R [step=S] [phase=P] [stage=G] proof=FILE".

`kill`, `stop`, `segfault` and `raise` hit a rank at a step; `probe` makes a rank look like a machine that rounds
differently.

A fault that fires writes its proof file first, so that a test can tell a run that survived from one never hurt.
"""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gen_dist.events import Where

VARIABLE = "GEN_DIST_FAULT"


@dataclass(frozen=True)
class Fault:
    kind: str
    rank: int
    step: int
    phase: str | None
    stage: str | None
    proof: Path

    def hits(self, rank: int, where: Where) -> bool:
        return (
            rank == self.rank
            and where.step == self.step
            and self.phase in (None, where.phase)
            and self.stage in (None, where.stage)
            and not self.proof.exists()
        )

    def fire(self) -> None:
        self.proof.write_text(f"{self.kind}\n")
        if self.kind == "raise":
            raise ValueError("a fault on purpose")
        signals = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "segfault": signal.SIGSEGV}
        os.kill(os.getpid(), signals[self.kind])
        time.sleep(60)  # Ray's handler of a segmentation fault writes for a while: nothing may be computed meanwhile


def parse_fault(text: str) -> Fault:
    kind, *pairs = text.split()
    values: dict[str, Any] = dict(pair.split("=", 1) for pair in pairs)
    return Fault(
        kind, int(values["rank"]), int(values.get("step", 0)), values.get("phase"), values.get("stage"),
        Path(values["proof"]),
    )  # fmt: skip


def inject_faults(rank: int, watch: Callable[[Where], None]) -> Callable[[Where], None]:
    """`watch`, followed by the fault of the environment where there is one and it hits."""
    text = os.environ.get(VARIABLE)
    if not text:
        return watch
    fault = parse_fault(text)

    def watch_and_fire(where: Where) -> None:
        watch(where)
        if fault.hits(rank, where):
            fault.fire()

    return watch_and_fire


def disturb_probe(rank: int, probe: str) -> str:
    """The hash of a probe, or another where a fault of kind `probe` hits this rank."""
    text = os.environ.get(VARIABLE)
    fault = parse_fault(text) if text else None
    if fault is None or fault.kind != "probe" or fault.rank != rank:
        return probe
    fault.proof.write_text(f"{fault.kind}\n")
    return probe[::-1]
