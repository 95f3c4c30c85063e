"""The few blocks that networks are built of, and a chain of them that knows the shape it has arrived at.

Sides are those of TensorFlow's padding "same": a stride leaves side / stride, rounded up, and a transposed convolution
leads back to any such side. The padding is TensorFlow's too, but where stride and side leave an odd number of pixels to
pad: there the larger half comes first and not last, which torch's convolutions do by themselves, without a copy.
"""

from typing import Literal

from torch import Tensor, nn

from gen_dist.models.base import Activation
from gen_dist.models.casting import Linear
from gen_dist.models.convolution import Conv2d, ConvTranspose2d
from gen_dist.models.layers import GhostBatchNorm, Reshape
from gen_dist.models.resampling import enlarge
from gen_dist.models.spectral import SpectralConv2d, SpectralLinear

SLOPE = 0.2  # of LeakyReLU (Radford et al. 2015)

# Of logits after spectral layers. Each activation takes part of the signal and no weight gives it back, so that D would
# hardly tell images apart (Lin, Sekar, Fanti 2021, who scale each layer). Found by trial; 30 does as well as 8, 1 not.
SPECTRAL_GAIN = 8.0


def padding(side: int, kernel: int, stride: int) -> int:
    """Pixels that a convolution from `side` to side / stride, rounded up, needs beside the image, in all."""
    return max(0, (-(-side // stride) - 1) * stride + kernel - side)


def convolution(
    before: int, after: int, kernel: int, side: int, stride: int = 1, bias: bool = True, spectral: bool = False
) -> list[nn.Module]:
    """A convolution from H = W = side to side / stride, rounded up."""
    kind = SpectralConv2d if spectral else Conv2d
    total = padding(side, kernel, stride)
    if stride > 1 or total % 2 == 0:
        return [kind(before, after, kernel, stride, -(-total // 2), bias=bias)]
    first, last = total // 2, total - total // 2
    return [nn.ZeroPad2d((first, last, first, last)), kind(before, after, kernel, bias=bias)]


def mirrored_convolution(
    before: int, after: int, kernel: int, side: int, stride: int = 1, bias: bool = True
) -> list[nn.Module]:
    """The transposed convolution to H = W = side from side / stride, rounded up; at stride 1 it is a convolution."""
    if stride == 1:
        return convolution(before, after, kernel, side, bias=bias)
    half = -(-padding(side, kernel, stride) // 2)
    reached = (-(-side // stride) - 1) * stride + kernel - 2 * half
    return [ConvTranspose2d(before, after, kernel, stride, half, side - reached, bias=bias)]


class Enlarge(nn.Module):
    """To H = W = side, which is twice as large or one less: nearest neighbour."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return enlarge(x_NCHW, self.side)


class Gain(nn.Module):
    """Times a constant."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


def activation(name: Activation) -> nn.Module:
    if name == "relu":
        return nn.ReLU()
    return nn.LeakyReLU(SLOPE) if name == "leaky_relu" else nn.Tanh()


class Chain:
    """Layers in the making, one after the other.

    Attributes:
        layers: what there is so far.
        channels, side: the shape of its output, (N, channels, side, side); with side None, (N, channels).
    """

    def __init__(self, channels: int, side: int | None = None, spectral: bool = False) -> None:
        self.layers: list[nn.Module] = []
        self.channels, self.side, self.spectral = channels, side, spectral

    @property
    def features(self) -> int:
        """Numbers per image."""
        return self.channels * (self.side or 1) ** 2

    def add(self, *layers: nn.Module) -> None:
        """Layers that keep the shape."""
        self.layers += layers

    def reshape(self, layer: nn.Module, channels: int, side: int | None) -> None:
        """A layer that makes another shape."""
        self.add(layer)
        self.channels, self.side = channels, side

    def convolve(self, channels: int, kernel: int, stride: int = 1, bias: bool = True) -> None:
        side = self.image_side
        self.add(*convolution(self.channels, channels, kernel, side, stride, bias, self.spectral))
        self.channels, self.side = channels, -(-side // stride)

    def convolve_inside(self, channels: int, kernel: int, stride: int = 1, bias: bool = True) -> None:
        """A convolution without padding."""
        kind = SpectralConv2d if self.spectral else Conv2d
        self.add(kind(self.channels, channels, kernel, stride, bias=bias))
        self.channels, self.side = channels, (self.image_side - kernel) // stride + 1

    def convolve_back(self, channels: int, kernel: int, stride: int, side: int, bias: bool = True) -> None:
        """The mirror image of a convolution that came from `side`."""
        self.add(*mirrored_convolution(self.channels, channels, kernel, side, stride, bias))
        self.channels, self.side = channels, side

    def spread(self, channels: int, side: int) -> None:
        """From a vector to an image: a transposed convolution of one pixel with a kernel of `side`, without bias."""
        self.add(Reshape(self.channels, 1, 1), ConvTranspose2d(self.channels, channels, side, bias=False))
        self.channels, self.side = channels, side

    def enlarge(self, side: int) -> None:
        self.add(Enlarge(side))
        self.side = side

    def pool(self, kind: Literal["max", "avg"]) -> None:
        """2 x 2 pixels to one; the last row and column of an odd side are left out."""
        self.add(nn.MaxPool2d(2) if kind == "max" else nn.AvgPool2d(2))
        self.side = self.image_side // 2

    def flatten(self) -> None:
        if self.side is not None:
            self.add(Reshape(self.features))
            self.channels, self.side = self.features, None

    def linear(self, features: int, bias: bool = True) -> None:
        self.flatten()
        self.add((SpectralLinear if self.spectral else Linear)(self.channels, features, bias=bias))
        self.channels = features

    def to_logits(self) -> None:
        """(N, 1) or (N, 1, 1, 1) to (N,)."""
        if self.spectral:
            self.add(Gain(SPECTRAL_GAIN))
        self.add(Reshape())

    def unflatten(self, channels: int, side: int) -> None:
        self.add(Reshape(channels, side, side))
        self.channels, self.side = channels, side

    def normalise(self) -> None:
        self.add(GhostBatchNorm(self.channels))

    def activate(self, name: Activation) -> None:
        self.add(activation(name))

    @property
    def image_side(self) -> int:
        assert self.side is not None, "a convolution after flattening"
        return self.side
