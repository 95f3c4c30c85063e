"""Runs every short benchmark, each in a process of its own: `python -m benchmarks`."""

import subprocess
import sys
from pathlib import Path

LONG = {"launch", "reduce", "sameness"}  # have targets of their own: make bench-launch and so on
PARTS = {"processes", "ray_train_peer", "reduce_table", "reduce_worker", "training_run"}  # of other benchmarks


def main() -> None:
    names = sorted(file.stem for file in Path(__file__).parent.glob("[a-z]*.py") if file.stem not in LONG | PARTS)
    failed = []
    for name in names:
        print(f"== python -m benchmarks.{name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"]).returncode:
            failed.append(name)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
