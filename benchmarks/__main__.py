"""Runs every short benchmark, each in a process of its own: `python -m benchmarks`."""

import subprocess
import sys
from pathlib import Path

# These have targets of their own, or options.
LONG = {
    "weak_scaling",
    "chaos",
    "fuzz",
    "fuzz_coverage",
    "kernels",
    "launch",
    "prepare",
    "presets",
    "recovery",
    "reduce",
    "reductions",
    "sameness",
    "scaling",
    "unequal",
}
PARTS = {  # of other benchmarks
    *("fuzz_entropy", "fuzz_files", "fuzz_judge", "fuzz_repair", "fuzz_worker"),
    *("keras_affine", "kernel_inputs", "kernel_rows", "kernel_table", "peer_process"),
    *("processes", "ray_train_peer", "reduce_table", "reduce_worker", "training_run"),
    *("recovery_machines", "recovery_watch", "throughput"),
}


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
