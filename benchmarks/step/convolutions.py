"""Our convolutions beside torch's, one thread, bfloat16: where products of matrices are faster.

python -m benchmarks.step.convolutions [--seconds 0.5]

Shapes of dcgan-64, vae-64 and sngan-small, 32 images. oneDNN is what torch calls. The last column says where
training makes products, by FORWARD_SIDE and GRADIENT_SIDE.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from benchmarks.launch import describe_machine
from gen_dist.engine.timing import Timing
from gen_dist.models import convolution
from gen_dist.models.convolution import Geometry, down, weight_gradient
from gen_dist.presets import load_config

T = TypeVar("T")

IMAGES = 32
LAST, HALVING, SAME = Geometry(4, 1, 0), Geometry(4, 2, 1), Geometry(3, 1, 1)
# Small channels, large channels, small side.
SHAPES = [
    (1, 512, 1, LAST), (100, 512, 1, LAST), (512, 256, 4, HALVING), (256, 128, 8, HALVING), (128, 64, 16, HALVING),
    (64, 3, 32, HALVING), (256, 128, 4, HALVING), (128, 64, 8, HALVING), (64, 32, 16, HALVING), (32, 3, 32, HALVING),
    (256, 256, 4, SAME), (128, 128, 8, SAME), (64, 64, 16, SAME),
]  # fmt: skip
PRESETS = ("dcgan-64", "vae-64", "sngan-small")
NEVER, ALWAYS = 0, 16  # sides up to which products are made


def median_times(ways: Sequence[Callable[[], object]], seconds: float) -> list[float]:
    """Milliseconds, turn by turn."""
    times: list[list[float]] = [[] for _ in ways]
    for way in ways:
        way()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[0]) < 3:
        for way, found in zip(ways, times, strict=True):
            started = time.perf_counter()
            way()
            found.append(1000 * (time.perf_counter() - started))
    return [statistics.median(found) for found in times]


def limited(work: Callable[[], T], limit: int) -> Callable[[], T]:
    """`work`, with products up to this side."""

    def call() -> T:
        before = convolution.FORWARD_SIDE, convolution.GRADIENT_SIDE
        convolution.FORWARD_SIDE = convolution.GRADIENT_SIDE = limit
        try:
            return work()
        finally:
            convolution.FORWARD_SIDE, convolution.GRADIENT_SIDE = before

    return call


@torch.no_grad()
def compare(small: int, large: int, side: int, geometry: Geometry, seconds: float) -> list[list[float]]:
    """Milliseconds of oneDNN and of a product: of a forward pass, of a weight gradient."""
    x, y = numbers(IMAGES, large, geometry.up(side), geometry.up(side)), numbers(IMAGES, small, side, side)
    w = numbers(small, large, geometry.kernel, geometry.kernel)
    works = (lambda: down(x, w, None, geometry), lambda: weight_gradient(y, x, w, geometry))
    return [median_times([limited(work, NEVER), limited(work, ALWAYS)], seconds) for work in works]


def compare_steps(preset: str, seconds: float) -> list[float]:
    """Milliseconds of a whole step on one thread: by oneDNN, and as training does it."""
    config = load_config(preset, ["train.device=cpu", "train.precision=bf16", "data.path=."])
    timing = Timing(config, 3)
    try:
        return median_times([limited(timing.step, NEVER), timing.step], seconds)
    finally:
        timing.close()


def numbers(*shape: int) -> Tensor:
    made = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return made.bfloat16().contiguous(memory_format=torch.channels_last)


def main() -> None:
    parser = argparse.ArgumentParser(description="Our convolutions beside torch's.")
    parser.add_argument("--seconds", type=float, default=0.5, help="of each row's pairs")
    seconds = parser.parse_args().seconds
    torch.set_num_threads(1)
    print(describe_machine())
    print("| small, large channels, small side, kernel, stride | GFLOP | forward: oneDNN, product, ms "
          "| weight gradient: oneDNN, product, ms | products are made |\n|---|---:|---:|---:|---|")  # fmt: skip
    for small, large, side, geometry in SHAPES:
        operations = 2e-9 * IMAGES * small * large * (geometry.kernel * side) ** 2
        times = [", ".join(f"{t:.2f}" for t in found) for found in compare(small, large, side, geometry, seconds)]
        limits = {"forward": convolution.FORWARD_SIDE, "gradient": convolution.GRADIENT_SIDE}
        made = " and ".join(name for name, limit in limits.items() if side <= limit)
        shape = f"{small}, {large}, {side}, {geometry.kernel}, {geometry.stride}"
        print(f"| {shape} | {operations:.2f} | {' | '.join(times)} | {made or 'neither'} |", flush=True)
    for preset in PRESETS:
        theirs, ours = compare_steps(preset, 20 * seconds)
        print(
            f"{preset}: a step takes {theirs:.0f} ms by oneDNN, {ours:.0f} ms with products: {ours / theirs:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
