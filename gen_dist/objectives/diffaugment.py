"""DiffAugment (Zhao, Liu, Lin, Zhu, Han 2020: Differentiable Augmentation for Data-Efficient GAN Training).

Real and generated images are distorted alike before the discriminator sees them, differently for each image, and the
generator's gradient goes through the distortion.

Shapes: N images, C channels, H rows, W columns. All three augmentations are affine in the images, so each gradient is
written as the same kind of operation, which can be differentiated again (R1, WGAN-GP): nothing is scattered, hence
the same bits every time.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from gen_dist.draws import SampleDraws

SHIFT = 0.125  # the most that an image moves, as a share of its size
CUT = 0.5  # side of the square that is cut out, as a share of the image's


def diffaugment(x_NCHW: Tensor, policy: Sequence[str], draws: SampleDraws) -> Tensor:
    """The images distorted as `policy` says, each by its own random numbers.

    Args:
        x_NCHW: floating point, in [-1, 1]; C is 1 or 3. Not changed.
        policy: any of "color", "translation", "cutout"; always applied in this order, each once.
        draws: for these N images, on their device; asked for "diffaugment/color" and so on.

    Returns:
        The same shape and type, channels_last. Colours may leave [-1, 1], as in the paper's code; those of bfloat16
        images are computed in float32.

    Raises ValueError for an unknown name.
    """
    for name in policy:
        if name not in _AUGMENTATIONS:
            raise ValueError(f"DiffAugment '{name}': unknown; use any of {', '.join(_AUGMENTATIONS)}")
    x_NCHW = x_NCHW.contiguous(memory_format=torch.channels_last)
    for name, augment in _AUGMENTATIONS.items():
        if name in policy:
            x_NCHW = augment(x_NCHW, draws)
    return x_NCHW


def recolour(x_NCHW: Tensor, draws: SampleDraws) -> Tensor:
    """Brightness U(-0.5, 0.5) added, saturation times U(0, 2), contrast times U(0.5, 1.5), in this order."""
    brightness, saturation, contrast = draws.uniform("diffaugment/color", 3).view(-1, 3, 1, 1, 1).unbind(1)
    brightness, saturation, contrast = brightness - 0.5, 2 * saturation, contrast + 0.5
    if x_NCHW.shape[1] == 1:
        return _Mix.apply(x_NCHW, contrast, None, 1 - contrast, brightness)
    # Saturation leaves the image's mean alone, so that all three are one sum of pixel, grey and mean.
    return _Mix.apply(x_NCHW, contrast * saturation, contrast * (1 - saturation), 1 - contrast, brightness)


def translate(x_NCHW: Tensor, draws: SampleDraws) -> Tensor:
    """Moved by whole pixels, each distance up to an eighth of the size equally likely; what comes in is 0."""
    height, width = x_NCHW.shape[2:]
    most_down, most_right = _share(height, SHIFT), _share(width, SHIFT)
    u_N, v_N = draws.uniform("diffaugment/translation", 2).unbind(1)
    down_N = integers(u_N, 2 * most_down + 1) - most_down
    right_N = integers(v_N, 2 * most_right + 1) - most_right
    return _Translate.apply(x_NCHW, down_N, right_N, most_down, most_right)


def cut_out(x_NCHW: Tensor, draws: SampleDraws) -> Tensor:
    """A rectangle of half the height and width set to 0; its centre is anywhere, so that part of it may be outside."""
    channels, height, width = x_NCHW.shape[1:]
    rows, columns = _share(height, CUT), _share(width, CUT)
    places_down, places_right = height + 1 - rows % 2, width + 1 - columns % 2
    u_N, v_N = draws.uniform("diffaugment/cutout", 2).unbind(1)
    # Masks are windows of one picture that holds the rectangle; the first window shows it at the last of its places.
    picture = x_NCHW.new_ones(places_down - 1 + height, places_right - 1 + width, channels)
    top, left = places_down - 1 - rows // 2, places_right - 1 - columns // 2
    picture[top : top + rows, left : left + columns] = 0
    first_row_N = places_down - 1 - integers(u_N, places_down)
    first_column_N = places_right - 1 - integers(v_N, places_right)
    return x_NCHW * _windows(picture, first_row_N * picture.shape[1] + first_column_N, height, width)


_AUGMENTATIONS = {"color": recolour, "translation": translate, "cutout": cut_out}


class _Mix(Function):
    """own * pixel + grey * (its mean over channels) + mean * (the image's mean) + added; the factors are N x 1 x 1 x 1.

    Linear but for `added`, and symmetric: the gradient is the same mix of the gradient.
    """

    @staticmethod
    def forward(
        ctx: Any, x_NCHW: Tensor, own: Tensor, grey: Tensor | None, mean: Tensor, added: Tensor | None
    ) -> Tensor:
        ctx.save_for_backward(own, grey, mean)
        wide = x_NCHW.to(torch.promote_types(x_NCHW.dtype, torch.float32))
        # Channel by channel: three times as fast as a sum over, or a broadcast along, three neighbouring numbers.
        channels = wide.split(1, dim=1)
        total = channels[0]
        for channel in channels[1:]:
            total = total + channel
        shift = mean * (total.mean((1, 2, 3), keepdim=True) / len(channels))
        if added is not None:
            shift = shift + added
        if grey is not None:
            shift = shift + total * (grey / len(channels))
        y_NCHW = wide * own
        for channel in y_NCHW.split(1, dim=1):
            channel.add_(shift)
        return y_NCHW.to(x_NCHW.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        own, grey, mean = ctx.saved_tensors
        return _Mix.apply(gradient, own, grey, mean, None), None, None, None, None


class _Translate(Function):
    """Image n moved `down_N[n]` rows down and `right_N[n]` columns to the right; the gradient is moved back."""

    @staticmethod
    def forward(ctx: Any, x_NCHW: Tensor, down_N: Tensor, right_N: Tensor, most_down: int, most_right: int) -> Tensor:
        ctx.save_for_backward(down_N, right_N)
        ctx.most = most_down, most_right
        count, channels, height, width = x_NCHW.shape
        rows, columns = height + 2 * most_down, width + 2 * most_right
        canvas = x_NCHW.new_zeros(count, rows, columns, channels)
        canvas[:, most_down : most_down + height, most_right : most_right + width] = x_NCHW.permute(0, 2, 3, 1)
        first_row_N = torch.arange(count, device=x_NCHW.device) * rows + most_down - down_N
        return _windows(canvas, first_row_N * columns + most_right - right_N, height, width)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        down_N, right_N = ctx.saved_tensors
        return _Translate.apply(gradient, -down_N, -right_N, *ctx.most), None, None, None, None


def _windows(canvas: Tensor, first_N: Tensor, height: int, width: int) -> Tensor:
    """Windows of a contiguous canvas (..., columns, C), each from its first pixel on: N x C x H x W, channels_last.

    One view holds the windows at every pixel, so that a window is copied row by row, not pixel by pixel.
    """
    columns, channels = canvas.shape[-2:]
    pixels = canvas.numel() // channels - (height - 1) * columns - width + 1
    every = canvas.as_strided((pixels, height, width * channels), (channels, columns * channels, 1))
    windows = every.index_select(0, first_N)
    return windows.view(len(first_N), height, width, channels).permute(0, 3, 1, 2)


def _share(size: int, share: float) -> int:
    """Rounded half up."""
    return int(size * share + 0.5)


def integers(u_N: Tensor, count: int) -> Tensor:
    """Of uniform numbers in [0, 1) of 24 bits: one of `count` integers, which the rounded product never reaches."""
    return (u_N * count).long()
