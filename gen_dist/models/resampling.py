"""Halving and doubling the sides of images and features, alone and together with a convolution.

A side n becomes ceil(n / 2), as in `sides.py`, and the way back. Pixel i of the larger image lies over pixel i // 2 of
the smaller one: the last row and column of an odd side have one to themselves.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gen_dist.models.spectral import SpectralConv2d, SpectralLayer


def enlarge(x_NCHW: Tensor, side: int) -> Tensor:
    """To `side`, which is 2 H or 2 H - 1: nearest neighbour."""
    return F.interpolate(x_NCHW, size=(side, side), mode="nearest")


def average(x_NCHW: Tensor) -> Tensor:
    """The means of 2 x 2 squares, and of what there is of them at the edge of an odd side."""
    return F.avg_pool2d(x_NCHW, 2, ceil_mode=True, count_include_pad=False)


class Enlarge(nn.Module):
    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return enlarge(x_NCHW, self.side)


class Average(nn.Module):
    def forward(self, x_NCHW: Tensor) -> Tensor:
        return average(x_NCHW)


class HalvingConv2d(nn.Conv2d):
    """4 x 4, stride 2, padding "same": one pixel at even sides, one more below and to the right at odd ones."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, 4, 2, 1)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return super().forward(to_even(x_NCHW))


class SpectralHalvingConv2d(SpectralConv2d):
    """The same with spectral norm."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, 4, 2, 1)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return super().forward(to_even(x_NCHW))


class DoublingConv2d(nn.ConvTranspose2d):
    """The transposed convolution of `HalvingConv2d`, to `side`."""

    def __init__(self, before: int, after: int, side: int, bias: bool = True) -> None:
        super().__init__(before, after, 4, 2, 1, bias=bias)
        self.side = side

    def forward(self, x_NCHW: Tensor) -> Tensor:  # type: ignore[override]
        return crop(super().forward(x_NCHW), self.side)


class EnlargingConv2d(nn.ConvTranspose2d):
    """`enlarge`, then a 3 x 3 convolution, computed as one transposed convolution: see `blur`.

    At an odd side as if the enlarged image went on for one pixel. The weight is (in, out, 3, 3).
    """

    def __init__(self, before: int, after: int, side: int, bias: bool = True) -> None:
        super().__init__(before, after, 3, bias=bias)
        self.side = side

    def forward(self, x_NCHW: Tensor) -> Tensor:  # type: ignore[override]
        return crop(F.conv_transpose2d(x_NCHW, blur(self.weight, 1), self.bias, stride=2, padding=1), self.side)


class AveragingConv2d(nn.Conv2d):
    """A 3 x 3 convolution, then `average`, computed as one convolution: see `blur`.

    At an odd side as if the image had one more row and column of zeros.
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, 3)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return F.conv2d(to_even(x_NCHW), blur(self.weight, 4), self.bias, stride=2, padding=1)


class SpectralAveragingConv2d(SpectralLayer, nn.Conv2d):
    """The same with spectral norm, of the 3 x 3 kernel."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, 3)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return F.conv2d(to_even(x_NCHW), blur(self.normalised_weight(), 4), self.bias, stride=2, padding=1)


def blur(kernel: Tensor, area: int) -> Tensor:
    """(A, B, 3, 3) to (A, B, 4, 4): sums over 2 x 2 squares, also those that reach over the edge, divided by `area`.

    With stride 2 such a kernel does what the 3 x 3 kernel and nearest neighbour before it (transposed, area 1) or a mean
    after it (area 4) do, with 4 multiplications for each 9 (Karras et al. 2017, in their code).
    """
    return F.avg_pool2d(kernel, 2, stride=1, padding=1, divisor_override=area)


def to_even(x_NCHW: Tensor) -> Tensor:
    """With zeros below and to the right where a side is odd."""
    height, width = x_NCHW.shape[2:]
    return F.pad(x_NCHW, (0, width % 2, 0, height % 2)) if height % 2 or width % 2 else x_NCHW


def crop(x_NCHW: Tensor, side: int) -> Tensor:
    return x_NCHW if x_NCHW.shape[2] == side else x_NCHW[:, :, :side, :side]
