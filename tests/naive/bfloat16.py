"""bfloat16 is the upper half of float32: its numbers, said as plainly as possible."""

import numpy as np


def add(into: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    return into + (numbers.astype(np.uint32) * 65536).view(np.float32)
