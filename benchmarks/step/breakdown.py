"""Where a step's time goes in one process of one thread, by kinds of operations: what is left beside the products.

    python -m benchmarks.step.breakdown dcgan-64 [--precision bf16] [--microbatch 32] [--steps 10]

torch's profiler counts each operation without those that it calls. "between operations" is what no operation of
torch took: Python, the engine, and the profiler's own work, which makes steps a little longer.
"""

import argparse
import statistics
import time
from collections import defaultdict

from torch.profiler import ProfilerActivity, profile

from benchmarks.launch import describe_machine
from gen_dist.engine.timing import Timing
from gen_dist.presets import load_config

CHANNELS = {"vae-mnist": 1}
WARM_UP = 3
# By the beginnings of names; the first that fits.
KINDS = {
    "convolutions, products": (
        "mkldnn_convolution", "convolution", "_convolution", "_Conv", "_Transposed", "mm", "addmm", "bmm", "baddbmm",
        "mkldnn_linear",
    ),
    "batch norm": ("native_batch_norm", "batch_norm", "var_mean"),
    "patches of products": ("im2col", "col2im", "unfold", "as_strided"),
    "optimiser, norms": ("_fused_", "_foreach", "Optimizer", "linalg", "addcdiv", "addcmul", "sqrt", "lerp"),
    "copies, casts": ("copy", "_to_copy", "cat", "fill", "zero", "clone", "contiguous"),
    "sums of gradients": ("add_", "AccumulateGrad"),
}  # fmt: skip
REST, BETWEEN = "activations, losses and all else", "between operations"


def kind_of(name: str) -> str:
    plain = name.removeprefix("aten::").removeprefix("torch::autograd::")
    for kind, beginnings in KINDS.items():
        if plain.startswith(beginnings):
            return kind
    return REST


def measure(timing: Timing, steps: int) -> tuple[float, dict[str, float]]:
    """Seconds a step without the profiler, and with it by kinds."""
    for _ in range(WARM_UP):
        timing.step()
    seconds = []
    for _ in range(steps):
        start = time.perf_counter()
        timing.step()
        seconds.append(time.perf_counter() - start)
    found: dict[str, float] = defaultdict(float)
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        start = time.perf_counter()
        for _ in range(steps):
            timing.step()
        whole = (time.perf_counter() - start) / steps
    for row in profiler.key_averages():
        found[kind_of(row.key)] += 1e-6 * row.self_cpu_time_total / steps
    found[BETWEEN] = whole - sum(found.values())
    return statistics.median(seconds), found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("preset")
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--microbatch", type=int)
    parser.add_argument("--steps", type=int, default=10)
    given = parser.parse_args()
    print(f"{describe_machine()}; one thread")
    settings = ["train.device=cpu", f"train.precision={given.precision}", "data.path=."]
    settings += [f"train.microbatch_size={given.microbatch}"] if given.microbatch else []
    config = load_config(given.preset, settings)
    timing = Timing(config, CHANNELS.get(given.preset, 3))
    alone, found = measure(timing, given.steps)
    timing.close()
    whole = sum(found.values())
    print(f"{given.preset}, {given.precision}, microbatches of {config.train.microbatch_size}: {1000 * alone:.1f} ms a "
          f"step of {config.train.batch_size} images, {1000 * whole:.1f} with the profiler\n")  # fmt: skip
    print("| kind | ms a step | share |\n|---|---:|---:|")
    for kind, seconds in sorted(found.items(), key=lambda item: -item[1]):
        print(f"| {kind} | {1000 * seconds:.1f} | {seconds / whole:.0%} |")


if __name__ == "__main__":
    main()
