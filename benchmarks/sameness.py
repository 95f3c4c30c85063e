"""The same bits on any workers: each way of starting a preset, beside the same run by one Ray worker, at every step.

Every way goes through the command line. A run records a hash of its whole state (weights, optimiser, moving average)
after each step; these and the losses are compared by what `gen-dist diff` uses. The number of torch threads in a worker
is part of the result's last bits, hence runs of two threads are compared with one another. Another seed must differ, or
the comparison would prove nothing. In rounding mode the states may differ, and how far the losses do is printed: equal
workers may not differ by more than 1e-4, relative; unequal ones sum in another order, which training then amplifies.
"""

import argparse
import re
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.launch import describe_machine
from benchmarks.training_run import CommandFailed, Leg, plain, ray, train
from gen_dist.config import RunConfig
from gen_dist.data.pack import Pack
from gen_dist.errors import UserError
from gen_dist.preparing.resolving import resolve_data
from gen_dist.presets import load_config
from gen_dist.record.comparison import compare_runs
from gen_dist.record.run_record import RunRecord, read_run

MICROBATCHES = 4  # of every batch: what 1 to 4 workers can own equally and unequally
PRESETS, PRECISIONS, STEPS = ("dcgan-emoji", "vae-emoji"), ("fp32", "bf16"), 60
QUICK_PRESETS, QUICK_PRECISIONS, QUICK_STEPS = ("smoke",), ("fp32",), 6
ROUNDING_STEPS, TOLERANCE = 20, 1e-4  # relative, for losses
WIDTH = 72  # of the longest way's name

Wanted = Literal["identical", "other", "close", "any"]
RECORDED = ("wandb.mode=disabled", "train.hash_every=1", "train.log_every=1", "train.device=cpu")
BITWISE = ("train.reproducibility=bitwise", "train.reducer=tree", "train.threads=1", "data.loader_threads=1")
ROUNDING = ("train.reproducibility=rounding", "train.reducer=ddp")
TWO_THREADS = ("train.threads=2",)


@dataclass(frozen=True)
class Way:
    """One way to train, and what its bits are wanted to be beside those of the way named `beside`."""

    name: str
    legs: tuple[Leg, ...]
    settings: tuple[str, ...] = ()
    wanted: Wanted = "identical"
    beside: str = "1 worker"

    @property
    def in_rounding(self) -> bool:
        return self.settings == ROUNDING


INTERRUPTED = "interrupted twice, mid-pass: 3 workers, one process, 2 that own 3 and 1"
ONE_WITH_TWO = "2 torch threads, 1 worker (beside 1 thread)"
SHARES_OF_TWO, SHARES_OF_THREE = "cluster.shares=[3,1]", "cluster.shares=[1,2,1]"
WAYS = (
    Way("1 worker", (ray(1),)),
    Way("2 workers", (ray(2),)),
    Way("3 workers", (ray(3),)),
    Way("4 workers", (ray(4),)),
    Way("2 workers that own 3 and 1", (ray(2, SHARES_OF_TWO),)),
    Way("3 workers that own 1, 2 and 1", (ray(3, SHARES_OF_THREE),)),
    *(Way(f"1 worker, {n} loader threads", (ray(1),), (f"data.loader_threads={n}",)) for n in (2, 3, 4)),
    Way("one process, no Ray", (plain(),)),
    Way("torchrun, 2 ranks", (plain(2),)),
    Way("torchrun, 4 ranks", (plain(4),)),
    Way(INTERRUPTED, (ray(3, steps=25 / 60), plain(steps=40 / 60), ray(2, SHARES_OF_TWO))),
    Way(ONE_WITH_TWO, (ray(1),), TWO_THREADS, "any"),
    Way("2 torch threads, 2 workers", (ray(2),), TWO_THREADS, beside=ONE_WITH_TWO),
    Way("2 torch threads, 2 workers that own 3 and 1", (ray(2, SHARES_OF_TWO),), TWO_THREADS, beside=ONE_WITH_TWO),
    Way("another seed (must differ)", (ray(1),), ("seed=1",), "other"),
    Way("ddp, in rounding mode: 2 workers", (ray(2),), ROUNDING, "close"),
    Way("ddp, in rounding mode: 2 workers that own 3 and 1", (ray(2, SHARES_OF_TWO),), ROUNDING, "any"),
)
QUICK_WAYS = ("1 worker", "2 workers that own 3 and 1", "torchrun, 2 ranks", INTERRUPTED)


@dataclass(frozen=True)
class Case:
    preset: str
    precision: str

    def __str__(self) -> str:
        return f"{self.preset} {self.precision}"


@dataclass(frozen=True)
class Result:
    """`cell` is what the table says."""

    cell: str
    good: bool
    record: RunRecord | None = None
    details: str = ""


# --- running --------------------------------------------------------------------------------------------------------


def run_case(case: Case, ways: Sequence[Way], steps: int, folder: Path) -> dict[str, Result]:
    """Each way by name, printed as it is done."""
    results: dict[str, Result] = {}
    for way in ways:
        if way.in_rounding and case.precision != "fp32":
            continue
        wanted_steps = min(ROUNDING_STEPS, steps) if way.in_rounding else steps
        began = time.perf_counter()
        result = results[way.name] = run_way(way, case, wanted_steps, folder, results.get(way.beside))
        seconds = time.perf_counter() - began
        mark = "" if result.good else "   <-- WRONG"
        print(f"{case!s:18}{way.name:{WIDTH}}{wanted_steps:3} steps{seconds:7.1f} s   {result.cell}{mark}", flush=True)
        if result.details:
            print(result.details, file=sys.stderr, flush=True)
    return results


