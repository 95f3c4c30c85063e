"""What it costs that every step notes where its time goes: steps with and without, turn by turn in one process.

python -m benchmarks.step.always_on [--turns 200]
"""

import argparse
import statistics
import time
from collections.abc import Mapping

from benchmarks.launch import describe_machine
from gen_dist.engine.stopwatch import HostClock, Stopwatch
from gen_dist.engine.timing import Timing
from gen_dist.presets import load_config

PRESETS = {"vae-mnist": 1, "smoke": 3, "vae-64": 3}  # and their channels: steps of milliseconds, where it shows most
MOST = 0.01


class Switched(Stopwatch):
    """Notes nothing while it is off."""

    on = True
    noted = 0

    def mark(self, part: str) -> None:
        self.noted += 1
        if self.on:
            super().mark(part)

    def take(self, phase: str) -> Mapping[str, float]:
        return super().take(phase) if self.on else {}


def measure(preset: str, channels: int, turns: int) -> tuple[float, float, float]:
    """Seconds a step without, seconds a step with, and marks a step."""
    config = load_config(preset, ["train.device=cpu", "train.precision=fp32", "data.path=."])
    timing = Timing(config, channels)
    stopwatch = timing.engine.stopwatch = Switched(HostClock())
    timing.engine.programs.clear()  # they hold the former one
    times: dict[bool, list[float]] = {False: [], True: []}
    for turn in range(2 * turns):
        stopwatch.on = turn % 2 == 1
        timing.step()  # the first of a turn takes up what the former left
        began = time.perf_counter()
        timing.step()
        times[stopwatch.on].append(time.perf_counter() - began)
    timing.close()
    return statistics.median(times[False]), statistics.median(times[True]), stopwatch.noted / (4 * turns)


def main() -> None:
    parser = argparse.ArgumentParser(description="What noting where time goes costs.")
    parser.add_argument("--turns", type=int, default=200)
    turns = parser.parse_args().turns
    print(describe_machine())
    for preset, channels in PRESETS.items():
        without, noting, marks = measure(preset, channels, turns if preset != "vae-64" else turns // 10)
        more = noting / without - 1
        verdict = "yes" if more < MOST else "NO"
        print(f"{preset}: {1000 * without:.2f} ms without, {1000 * noting:.2f} with ({marks:.0f} marks): {more:+.2%}; "
              f"below {MOST:.0%}: {verdict}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
