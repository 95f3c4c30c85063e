"""Hostile bytes: our JPEG and PNG decoders against mutated files, with bounds checks, beside Pillow and libjpeg-turbo.

Workers, which may crash, judge files that are functions of (seed, number). Wanted are no crash, no exception but
DecodeError and UnsupportedError, no second of CPU time and not more than 64 MB for a file (within limits of 4 million
pixels), and Pillow's decision or a reason from `fuzz_judge` for another. Anything else is a fault: it is listed with
its number, kept with --keep, and the exit code is 1.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import PIL
import simplejpeg

from benchmarks.fuzz_files import Corpus, Format
from benchmarks.fuzz_judge import LONGEST_SECONDS, MOST_BYTES
from benchmarks.fuzz_worker import READY
from benchmarks.processes import cpu_model

ROOT = Path(__file__).parents[1]
FILES, WORKERS = 200_000, 2
START_SECONDS, HANG_SECONDS = 600.0, 30.0  # compiling with bounds checks; a file, with everything around our decoder
MOST_FAULTS = 200  # then it ends
SHOWN_FAULTS = 20
HEADINGS = ("format", "gen-dist", "Pillow", "why they differ", "files")


class Watch:
    """Sees one worker through its share of the files, and starts it again behind a file that it did not survive."""

    def __init__(self, options: argparse.Namespace, share: int, tally: "Tally") -> None:
        self.options, self.share, self.tally = options, share, tally
        self.seen, self.patience = time.monotonic(), START_SECONDS
        self.process: subprocess.Popen[str] | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def check(self) -> None:
        """Kill the worker if it has said nothing for too long, or when faults enough have been found."""
        silent = time.monotonic() - self.seen > self.patience
        if self.process and (silent or self.tally.full()):
            self.process.kill()

    def _run(self) -> None:
        following: int | None = self.share
        while following is not None and not self.tally.full():
            following = self._run_worker(following)

    def _run_worker(self, first: int) -> int | None:
        """Returns the number behind the one at which the worker ended, or None when all is done."""
        options = self.options
        numbers = [str(number) for number in (options.seed, first, options.files, options.workers)]
        command = [sys.executable, "-m", "benchmarks.fuzz_worker", *numbers, *options.formats]
        self.seen, self.patience = time.monotonic(), START_SECONDS
        environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1"}
        pipe = subprocess.PIPE
        with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=pipe, text=True) as self.process:
            assert self.process.stdout
            number = None
            for line in self.process.stdout:
                self.seen, self.patience = time.monotonic(), HANG_SECONDS
                message = json.loads(line)
                if isinstance(message, list):
                    self.tally.add(number, message)
                elif message != READY:
                    number = message
            self.process.wait()
        if self.process.returncode == 0:
            return None
        if number is None:
            raise SystemExit(f"a worker ended before its first file, with exit code {self.process.returncode}")
        silent = time.monotonic() - self.seen > HANG_SECONDS
        if not self.tally.full():
            what = "hung" if silent else f"crashed with exit code {self.process.returncode}"
            self.tally.add_fault(number, what)
        return number + options.workers


class Tally:
    """What all workers found; shared by their threads."""

    def __init__(self) -> None:
        self.groups: Counter[tuple[str, ...]] = Counter()
        self.faults: dict[int, str] = {}
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.bytes_added: dict[str, int] = defaultdict(int)
        self.differences: list[float] = []
        self._lock = threading.Lock()

    def add(self, number: int | None, message: list) -> None:
        *group, fault, seconds, bytes_added, difference = message
        with self._lock:
            self.groups[tuple(group)] += 1
            self.seconds[group[0]].append(seconds)
            self.bytes_added[group[0]] = max(self.bytes_added[group[0]], bytes_added)
            if group[:2] == ["JPEG", "accepted"]:
                self.differences.append(difference)
            if fault and number is not None:
                self.faults[number] = fault

    def add_fault(self, number: int, what: str) -> None:
        with self._lock:
            self.faults[number] = what

    def full(self) -> bool:
        return len(self.faults) >= MOST_FAULTS


def main() -> None:
    options = parse_options(sys.argv[1:])
    started = time.monotonic()
    tally = Tally()
    watches = [Watch(options, share, tally) for share in range(options.workers)]
    while any(watch.thread.is_alive() for watch in watches):
        time.sleep(0.2)
        for watch in watches:
            watch.check()
    judged = sum(tally.groups.values())
    print(f"{cpu_model()}; pillow {PIL.__version__}, simplejpeg {simplejpeg.__version__}; seed {options.seed}")
    print(f"{judged:,} files of {options.files:,} judged in {time.monotonic() - started:.0f} s\n")
    print(report(tally))
    if tally.faults:
        keep(options, tally.faults)
        raise SystemExit(f"{len(tally.faults)} faults")
    if judged != options.files:
        raise SystemExit("not all files were judged")


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("--files", type=int, default=FILES)
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--formats", nargs="+", choices=("JPEG", "PNG"), default=["JPEG", "PNG"])
    parser.add_argument("--keep", type=Path, help="folder for the files at which something was wrong")
    return parser.parse_args(arguments)


def report(tally: Tally) -> str:
    """Markdown: the decisions, then what was measured."""
    rows = [(*group, f"{count:,}") for group, count in sorted(tally.groups.items())]
    lines = [f"| {' | '.join(cell or '–' for cell in row)} |" for row in (HEADINGS, ["---"] * len(HEADINGS), *rows)]
    lines.append("")
    for format, seconds in sorted(tally.seconds.items()):
        added = tally.bytes_added[format] / 2**20
        lines.append(
            f"{format}: slowest decode {max(seconds) * 1e3:.1f} ms of CPU time (limit {LONGEST_SECONDS * 1e3:.0f}), "
            f"most memory added by one {added:.1f} MB (limit {MOST_BYTES >> 20})"
        )
    if tally.differences:
        differences = sorted(tally.differences)
        middle, high, most = (differences[int(part * (len(differences) - 1))] for part in (0.5, 0.999, 1))
        lines.append(
            f"JPEG pixels where both accept, mean difference from libjpeg-turbo's in grey levels: "
            f"median {middle:.3f}, of one in a thousand over {high:.3f}, largest {most:.3f}; PNG pixels are equal"
        )
    faults = [f"fault in file {number}: {what}" for number, what in sorted(tally.faults.items())[:SHOWN_FAULTS]]
    return "\n".join([*lines, *faults])


def keep(options: argparse.Namespace, faults: dict[int, str]) -> None:
    """Write the files, each with what was wrong beside it, if there is a folder for them."""
    if not options.keep:
        return
    options.keep.mkdir(parents=True, exist_ok=True)
    corpus = Corpus(options.seed)
    formats: list[Format] = options.formats
    for number, what in faults.items():
        case = corpus.case(number, formats)
        path = options.keep / f"{options.seed}-{number}.{case.format.lower()}"
        path.write_bytes(case.data)
        path.with_suffix(".txt").write_text(f"{what}\n{' '.join(case.changes)}\n")


if __name__ == "__main__":
    main()