def run_way(way: Way, case: Case, steps: int, folder: Path, beside: Result | None) -> Result:
    run = folder / re.sub(r"\W+", "-", f"{case}-{way.name}")
    batch = load_config(case.preset).train.batch_size
    settings = [
        *RECORDED, *BITWISE, *way.settings, f"train.precision={case.precision}",
        f"train.microbatch_size={batch // MICROBATCHES}", f"train.sample_every={steps}",
        f"train.checkpoint_every={steps}",
    ]  # fmt: skip
    try:
        train(way.legs, case.preset, steps, settings, run)
        own = read_run(run)
    except (CommandFailed, UserError) as error:
        return Result("failed", False, details=str(error))
    every = list(range(1, steps + 1))
    if [list(own.losses), list(own.hashes)] != [every, every] or len(set(own.hashes.values())) != steps:
        return Result("steps or hashes missing", False, details=f"{run}: {len(own.losses)} losses, {own.hashes}")
    if way.name == way.beside:
        return Result("reference", True, own)
    if beside is None or beside.record is None:
        return Result("nothing to compare with", False)
    return judge(way, own, beside.record)


# --- judging --------------------------------------------------------------------------------------------------------


def judge(way: Way, own: RunRecord, beside: RunRecord) -> Result:
    first = compare_runs(beside, own).first_different
    cell = "identical" if first is None else f"other bits from step {first} on"
    good = {"identical": first is None, "other": first == 1}.get(way.wanted, True)
    if way.in_rounding:
        difference, name, step = largest_difference(own, beside)
        if difference:
            cell += f", losses within {difference:.1e} ({name}, step {step})"
        good = way.wanted != "close" or difference <= TOLERANCE
    return Result(cell, good, own)


def largest_difference(own: RunRecord, beside: RunRecord) -> tuple[float, str, int]:
    """Of the losses at all steps of `own`, relative to `beside`: (difference, loss, step)."""
    return max(
        (abs(value - beside.losses[step][name]) / abs(beside.losses[step][name]), name, step)
        for step, losses in own.losses.items()
        for name, value in losses.items()
        if name.endswith("loss")
    )


# --- reporting ------------------------------------------------------------------------------------------------------


def table(ways: Sequence[Way], results: dict[Case, dict[str, Result]]) -> Iterator[str]:
    """The lines of a Markdown table: a way a line, a case a column."""
    yield f"| | {' | '.join(map(str, results))} |"
    yield "|---" * (1 + len(results)) + "|"
    for way in ways:
        cells = [column[way.name].cell if way.name in column else "" for column in results.values()]
        if any(cells):
            yield f"| {way.name} | {' | '.join(cells)} |"


def check_case(config: RunConfig, ways: Sequence[Way], steps: int) -> str | None:
    """Why these ways cannot be shown with this preset; None: they can."""
    batch = config.train.batch_size
    if batch % MICROBATCHES:
        return f"batch {batch} is not divisible into {MICROBATCHES} microbatches"
    if not config.data.path:
        return "has no data of its own"
    images = len(Pack.open(resolve_data(config.data, print)))
    stops = {leg.last_step(steps) for way in ways for leg in way.legs[:-1]}
    if borders := [stop for stop in stops if stop < 1 or stop * batch % images == 0]:
        return f"an interruption after step {borders[0]} is not in the middle of a pass over {images} images"
    return None


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"preset smoke, {QUICK_STEPS} steps, three ways")
    parser.add_argument("--presets", nargs="+", metavar="NAME", help=f"default: {' '.join(PRESETS)}")
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, help=f"default: {' '.join(PRECISIONS)}")
    parser.add_argument("--steps", type=int, help=f"of each run (default {STEPS})")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the runs in this new folder")
    given = parser.parse_args()
    given.presets = given.presets or (QUICK_PRESETS if given.quick else PRESETS)
    given.precisions = given.precisions or (QUICK_PRECISIONS if given.quick else PRECISIONS)
    given.steps = given.steps if given.steps is not None else (QUICK_STEPS if given.quick else STEPS)
    given.ways = [way for way in WAYS if not given.quick or way.name in QUICK_WAYS]
    if given.steps < QUICK_STEPS:
        parser.error(f"--steps {given.steps}: must be at least {QUICK_STEPS}")
    if given.keep and given.keep.exists():
        parser.error(f"--keep {given.keep}: exists; name a new folder")  # old runs in it would be continued
    for preset in given.presets:
        try:
            problem = check_case(load_config(preset), given.ways, given.steps)
        except UserError as error:
            problem = str(error)
        if problem:
            parser.error(f"--presets {preset}: {problem}")
    return given


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left running then either
    given = parse_arguments()
    print(describe_machine(), flush=True)
    cases = [Case(preset, precision) for preset in given.presets for precision in given.precisions]
    with tempfile.TemporaryDirectory(prefix="gs-") as temporary:
        folder = (given.keep or Path(temporary)).absolute()
        results = {case: run_case(case, given.ways, given.steps, folder) for case in cases}
    print("", *table(given.ways, results), "", sep="\n")
    wrong = [
        f"{case}: {name}" for case, column in results.items() for name, result in column.items() if not result.good
    ]
    if wrong:
        raise SystemExit(f"WRONG: {'; '.join(wrong)}")
    print("every way gave what it should")


if __name__ == "__main__":
    main()
