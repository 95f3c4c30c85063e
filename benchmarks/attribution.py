"""Does a profile tell the truth? Something slow is planted, and a profile with it is held against one without it.

Twenty cases, drawn from a seed: a loader whose threads sleep, a slow worker, a slow optimiser, and a link that is held
to a rate (the last need root). Of each: whether the seconds that were planted stand in the right row, whether it is
what is named, and whether the gain that is predicted is the one that is measured without it.

    python -m benchmarks.attribution [--cases 20] [--seed 0] [--kind loader …]
"""

import argparse
import math
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.launch import describe_machine
from benchmarks.throughput import machines
from gen_dist.draws import Draws
from gen_dist.engine.stopwatch import HostClock, Stopwatch
from gen_dist.profiling.profile import Profile, read_profile
from gen_dist.step_times import DATA, PARTS
from tests.command import SECONDS, finish, start
from tests.hosts import available
from tests.machines import cluster

PRESET = ("dcgan-emoji", "cluster.balance=equal", "--workers", "2", "--steps")
STEPS = 45
MARKS_OF_A_PHASE = 30  # about
RIGHT_ROW, RIGHT_GAIN, RIGHT_NAMES = 0.1, 0.2, 0.95
BOTH = (0, 1)


@dataclass(frozen=True)
class Kind:
    """A way to be slow: its name in a profile, its rows there, how it is planted, and in which workers."""

    name: str
    rows: tuple[str, ...]
    stage: str
    workers: tuple[int, ...]


KINDS = {
    "loader": Kind("data", DATA, "data", BOTH),
    "worker": Kind("slow worker", ("wait",), "compute", (1,)),
    "optimiser": Kind("optimise", ("optimise",), "optimise", BOTH),
    "link": Kind("exchange", ("exchange",), "", ()),
}


@dataclass(frozen=True)
class Case:
    kind: str
    seconds: float  # planted at each place
    megabits: float  # of a link


@dataclass(frozen=True)
class Outcome:
    case: Case
    right_row: float  # the growth of its rows, as a part of what steps became longer
    named: str
    predicted: float
    measured: float

    @property
    def passes(self) -> tuple[bool, bool, bool]:
        row = abs(self.right_row - 1) <= RIGHT_ROW
        gain = abs(self.predicted / self.measured - 1) <= RIGHT_GAIN
        return row, self.named == KINDS[self.case.kind].name, gain


def draw_cases(count: int, seed: int, kinds: list[str]) -> list[Case]:
    """Of each kind in turn, its size drawn evenly on a logarithmic scale."""
    sizes = Draws(seed).at(0, 0, np.arange(count)).uniform("attribution", 1).numpy()[:, 0].tolist()
    return [
        Case(kinds[number % len(kinds)], 0.04 * 8**size, 40.0 * 8 ** (1 - size)) for number, size in enumerate(sizes)
    ]


def measure(case: Case) -> Outcome:
    """Raises SystemExit where a profile fails or nothing was planted."""
    with tempfile.TemporaryDirectory(prefix="gb-") as base:
        with_it, without = on_links(case) if case.kind == "link" else on_this_machine(case, Path(base))
    longer = with_it.step_seconds - without.step_seconds
    grown = seconds_in(with_it, KINDS[case.kind]) - seconds_in(without, KINDS[case.kind])
    predicted = float(with_it.advice.partition(" × as fast")[0].rpartition(" ")[2] or math.nan)
    return Outcome(case, grown / longer, with_it.bottleneck, predicted, with_it.step_seconds / without.step_seconds)


def seconds_in(profile: Profile, kind: Kind) -> float:
    """Of the rank that has the most: of a slow worker, the other one, who waits."""
    table = profile.step_times.by_rank()
    return float(table[[PARTS.index(row) for row in kind.rows]].sum(0).max())


def on_this_machine(case: Case, base: Path) -> tuple[Profile, Profile]:
    kind, proof = KINDS[case.kind], base / "fired"
    faults = [f"slow worker={w} stage={kind.stage} seconds={case.seconds:.4f} proof={proof}" for w in kind.workers]

    def run(name: str, fault: str) -> Profile:
        done = finish(start(["profile", *PRESET, STEPS, "--out", name], base, GEN_DIST_FAULT=fault), 3 * SECONDS)
        if done.code:
            raise SystemExit(f"exit code {done.code}\n{done.err}")
        return read_profile(base / name / "profile.json")

    found = run("with", ";".join(faults)), run("without", "")
    if not proof.exists():
        raise SystemExit(f"{case}: nothing was planted")
    return found


def on_links(case: Case) -> tuple[Profile, Profile]:
    found = []
    before = os.environ.get("TMPDIR")
    for megabits in (case.megabits, None):
        with machines([1.0] * 3, megabits) as (made, images), cluster(made, cpus=[0, 1, 1]) as address:
            options = [*PRESET, STEPS, f"data.path={images}", "--address", address, "--out", "profile"]
            done = made[0].gen_dist("profile", *options, seconds=3 * SECONDS)
            if done.code:
                raise SystemExit(f"exit code {done.code}\n{done.err}")
            found.append(read_profile(made[0].home / "profile" / "profile.json"))
        os.environ.pop("TMPDIR") if before is None else os.environ.update(TMPDIR=before)
    return found[0], found[1]


def cost_of_a_mark(count: int = 100_000) -> float:
    """Microseconds, adding up included."""
    stopwatch = Stopwatch(HostClock())
    started = time.perf_counter()
    for number in range(count):
        stopwatch.mark("forward")
        if number % MARKS_OF_A_PHASE == 0:
            stopwatch.take("")
    return 1e6 * (time.perf_counter() - started) / count


def describe(outcome: Outcome) -> str:
    case = outcome.case
    size = f"{case.megabits:.0f} Mbit/s" if case.kind == "link" else f"{1000 * case.seconds:.0f} ms"
    row, name, gain = ("" if passed else " **NO**" for passed in outcome.passes)
    return (
        f"| {case.kind}, {size} | {outcome.right_row:.2f}{row} | {outcome.named}{name} | {outcome.predicted:.2f} | "
        f"{outcome.measured:.2f}{gain} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Planted delays and what profiles say of them.")
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", action="append", choices=KINDS, help="only these")
    given = parser.parse_args()
    kinds = given.kind or list(KINDS)
    if "link" in kinds and (reason := available()):
        raise SystemExit(f"links cannot be held to a rate: {reason}; choose --kind loader --kind worker …")
    print(f"{describe_machine()}; a mark of the stopwatch: {cost_of_a_mark():.2f} microseconds")
    print("\n| planted | in its rows, of what steps became longer | named | gain predicted | measured |")
    print("|---|---:|---|---:|---:|", flush=True)
    outcomes = []
    for case in draw_cases(given.cases, given.seed, kinds):
        outcomes.append(measure(case))
        print(describe(outcomes[-1]), flush=True)
    counts = [sum(passed) for passed in zip(*(outcome.passes for outcome in outcomes), strict=True)]
    names: list[tuple[str, int, float]] = [
        (f"right row within {RIGHT_ROW:.0%}", counts[0], 1.0), ("named", counts[1], RIGHT_NAMES),
        (f"gain within {RIGHT_GAIN:.0%}", counts[2], 1.0),
    ]  # fmt: skip
    for name, count, least in names:
        print(f"{name}: {count} of {len(outcomes)}{'' if count >= least * len(outcomes) else ', too few'}")


if __name__ == "__main__":
    main()
