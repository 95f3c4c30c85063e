"""Separable resampling with floats and without rounding in between: what the weights mean, pixel by pixel."""

import math

import numpy as np


def sinc(x):
    return 1.0 if x == 0 else math.sin(math.pi * x) / (math.pi * x)


def cubic(x):
    x = abs(x)
    return 1.5 * x**3 - 2.5 * x**2 + 1 if x < 1 else -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2


KERNELS = {  # half width, weight of a sample at a distance within it
    "box": (0.5, lambda x: float(-0.5 < x <= 0.5)),
    "bilinear": (1.0, lambda x: 1 - abs(x)),
    "hamming": (1.0, lambda x: sinc(x) * (0.54 + 0.46 * math.cos(math.pi * x))),
    "bicubic": (2.0, cubic),
    "lanczos": (3.0, lambda x: sinc(x) * sinc(x / 3)),
}


def matrix(in_size, out_size, start, stop, filter):
    """Float64, out_size x in_size: the weight of each input sample in each output sample."""
    start, stop = float(np.float32(start)), float(np.float32(stop))
    step = float(np.float32(stop) - np.float32(start)) / out_size
    weights = np.zeros((out_size, in_size))
    centre = start + step / 2
    for i in range(out_size):
        if filter == "nearest":
            weights[i, min(int(centre), in_size - 1)] = 1
            centre += step
            continue
        radius, kernel = KERNELS[filter]
        centre, widening = start + (i + 0.5) * step, max(step, 1)
        low = min(max(int(centre - radius * widening + 0.5), 0), in_size - 1)
        high = max(min(int(centre + radius * widening + 0.5), in_size), low + 1)
        for j in range(low, high):
            x = (j + 0.5 - centre) / widening
            weights[i, j] = kernel(x) if abs(x) <= radius else 0
        if weights[i].sum() != 0:
            weights[i] /= weights[i].sum()
    return weights


def resize(image, height, width, filter, box=None):
    """Float64, height x width x C, each value in [0, 255]; clipped after the columns' pass too, as fixed point must."""
    x0, y0, x1, y1 = box or (0, 0, image.shape[1], image.shape[0])
    columns = matrix(image.shape[1], width, x0, x1, filter)
    rows = matrix(image.shape[0], height, y0, y1, filter)
    narrowed = np.clip(np.einsum("xi,yic->yxc", columns, image.astype(np.float64)), 0, 255)
    return np.clip(np.einsum("yj,jxc->yxc", rows, narrowed), 0, 255)
