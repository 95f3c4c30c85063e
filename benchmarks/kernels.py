"""The kernels beside their peers: the same work on the same images, each way in a process and environment of its own.

Outputs are compared first: a row whose ways do not agree fails the command. Then all ways of a row take turns, each
pinned to the same core (with two threads: to the same two), with one thread everywhere. Copies of bytes take turns with
them; what a row must at least read and write, at that speed, is the bound beside it.
"""

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from benchmarks.kernel_rows import ROWS, Row, Way
from benchmarks.kernel_table import CACHE, MEMORY, Measured, tables, verdict
from benchmarks.peer_process import PeerFailed, PeerProcess
from benchmarks.peers.install import ENVIRONMENTS, PHOTOGRAPHS, PROJECT, default_folder, python_of
from benchmarks.processes import cpu_model

INSTALL = "python -m benchmarks.peers.install"
DISTURBED = 0.03
COPIES = {MEMORY: "with_numpy.copy_in_memory", CACHE: "with_numpy.copy_in_cache"}


class Bench:
    """`peers`: the environments. `folder`: for inputs and outputs. `seconds`: that a repeat lasts at least."""

    def __init__(self, peers: Path, folder: Path, repeats: int, seconds: float) -> None:
        self.peers, self.folder, self.repeats, self.seconds = peers, folder, repeats, seconds
        self.cores = sorted(os.sched_getaffinity(0))
        self.made: dict[str, Path] = {}  # folders of inputs, by what fills them
        self.versions: dict[str, dict[str, str]] = {}
        self.busy: list[float] = []  # parts of a core that ways of one thread had, a repeat

    def measure(self, row: Row) -> Measured:
        result = Measured(row)
        inputs = self.inputs(row)
        ways = self.ready(row, inputs, result)
        if row.ours in ways:
            self.compare(row, [way for way in ways if way != row.ours], inputs, result)
            self.time(row, ways, inputs, result)
        print(result.line(), flush=True)
        return result

    def inputs(self, row: Row) -> Path:
        name = repr(row.fill)
        if name not in self.made:
            self.made[name] = self.folder / f"inputs-{len(self.made)}"
            self.made[name].mkdir()
            row.fill(self.made[name], self.peers / PHOTOGRAPHS)
        return self.made[name]

    def ready(self, row: Row, inputs: Path, result: Measured) -> list[Way]:
        """The ways whose environments are there; where FFCV is among them, with the file that it reads."""
        ways = []
        for way in (row.ours, *(peer.way for peer in row.peers)):
            if python_of(self.peers, way.environment) is None:
                result.missing[way.name] = f"there is no environment {way.environment}: {INSTALL}"
            else:
                ways.append(way)
        if any(way.environment == "ffcv" for way in ways) and not (inputs / "images.beton").exists():
            with self.start(Way("", "ffcv", "with_ffcv.write"), inputs) as process:
                process.output(self.folder / "written.npy")
        return ways

    def start(self, way: Way, inputs: Path, function: str = "") -> PeerProcess:
        python = python_of(self.peers, way.environment)
        assert python is not None
        return PeerProcess(python, function or way.function, inputs, self.cores[-way.threads :])

    def compare(self, row: Row, peers: Sequence[Way], inputs: Path, result: Measured) -> None:
        """Raises SystemExit where a peer's outputs are not ours."""
        own = self.output(row.ours, inputs)
        for peer in (peer for peer in row.peers if peer.way in peers):
            apart = result.apart[peer.way.name] = peer.agreement.difference(own, self.output(peer.way, inputs))
            if not peer.agreement.admits(apart):
                wanted = f"{peer.agreement.largest:g} and {peer.agreement.mean:g}"
                said = f"{apart[0]:.3g} at most and {apart[1]:.3g} on average, more than {wanted}"
                raise SystemExit(f"{row.key}: {peer.way.name} differs from {row.ours.name} by {said}")

    def output(self, way: Way, inputs: Path) -> np.ndarray:
        path = self.folder / "output.npy"
        with self.start(way, inputs, way.compared) as process:
            process.output(path)
            if way.environment not in self.versions:
                self.versions[way.environment] = process.versions()
        return np.load(path)

    def time(self, row: Row, ways: Sequence[Way], inputs: Path, result: Measured) -> None:
        """All in turn, each once untimed; the order is reversed every time."""
        rates: dict[Way, list[float]] = {way: [] for way in ways}
        copies = {Way(name, PROJECT, function, threads=row.ours.threads): name for name, function in COPIES.items()}
        rates |= {copy: [] for copy in copies}
        with ExitStack() as stack:
            processes = {way: stack.enter_context(self.start(way, inputs)) for way in rates if not way.fresh}
            for process in processes.values():
                process.rate(0.0)
            for repeat in range(self.repeats):
                for way in rates if repeat % 2 == 0 else reversed(rates):
                    if way.fresh:
                        rates[way].append(self.first(way, inputs))
                        continue
                    rate, busy = processes[way].rate(self.seconds)
                    rates[way].append(rate)
                    if way.threads == 1:
                        self.busy.append(busy)
        result.ours = rates[row.ours]
        result.peers = {way.name: rates[way] for way in ways if way != row.ours}
        result.copies = {name: rates[copy] for copy, name in copies.items()}

    def first(self, way: Way, inputs: Path) -> float:
        with self.start(way, inputs) as process:
            return process.fresh_rate()

    def disturbance(self) -> str:
        """What other work took of the core, where that matters."""
        lost = 1 - float(np.mean(self.busy or [1.0]))
        return f"DISTURBED: other work took {lost:.0%} of the core. " if lost > DISTURBED else ""

    def environments(self) -> str:
        lines = (f"{name}: {', '.join(' '.join(item) for item in own.items())}" for name, own in self.versions.items())
        return "\n".join(lines)


