"""Unequal machines: one of two is held to a third of a CPU; what each does alone, equal shares, and shares that follow.

The driver and Ray's head have a machine of their own, so that the two do nothing but train; of their CPUs Ray's own
processes take a part, which a machine alone does not have to pay.

    python -m benchmarks.unequal [--preset dcgan-64] [--batch 128] [--megabits 1000] [--steps 60]
"""

import argparse
import shutil
from collections.abc import Sequence

from benchmarks.launch import describe_machine
from benchmarks.throughput import Pace, Steps, held_cluster, held_to, machines, train
from tests.hosts import available
from tests.machines import Machine

CPUS = (1.0, 1.0, 1 / 3)  # of the driver's machine, and of the two that train
EQUAL_GOAL, SUM_GOAL = 1.4, 0.9
SETTLE = 25  # steps until the shares have followed
MICROBATCH = 8  # small, so that what a machine owns can follow its speed


def measure(preset: str, batch: int, megabits: float | None, steps: int) -> dict[str, Pace]:
    """Paces and states, by what was tried."""
    found = {}
    with machines(CPUS, megabits) as ((driver, *others), images):
        settings = [f"data.path={images}", f"train.batch_size={batch}", f"train.microbatch_size={MICROBATCH}"]
        settings.append("train.checkpoint_every=1000000")
        for machine, cpus in zip(others, CPUS[1:], strict=True):
            with held_to([machine], [cpus]):
                name = f"alone, {cpus:.2f} CPUs"
                found[name] = train(machine, preset, Steps(2, 12, ends=False), ["--no-ray", *settings])
                print(f"{name}: {found[name]}", flush=True)
        for balance in ("equal", "auto"):
            with held_cluster([driver, *others], CPUS) as address:
                throttled = others[1].host.throttled()
                found[balance] = train_together(
                    driver, preset, steps, address, [f"cluster.balance={balance}", *settings]
                )
                if others[1].host.throttled() == throttled:
                    raise SystemExit("the slow machine was never throttled: its quota does not hold")
                print(f"{balance}: {found[balance]}", flush=True)
    return found


def train_together(driver: Machine, preset: str, steps: int, address: str, settings: Sequence[str]) -> Pace:
    shutil.rmtree(driver.home / "run", ignore_errors=True)
    return train(driver, preset, Steps(SETTLE, steps), ["--workers", "2", "--address", address, *settings])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Unequal machines.")
    parser.add_argument("--preset", default="dcgan-64")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--megabits", type=float, help="rate of the links; default: as fast as this machine copies")
    parser.add_argument("--steps", type=int, default=60, help="together; what is done alone takes 12")
    given = parser.parse_args(arguments)
    if given.steps < SETTLE + 5:
        parser.error(f"--steps {given.steps}: give at least {SETTLE + 5}; the first {SETTLE} are not counted")
    if reason := available():
        raise SystemExit(f"no machines: {reason}")
    print(describe_machine())
    found = measure(given.preset, given.batch, given.megabits, given.steps)
    alone = sum(1 / pace.step for name, pace in found.items() if name.startswith("alone"))
    gain, of_sum = found["equal"].step / found["auto"].step, 1 / found["auto"].step / alone
    print(f"\n| {given.preset}, batch {given.batch}, 2 machines | s a step | images/s |\n|---|---:|---:|")
    for name, pace in found.items():
        print(f"| {name} | {pace.step:.2f} ± {pace.spread / 2:.0%} | {given.batch / pace.step:.1f} |")
    print(f"\nbeside equal shares: {gain:.2f}, at least {EQUAL_GOAL}: {'yes' if gain >= EQUAL_GOAL else 'NO'}")
    print(f"beside the sum of both alone: {of_sum:.2f}, at least {SUM_GOAL}: {'yes' if of_sum >= SUM_GOAL else 'NO'}")
    print(f"the same state: {'yes' if found['equal'].hash == found['auto'].hash else 'NO'}")


if __name__ == "__main__":
    main()
