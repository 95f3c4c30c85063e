"""A folder of JPEGs into training images: `gen-dist prepare` beside Pillow in a pool of processes and a DataLoader.

20,000 files of 178 x 218 pixels and about 12 KB, to 64 x 64, on two cores; `--records N` instead prepares N records of
8 x 8 x 3 from one .npy file, and prints the memory that this took. Outputs are compared first: the peers decode at full
size, so that they differ a little from our kernels. Then all take turns; medians and spread.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.kernel_inputs import CELEBA, crops, encoded
from benchmarks.peer_process import PeerFailed, PeerProcess
from benchmarks.peers.install import PHOTOGRAPHS, PROJECT, default_folder, python_of
from benchmarks.processes import Memory, cpu_model

ROOT = Path(__file__).parents[1]
INSTALL = "python -m benchmarks.peers.install"
FILES, DISTINCT, REPEATS, CORES, FILE_BYTES = 20_000, 500, 5, 2, 12_000
QUICK_FILES, QUICK_REPEATS = 400, 2
MOST_APART = 2.0  # levels, on average
RECORD, RECORDS_AT_ONCE = (8, 8, 3), 1 << 16
PREPARE = """
import sys
from pathlib import Path
from gen_dist.config import DecodingSettings, PrepareSettings
from gen_dist.preparing.prepare import prepare
from gen_dist.sources.opening import Opening, open_source
source = open_source(sys.argv[1], Opening(PrepareSettings(), DecodingSettings()))
done = prepare(source, Path(sys.argv[2]), 8, workers=int(sys.argv[3]))
print(done.images, done.seconds)
"""


@dataclass
class Way:
    """`function`: in `benchmarks.peers`. `rates`: images a second; `apart`: mean difference from the first way."""

    name: str
    environment: str
    function: str
    rates: list[float] = field(default_factory=list)
    apart: float = 0.0


def ways() -> list[Way]:
    return [
        Way("gen-dist prepare, kernels", PROJECT, "our_prepare.kernels"),
        Way("gen-dist prepare, libraries", PROJECT, "our_prepare.libraries"),
        Way("Pillow, pool of processes", "pillow", "with_folder.pool"),
        Way("Pillow-SIMD, pool of processes", "pillow-simd", "with_folder.pool"),
        Way("Pillow, DataLoader", "torch", "with_folder.loader"),
    ]


def write_files(folder: Path, photographs: Path, count: int) -> float:
    """`count` files, of DISTINCT contents; their mean length."""
    some = list(crops(photographs, 48, CELEBA))
    quality = min(range(75, 97), key=lambda q: abs(statistics.mean(len(encoded(i, q)) for i in some) - FILE_BYTES))
    contents = [encoded(image, quality) for image in crops(photographs, min(DISTINCT, count), CELEBA)]
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:06}.jpg").write_bytes(contents[number % len(contents)])
    return statistics.mean(map(len, contents))


def compare(processes: dict[int, PeerProcess], chosen: Sequence[Way], folder: Path) -> None:
    """Raises SystemExit where a way makes other images than the first."""
    first: np.ndarray | None = None
    for number, way in enumerate(chosen):
        path = folder / "output.npy"
        processes[number].output(path)
        images = np.load(path)
        if first is None:
            first = images
        if images.shape != first.shape:
            raise SystemExit(f"{way.name}: {images.shape} in place of {first.shape}")
        step = 1000
        parts = range(0, len(images), step)
        sums = [np.abs(images[i : i + step].astype(np.int16) - first[i : i + step]).sum(dtype=np.int64) for i in parts]
        way.apart = float(sum(sums)) / images.size
        if way.apart > MOST_APART:
            raise SystemExit(f"{way.name}: {way.apart:.2f} levels from {chosen[0].name} on average")


def measure(chosen: Sequence[Way], peers: Path, folder: Path, repeats: int) -> dict[str, dict[str, str]]:
    """Fills in the ways; the versions in each environment."""
    cores = sorted(os.sched_getaffinity(0))[-CORES:]
    with ExitStack() as stack:
        processes = {}
        for number, way in enumerate(chosen):
            python = python_of(peers, way.environment)
            assert python is not None
            processes[number] = stack.enter_context(PeerProcess(python, way.function, folder, cores))
        compare(processes, chosen, folder)
        for repeat in range(repeats):
            order = range(len(chosen))
            for number in order if repeat % 2 == 0 else reversed(order):
                rate, _ = processes[number].rate(0.0)
                chosen[number].rates.append(rate)
        return {way.environment: processes[number].versions() for number, way in enumerate(chosen)}


def report(chosen: Sequence[Way]) -> None:
    """Ratios of medians, and the spread of the ratios repeat by repeat."""
    ours = chosen[0]
    print(f"{'':34}{'images/s, median (least..most)':>34}{'gen-dist is x times as fast':>34}{'levels apart':>14}")
    for way in chosen:
        median = statistics.median(way.rates)
        ratios = [own / other for own, other in zip(ours.rates, way.rates, strict=True)]
        rate = f"{median:.0f} ({min(way.rates):.0f}..{max(way.rates):.0f})"
        ratio = f"{statistics.median(ours.rates) / median:.2f} ({min(ratios):.2f}..{max(ratios):.2f})"
        print(f"{way.name:34}{rate:>34}{ratio if way is not ours else '':>34}{way.apart:>14.2f}")


def prepare_records(count: int) -> None:
    """The largest memory of a process that prepares one file of many records, and of all below it."""
    with tempfile.TemporaryDirectory(prefix="gp-") as name:
        folder, generator = Path(name), np.random.default_rng(0)
        records = np.lib.format.open_memmap(folder / "records.npy", "w+", np.uint8, (count, *RECORD))
        for first in range(0, count, RECORDS_AT_ONCE):
            part = records[first : first + RECORDS_AT_ONCE]
            part[:] = generator.integers(0, 256, part.shape, dtype=np.uint8)
        stored = records.nbytes
        records.flush()
        del records, part
        arguments = [str(folder / "records.npy"), str(folder / "pack"), str(CORES)]
        command = [sys.executable, "-c", PREPARE, *arguments]
        memory = Memory()
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            memory.watch(process.pid)
            assert process.stdout is not None
            said = process.stdout.read().split()
        if process.returncode:
            raise SystemExit(f"preparing the records failed with exit code {process.returncode}")
    images, seconds = int(said[0]), float(said[1])
    peak = f"{memory.peak / 2**20:.0f} MiB at most in {memory.processes} processes"
    print(f"{images} records of {stored / 2**20:.0f} MiB in all: {seconds:.1f} s, {peak}")


def parse_options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, default=default_folder(), help="their environments; default: %(default)s")
    parser.add_argument("--files", type=int, default=FILES, help="default: %(default)s")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="few files and repeats, to see that it works")
    parser.add_argument("--records", type=int, metavar="N", help="prepare N records from one array instead")
    given = parser.parse_args(argv)
    if given.quick:
        given.files, given.repeats = QUICK_FILES, QUICK_REPEATS
    if given.records is None and not (given.peers / PHOTOGRAPHS).is_dir():
        parser.error(f"--peers {given.peers}: no {PHOTOGRAPHS} there; first: {INSTALL}")
    return given


def main(argv: Sequence[str] | None = None) -> None:
    given = parse_options(argv)
    print(f"{cpu_model()}, {len(os.sched_getaffinity(0))} cores; Python {platform.python_version()}", flush=True)
    if given.records is not None:
        prepare_records(given.records)
        return
    peers, chosen = given.peers.absolute(), []
    for way in ways():
        if python_of(peers, way.environment) is None:
            print(f"{way.name}: left out, there is no environment {way.environment}; {INSTALL}")
        else:
            chosen.append(way)
    with tempfile.TemporaryDirectory(prefix="gp-") as name:
        length = write_files(Path(name) / "files", peers / PHOTOGRAPHS, given.files)
        print(f"{given.files} JPEGs of 178x218 pixels, {length:.0f} bytes on average, to 64x64 on {CORES} cores")
        try:
            versions = measure(chosen, peers, Path(name), given.repeats)
        except PeerFailed as error:
            raise SystemExit(str(error)) from None
    for environment, found in versions.items():
        print(f"{environment}: {', '.join(f'{package} {version}' for package, version in found.items())}")
    report(chosen)
    if given.quick:
        print("Short runs decide nothing.")


if __name__ == "__main__":
    main()
