"""Laplacian pyramids (Burt and Adelson 1983): an image as bands of detail, each half the size of the one before.

Smoothing is by the binomial taps (1, 4, 6, 4, 1) / 16 in each direction, mirrored at the border pixel. The taps are
dyadic, so float32 sums over a flat uint8 image are exact: it has no detail at any level, not even rounding errors that
a normalisation could blow up.

Shapes: N images, C channels, H x W pixels.
"""

import numpy as np
import torch
from torch import Tensor

SMALLEST = 16  # pixels: where the paper's pyramids end

_TAPS = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


def pyramid_sizes(height: int, width: int, smallest: int = SMALLEST) -> list[tuple[int, int]]:
    """(height, width) of each level: the full size, then halves while both sides keep `smallest` pixels."""
    sizes = [(height, width)]
    while min(half := ((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2)) >= smallest:
        sizes.append(half)
    return sizes


def pyramid_level(x_NCHW: Tensor, level: int, last: bool) -> Tensor:
    """One level of the images' pyramids, float32 (N, C, h, w); `x_NCHW` is float32, at least 3 pixels a side.

    Level 0 is the finest. A level is what smoothing takes away; the `last` one is what remains.
    """
    for _ in range(level):
        x_NCHW = _halve(x_NCHW)
    return x_NCHW if last else x_NCHW - _double(_halve(x_NCHW), *x_NCHW.shape[2:])


def _halve(x_NCHW: Tensor) -> Tensor:
    height, width = x_NCHW.shape[2:]
    return _halving(height) @ (x_NCHW @ _halving(width).T)


def _double(x_NCHW: Tensor, height: int, width: int) -> Tensor:
    return _doubling(height) @ (x_NCHW @ _doubling(width).T)


def _halving(size: int) -> Tensor:
    """(size / 2, size): smooths and keeps every second pixel, the first among them."""
    return _smoothing(size)[::2]


def _doubling(size: int) -> Tensor:
    """(size, size / 2): puts zeros between the pixels and smooths; doubled, since half of the pixels are zeros."""
    return 2 * _smoothing(size)[:, ::2]


def _smoothing(size: int) -> Tensor:
    matrix = np.zeros((size, size), np.float32)
    pixels = np.arange(size)
    for offset, tap in enumerate(_TAPS, -2):
        sources = np.abs(pixels + offset)
        np.add.at(matrix, (pixels, np.minimum(sources, 2 * (size - 1) - sources)), tap)
    return torch.from_numpy(matrix)
