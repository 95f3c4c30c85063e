"""Halving and doubling the sides of images and features, alone and together with a 3 x 3 convolution.

A side n becomes ceil(n / 2), as in `sides.py`, and the way back. Pixel i of the larger image lies over pixel i // 2 of
the smaller one: the last row and column of an odd side have one to themselves.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from gen_dist.models.convolution import convolve, convolve_back
from gen_dist.models.spectral import SpectralLayer

SQUARE = 4  # pixels of 2 x 2


def enlarge(x_NCHW: Tensor, side: int) -> Tensor:
    """To H = W = side, which is twice as much or one less: nearest neighbour."""
    return F.interpolate(x_NCHW, size=(side, side), mode="nearest")


def average(x_NCHW: Tensor) -> Tensor:
    """The means of 2 x 2 squares, and of what there is of them at the edge of an odd side."""
    return F.avg_pool2d(x_NCHW, 2, ceil_mode=True, count_include_pad=False)


class Average(nn.Module):
    def forward(self, x_NCHW: Tensor) -> Tensor:
        return average(x_NCHW)


class EnlargingConv2d(nn.ConvTranspose2d):
    """`enlarge`, then a 3 x 3 convolution, computed as one transposed convolution: see `blur`.

    At an odd side as if the enlarged image went on for one pixel. The weight is (in, out, 3, 3).
    """

    def __init__(self, before: int, after: int, side: int, bias: bool = True) -> None:
        super().__init__(before, after, 3, bias=bias)
        self.side = side

    def forward(self, x_NCHW: Tensor) -> Tensor:  # type: ignore[override]
        y_NCHW = convolve_back(x_NCHW, blur(self.weight, 1), self.bias, stride=2, padding=1)
        return y_NCHW if y_NCHW.shape[2] == self.side else y_NCHW[:, :, : self.side, : self.side]


class AveragingConv2d(nn.Conv2d):
    """A 3 x 3 convolution, then `average`, computed as one convolution: see `blur`.

    At an odd side as if the image had one more row and column of zeros.
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, 3)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return convolve_and_average(x_NCHW, self.weight, self.bias)


class SpectralAveragingConv2d(SpectralLayer, nn.Conv2d):
    """The same with spectral norm, of the 3 x 3 kernel."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, 3)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return convolve_and_average(x_NCHW, self.normalised_weight(), self.bias)


def convolve_and_average(x_NCHW: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    height, width = x_NCHW.shape[2:]
    if height % 2 or width % 2:
        x_NCHW = F.pad(x_NCHW, (0, width % 2, 0, height % 2))
    return convolve(x_NCHW, blur(weight, 4), bias, stride=2, padding=1)


def blur(kernel: Tensor, area: int) -> Tensor:
    """(A, B, 3, 3) to (A, B, 4, 4): sums over 2 x 2 squares, also those that reach over the edge, divided by `area`.

    With stride 2 such a kernel does what the 3 x 3 kernel and nearest neighbour before it (transposed, area 1) or means
    after it (area 4) do, with 4 multiplications for each 9 (Karras et al. 2017, in their code).
    """
    means = F.avg_pool2d(kernel, 2, stride=1, padding=1)
    return means if area == SQUARE else means * (SQUARE / area)  # ONNX knows no other divisor; powers of two are exact
