"""Coverage-guided hostile bytes: atheris (libFuzzer) against our decoders as plain Python, not compiled.

`pip install atheris` first. It keeps what reaches new branches of `gen_dist.kernels`, in a folder that a later run
starts from, and mutates that. Lengths and checksums are put right again after most mutations. Without Numba, NumPy does
the indexing and raises IndexError beyond an end; it warns of integers that wrap around, as some are meant to, which is
ignored. Any exception but DecodeError and UnsupportedError, or a file that takes seconds, ends the run with an exit
code other than 0, and stands in the folder `faults` beside the corpus.
"""

import argparse
import os
import sys
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path

SECONDS = 60
LONGEST = 1024  # bytes of a file
HANG_SECONDS = 20  # of a decoder that is some hundred times slower than the compiled one


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz_coverage", description=__doc__)
    parser.add_argument("format", choices=("JPEG", "PNG"))
    parser.add_argument("--seconds", type=int, default=SECONDS)
    parser.add_argument("--corpus", type=Path, help="folder, made if missing; default: a temporary one")
    options = parser.parse_args()
    if os.environ.get("NUMBA_DISABLE_JIT") != "1":  # read when Numba is imported
        os.execve(sys.executable, sys.orig_argv, {**os.environ, "NUMBA_DISABLE_JIT": "1"})
    with tempfile.TemporaryDirectory() as temporary:
        fuzz(options.format, options.seconds, options.corpus or Path(temporary))


def fuzz(format: str, seconds: int, folder: Path) -> None:
    """Does not return, as libFuzzer ends the process."""
    import atheris  # type: ignore[import-not-found]

    with atheris.instrument_imports(include=["gen_dist.kernels"]):
        from gen_dist.kernels import jpeg, png
        from gen_dist.kernels.limits import DecodeError, Limits, UnsupportedError
    import numpy as np

    from benchmarks.fuzz_files import PART_CHANGES, Corpus, change_parts, pick

    warnings.simplefilter("ignore", RuntimeWarning)
    decode = jpeg.decode if format == "JPEG" else png.decode
    limits = Limits(pixels=200, side=40)
    good = [data for data in Corpus(0).files[format] if len(data) <= LONGEST]

    def run(data: bytes) -> None:
        with suppress(DecodeError, UnsupportedError):
            decode(data, limits)

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        random = np.random.default_rng(seed)
        if random.random() < 0.3:
            return atheris.Mutate(data, most)
        changed = change_parts(random, format, pick(random, PART_CHANGES[format]), data, pick(random, good))
        return (changed or atheris.Mutate(data, most))[:most]

    corpus, faults = folder / "corpus", folder / "faults"
    for place in (corpus, faults):
        place.mkdir(parents=True, exist_ok=True)
    if not any(corpus.iterdir()):
        for number, data in enumerate(good):
            (corpus / f"good-{number}").write_bytes(data)
    flags = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", f"-timeout={HANG_SECONDS}"]
    flags += [f"-artifact_prefix={faults}/", "-print_final_stats=1", str(corpus)]
    atheris.Setup([sys.argv[0], *flags], run, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