def parse_options(argv: Sequence[str] | None) -> argparse.Namespace:
    keys = [row.key for row in ROWS]
    parser = argparse.ArgumentParser(description="Speed of the kernels beside their peers.")
    parser.add_argument("--rows", nargs="+", choices=keys, default=keys, metavar="ROW", help=" ".join(keys))
    parser.add_argument("--repeats", type=int, default=7, help="of each way, interleaved (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=0.5, help="of a repeat, at least (default %(default)s)")
    parser.add_argument("--peers", type=Path, default=default_folder(), help="their environments (default %(default)s)")
    parser.add_argument("--quick", action="store_true", help="two short repeats: does it work?")
    given = parser.parse_args(argv)
    if given.quick:
        given.repeats, given.seconds = 2, 0.0
    if given.repeats < 1:
        parser.error(f"--repeats {given.repeats}: must be at least 1")
    if not (given.peers / PHOTOGRAPHS).is_dir():
        parser.error(f"--peers {given.peers}: no {PHOTOGRAPHS} there; first: {INSTALL}")
    if missing := [name for name in ENVIRONMENTS if python_of(given.peers, name) is None]:
        print(f"environments not made, their rows are left out: {', '.join(missing)} ({INSTALL})", file=sys.stderr)
    return given


def main(argv: Sequence[str] | None = None) -> None:
    given = parse_options(argv)
    print(f"{cpu_model()}, {len(os.sched_getaffinity(0))} cores; Python {platform.python_version()}", flush=True)
    with tempfile.TemporaryDirectory(prefix="gk-") as folder:
        bench = Bench(given.peers.absolute(), Path(folder), given.repeats, given.seconds)
        try:
            rows = [bench.measure(row) for row in ROWS if row.key in given.rows]
        except PeerFailed as error:
            raise SystemExit(str(error)) from None
    notes = (
        f"Medians (least..most) of {given.repeats} repeats; ratios of medians (least..most of neighbouring repeats)."
    )
    notes = bench.disturbance() + notes
    end = "Short runs decide nothing." if given.quick else verdict(rows)
    print(f"\n{bench.environments()}\n\n{tables(rows)}\n\n{notes}\n\n{end}")


if __name__ == "__main__":
    main()
