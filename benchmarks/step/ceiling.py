"""What this machine can do at best: the rate of a large matrix product and of the steps' own largest convolutions.

    python -m benchmarks.step.ceiling THREADS SECONDS

Prints JSON: floating-point operations per second, by precision and kind.
"""

import json
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import conv2d

SIDE = 2048  # of the matrices
CONVOLUTIONS = [(128, 64, 32), (256, 128, 16), (512, 256, 8)]  # out, in, side: kernel 4, stride 2, 32 images


def rate(work: Callable[[], Tensor], operations: float, seconds: float) -> float:
    """The best of many calls."""
    best, end = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        work()
        best = max(best, operations / (time.perf_counter() - started))
    return best


def convolution(after: int, before: int, side: int, dtype: torch.dtype) -> tuple[Callable[[], Tensor], float]:
    x = torch.rand(32, before, side, side, dtype=dtype).contiguous(memory_format=torch.channels_last)
    w = torch.rand(after, before, 4, 4, dtype=dtype).contiguous(memory_format=torch.channels_last)
    return lambda: conv2d(x, w, stride=2, padding=1), 2.0 * 32 * after * before * 16 * (side // 2) ** 2


def main() -> None:
    threads, seconds = int(sys.argv[1]), float(sys.argv[2])
    torch.set_num_threads(threads)
    found = {}
    with torch.no_grad():
        for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
            a, b = (torch.rand(SIDE, SIDE, dtype=dtype) for _ in range(2))
            found[f"{name} matrix"] = rate(lambda a=a, b=b: a @ b, 2.0 * SIDE**3, seconds)
            for shape in CONVOLUTIONS:
                work, operations = convolution(*shape, dtype)
                found[f"{name} convolution {shape}"] = rate(work, operations, seconds)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
