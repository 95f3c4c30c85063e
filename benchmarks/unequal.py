"""Unequal machines: one of two is held to a third of a CPU; what each does alone, equal shares, and shares that follow.

The driver and Ray's head have a machine of their own, so that the two do nothing but train; of their CPUs Ray's own
processes take a part, which a machine alone does not have to pay. A machine that is shared changes its speed with time:
so each trains alone before and after they train together, both at the same time, and the means count.

    python -m benchmarks.unequal [--preset dcgan-64] [--batch 128] [--megabits 1000] [--steps 60]
"""

import argparse
import shutil
import statistics
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from benchmarks.launch import describe_machine
from benchmarks.throughput import Pace, Steps, held_cluster, held_to, machines, train
from tests.hosts import available
from tests.machines import Machine

CPUS = (1.0, 1.0, 1 / 3)  # of the driver's machine, and of the two that train
EQUAL_GOAL, SUM_GOAL = 1.4, 0.9
SETTLE = 25  # steps until the shares have followed
ALONE_STEPS = (32, 10)  # of the fast machine, and of the slow one: about as long
MICROBATCH = 8  # small, so that what a machine owns can follow its speed


def measure(preset: str, batch: int, megabits: float | None, steps: int) -> dict[str, list[Pace]]:
    """Paces and states, by what was tried."""
    found: dict[str, list[Pace]] = {}

    def keep(name: str, pace: Pace) -> None:
        found.setdefault(name, []).append(pace)
        print(f"{name}: {pace}", flush=True)

    with machines(CPUS, megabits) as (made, images):
        settings = [f"data.path={images}", f"train.batch_size={batch}", f"train.microbatch_size={MICROBATCH}"]
        settings.append("train.checkpoint_every=1000000")
        for balance in ("auto", "equal"):  # alone before and after "auto"
            for cpus, pace in zip(CPUS[1:], train_alone(made[1:], preset, settings), strict=True):
                keep(f"alone, {cpus:.2f} CPUs", pace)
            keep(balance, train_together(made, preset, steps, [f"cluster.balance={balance}", *settings]))
    return found


def train_alone(made: Sequence[Machine], preset: str, settings: Sequence[str]) -> list[Pace]:
    """Of each, all at the same time."""

    def alone(machine: Machine, steps: int) -> Pace:
        shutil.rmtree(machine.home / "run", ignore_errors=True)
        return train(machine, preset, Steps(2, steps, ends=False), ["--no-ray", *settings])

    with held_to(made, CPUS[1:]), ThreadPoolExecutor() as pool:
        return list(pool.map(alone, made, ALONE_STEPS))


def train_together(made: Sequence[Machine], preset: str, steps: int, settings: Sequence[str]) -> Pace:
    driver, _, slow = made
    with held_cluster(made, CPUS) as address:
        throttled = slow.host.throttled()
        shutil.rmtree(driver.home / "run", ignore_errors=True)
        found = train(driver, preset, Steps(SETTLE, steps), ["--workers", "2", "--address", address, *settings])
        if slow.host.throttled() == throttled:
            raise SystemExit("the slow machine was never throttled: its quota does not hold")
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Unequal machines.")
    parser.add_argument("--preset", default="dcgan-64")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--megabits", type=float, help="rate of the links; default: as fast as this machine copies")
    parser.add_argument("--steps", type=int, default=60, help="together")
    given = parser.parse_args(arguments)
    if given.steps < SETTLE + 5:
        parser.error(f"--steps {given.steps}: give at least {SETTLE + 5}; the first {SETTLE} are not counted")
    if reason := available():
        raise SystemExit(f"no machines: {reason}")
    print(describe_machine())
    found = measure(given.preset, given.batch, given.megabits, given.steps)
    seconds = {name: statistics.mean(pace.step for pace in paces) for name, paces in found.items()}
    alone = sum(1 / each for name, each in seconds.items() if name.startswith("alone"))
    gain, of_sum = seconds["equal"] / seconds["auto"], 1 / seconds["auto"] / alone
    print(f"\n| {given.preset}, batch {given.batch}, 2 machines | s a step | images/s |\n|---|---:|---:|")
    for name, paces in found.items():
        each = ", ".join(f"{pace.step:.2f} ± {pace.spread / 2:.0%}" for pace in paces)
        print(f"| {name} | {each} | {given.batch / seconds[name]:.1f} |")
    print(f"\nbeside equal shares: {gain:.2f}, at least {EQUAL_GOAL}: {'yes' if gain >= EQUAL_GOAL else 'NO'}")
    print(f"beside the sum of both alone: {of_sum:.2f}, at least {SUM_GOAL}: {'yes' if of_sum >= SUM_GOAL else 'NO'}")
    [auto], [equal] = found["auto"], found["equal"]
    print(f"the same state: {'yes' if auto.hash == equal.hash else 'NO'}")


if __name__ == "__main__":
    main()
