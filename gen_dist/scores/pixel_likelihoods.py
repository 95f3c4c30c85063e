"""How probable pixels are under a decoder's logits, for scores: in float64, of images whose pixels are in [0, 1].

Shapes: N images of C x H x W.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gen_dist.draws import Draws
from gen_dist.scores.inputs import check_images

NegativeLogLikelihood = Callable[[Tensor, Tensor], Tensor]  # logits_NCHW, x_NCHW to nats an image, (N,)


def bernoulli_nll(logits_NCHW: Tensor, x_NCHW: Tensor) -> Tensor:
    """Nats an image, (N,). Of pixels that are neither 0 nor 1 it is the cross-entropy, which no density is behind."""
    return F.binary_cross_entropy_with_logits(logits_NCHW, x_NCHW, reduction="none").double().sum(dim=(1, 2, 3))


def gaussian_nll(sigma: float) -> NegativeLogLikelihood:
    """Nats an image, (N,), of N(sigmoid(logits), sigma^2) at pixels in [0, 1]. Raises ValueError for a sigma <= 0."""
    if not (sigma > 0 and math.isfinite(sigma)):
        raise ValueError(f"sigma {sigma}: must be positive; best_sigma finds one")

    def nll(logits_NCHW: Tensor, x_NCHW: Tensor) -> Tensor:
        constant = x_NCHW[0].numel() * (math.log(sigma) + 0.5 * math.log(2 * math.pi))
        return squared_error(logits_NCHW, x_NCHW) / (2 * sigma**2) + constant

    return nll


def squared_error(logits_NCHW: Tensor, x_NCHW: Tensor) -> Tensor:
    """Summed over an image, (N,)."""
    return ((torch.sigmoid(logits_NCHW) - x_NCHW) ** 2).double().sum(dim=(1, 2, 3))


def bits_per_dimension(nats: float, dimensions: int, grey_levels: int = 1) -> float:
    """Nats an image as bits a pixel and channel.

    `grey_levels`: 1 for a Bernoulli; 256 for a density over [0, 1] of pixels of 8 bits, of which each has 1 / 256. That
    bounds the bits of a model of the 8 bits only for dequantised pixels (Theis, van den Oord, Bethge 2016).

    Raises ValueError for numbers below 1.
    """
    if dimensions < 1 or grey_levels < 1:
        raise ValueError(f"dimensions {dimensions}, grey_levels {grey_levels}: must be at least 1")
    return nats / (dimensions * math.log(2)) + math.log2(grey_levels)


def unit_images(images: np.ndarray) -> Tensor:
    """uint8 (n, H, W, C) as float32 (n, C, H, W) in [0, 1], channels_last. Raises ValueError for other images."""
    check_images("images", images)
    return torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2) / 255


def binarised(x_NCHW: Tensor, draws: Draws | None = None) -> Tensor:
    """Pixels that are 0 or 1: 1 from 0.5 on, or with `draws` with the pixel as probability, by image index and seed."""
    if draws is None:
        return (x_NCHW >= 0.5).float()
    numbers = draws.at(0, 0, np.arange(len(x_NCHW))).uniform("scores/binarised", *x_NCHW.shape[1:])
    return (numbers < x_NCHW).float()
