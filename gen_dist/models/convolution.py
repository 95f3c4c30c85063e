"""Convolutions, and transposed ones; in bfloat16 on CPUs as products of matrices where oneDNN's own are slower.

Theirs fill vector registers with a row of pixels, of which the deep layers of these networks have few, and their weight
gradients are slower than anything else in a step: of 256 channels to 512 at 4 x 4 pixels, half as fast as a product of
matrices. `python -m benchmarks.step.convolutions` shows where the limits below come from.

A convolution leads from the large side, L (N, C, H, W), to the small one, S (N, D, h, w), with the weight (D, C, k, k);
a transposed one leads back with the same weight. A row of `columns(L)` is what one pixel of S sees of L:
S = columns(L) weight', and the weight's gradient is S' columns(L), for both.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional as F

from gen_dist.models.casting import CastingLayer, autocast_type

# Up to which h = w products of matrices are as fast or faster in nearly all layers, on one thread.
FORWARD_SIDE, GRADIENT_SIDE = 4, 8


class Geometry(NamedTuple):
    kernel: int
    stride: int
    padding: int

    def down(self, side: int) -> int:
        return (side + 2 * self.padding - self.kernel) // self.stride + 1

    def up(self, side: int) -> int:
        """The least side from which `down` leads to this one."""
        return (side - 1) * self.stride - 2 * self.padding + self.kernel


class Conv2d(CastingLayer, nn.Conv2d):
    """Square kernel, one stride and padding for both directions."""

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return convolve(x_NCHW, self.cast_weight(), self.bias, self.stride[0], int(self.padding[0]))


class ConvTranspose2d(CastingLayer, nn.ConvTranspose2d):
    """Square kernel, one stride and padding for both directions."""

    def forward(self, x_NCHW: Tensor) -> Tensor:  # type: ignore[override]
        stride, padding, more = self.stride[0], int(self.padding[0]), self.output_padding[0]
        return convolve_back(x_NCHW, self.cast_weight(), self.bias, stride, padding, more)


def convolve(x_NCHW: Tensor, weight: Tensor, bias: Tensor | None, stride: int = 1, padding: int = 0) -> Tensor:
    """As torch's `conv2d`, under autocast too."""
    if not makes_products(x_NCHW):
        return F.conv2d(x_NCHW, weight, bias, stride, padding)
    return _Convolution.apply(*cast(x_NCHW, weight, bias), Geometry(weight.shape[2], stride, padding))


def convolve_back(
    x_NCHW: Tensor, weight: Tensor, bias: Tensor | None, stride: int = 1, padding: int = 0, output_padding: int = 0
) -> Tensor:
    """As torch's `conv_transpose2d`, under autocast too."""
    if not makes_products(x_NCHW):
        return F.conv_transpose2d(x_NCHW, weight, bias, stride, padding, output_padding)
    side = (x_NCHW.shape[2] - 1) * stride - 2 * padding + weight.shape[2] + output_padding
    return _TransposedConvolution.apply(*cast(x_NCHW, weight, bias), Geometry(weight.shape[2], stride, padding), side)


def makes_products(x: Tensor) -> bool:
    square = x.shape[2] == x.shape[3]
    return square and x.device.type == "cpu" and autocast_type(x.device) == torch.bfloat16


def cast(*tensors: Tensor | None) -> tuple[Tensor | None, ...]:
    return tuple(None if tensor is None else tensor.bfloat16() for tensor in tensors)


class _Convolution(Function):
    @staticmethod
    def forward(ctx: Any, large: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry) -> Tensor:
        ctx.save_for_backward(large, weight)
        ctx.geometry = geometry
        return down(large, weight, bias, geometry)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        large, weight = ctx.saved_tensors
        wanted, weight_wanted, bias_wanted, _ = ctx.needs_input_grad
        return (
            up(gradient, weight, None, ctx.geometry, large.shape[2]) if wanted else None,
            weight_gradient(gradient, large, weight, ctx.geometry) if weight_wanted else None,
            bias_gradient(gradient) if bias_wanted else None,
            None,
        )


class _TransposedConvolution(Function):
    @staticmethod
    def forward(ctx: Any, small: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry, side: int) -> Tensor:
        ctx.save_for_backward(small, weight)
        ctx.geometry = geometry
        return up(small, weight, bias, geometry, side)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        small, weight = ctx.saved_tensors
        wanted, weight_wanted, bias_wanted, _, _ = ctx.needs_input_grad
        return (
            down(gradient, weight, None, ctx.geometry) if wanted else None,
            weight_gradient(small, gradient, weight, ctx.geometry) if weight_wanted else None,
            bias_gradient(gradient) if bias_wanted else None,
            None,
            None,
        )


def down(large: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry) -> Tensor:
    """The convolution."""
    side = geometry.down(large.shape[2])
    if side > FORWARD_SIDE:
        return F.conv2d(large, weight, bias, geometry.stride, geometry.padding)
    seen, matrix = columns(large, geometry, side), rows(weight).reshape(len(weight), -1)
    product = seen @ matrix.T if bias is None else torch.addmm(bias, seen, matrix.T)
    return product.view(len(large), side, side, len(weight)).permute(0, 3, 1, 2)


def up(small: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry, side: int) -> Tensor:
    """The transposed convolution to H = W = `side`."""
    nothing_overlaps = small.shape[2] == 1 and side == geometry.kernel and not geometry.padding
    if bias is None and nothing_overlaps and FORWARD_SIDE:
        product = rows(small) @ rows(weight).reshape(len(weight), -1)
        return product.view(len(small), side, side, weight.shape[1]).permute(0, 3, 1, 2)
    more = side - geometry.up(small.shape[2])
    return F.conv_transpose2d(small, weight, bias, geometry.stride, geometry.padding, more)


def weight_gradient(small: Tensor, large: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    kernel, stride, padding = geometry
    side = small.shape[2]
    if side > GRADIENT_SIDE:
        pair = [stride, stride], [padding, padding], [1, 1]
        only_weight = [False, True, False]
        return torch.ops.aten.convolution_backward(small, large, weight, None, *pair, False, [0, 0], 1, only_weight)[1]
    product = rows(small).T @ columns(large, geometry, side)
    return product.view(len(weight), kernel, kernel, weight.shape[1]).permute(0, 3, 1, 2)


def bias_gradient(gradient: Tensor) -> Tensor:
    return rows(gradient).sum(0)


def rows(x_NCHW: Tensor) -> Tensor:
    """(N * H * W, C), without a copy where memory is channels_last."""
    return x_NCHW.permute(0, 2, 3, 1).reshape(-1, x_NCHW.shape[1])


def columns(large: Tensor, geometry: Geometry, side: int) -> Tensor:
    """What each pixel of the small side, h = w = `side`, sees of the large one: (N * h * w, k * k * C)."""
    kernel, stride, padding = geometry
    x_NHWC = F.pad(large.permute(0, 2, 3, 1), (0, 0, padding, padding, padding, padding))
    n, row, column, channel = x_NHWC.stride()
    shape = (len(large), side, side, kernel, kernel, large.shape[1])
    seen = x_NHWC.as_strided(shape, (n, stride * row, stride * column, row, column, channel))
    return seen.reshape(len(large) * side**2, -1)
