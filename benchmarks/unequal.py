"""Unequal machines: one of two is held to a third of a CPU; what each does alone, equal shares, and shares that follow.

The driver and Ray's head have a machine of their own, so that the two do nothing but train.

    python -m benchmarks.unequal [--preset dcgan-64] [--steps 30]
"""

import argparse
import os
import shutil
import tempfile
from collections.abc import Sequence

from benchmarks.launch import describe_machine
from benchmarks.throughput import Pace, Steps, train
from tests.hosts import available, hosts
from tests.machines import Machine, cluster, furnish

CPUS = (1.0, 1.0, 1 / 3)  # of the driver's machine, and of the two that train
EQUAL_GOAL, SUM_GOAL = 1.4, 0.9
SETTLE = 12  # steps until the shares have followed
# Small parts, so that what a machine owns can follow its speed.
SETTINGS = ["train.batch_size=128", "train.microbatch_size=8", "train.checkpoint_every=1000000"]


def measure(preset: str, steps: int) -> dict[str, Pace]:
    """Seconds and states, by what was tried."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="gb-") as base, hosts(len(CPUS), 1000, CPUS) as group:
        os.environ["TMPDIR"] = base
        driver, *others = furnish(group)
        for machine in others:
            name = f"alone, {CPUS[1 + others.index(machine)]:.2f} CPUs"
            found[name] = train(machine, preset, Steps(2, max(5, steps // 4)), ["--no-ray", *SETTINGS])
            print(f"{name}: {found[name]}", flush=True)
        with cluster([driver, *others], cpus=[0, 1, 1]) as address:
            for balance in ("equal", "auto"):
                found[balance] = train_together(driver, preset, steps, address, balance)
                print(f"{balance}: {found[balance]}", flush=True)
    return found


def train_together(driver: Machine, preset: str, steps: int, address: str, balance: str) -> Pace:
    shutil.rmtree(driver.home / "run", ignore_errors=True)
    options = ["--workers", "2", "--address", address, f"cluster.balance={balance}", *SETTINGS]
    return train(driver, preset, Steps(SETTLE, steps), options)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Unequal machines.")
    parser.add_argument("--preset", default="dcgan-64")
    parser.add_argument("--steps", type=int, default=30)
    given = parser.parse_args(arguments)
    if reason := available():
        raise SystemExit(f"no machines: {reason}")
    print(describe_machine())
    found = measure(given.preset, given.steps)
    alone = sum(1 / pace.step for name, pace in found.items() if name.startswith("alone"))
    gain, of_sum = found["equal"].step / found["auto"].step, 1 / found["auto"].step / alone
    print(f"\n| {given.preset}, 2 machines | s a step | images/s |\n|---|---:|---:|")
    for name, pace in found.items():
        print(f"| {name} | {pace.step:.2f} | {128 / pace.step:.1f} |")
    print(f"\nbeside equal shares: {gain:.2f}, at least {EQUAL_GOAL}: {'yes' if gain >= EQUAL_GOAL else 'NO'}")
    print(f"beside the sum of both alone: {of_sum:.2f}, at least {SUM_GOAL}: {'yes' if of_sum >= SUM_GOAL else 'NO'}")
    print(f"the same state: {'yes' if found['equal'].hash == found['auto'].hash else 'NO'}")


if __name__ == "__main__":
    main()
