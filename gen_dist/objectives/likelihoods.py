"""How probable pixels are, given a decoder's logits: negative log likelihoods in nats, of each image.

Shapes: N images, C channels, H rows, W columns. Pixels are in [0, 1], and sigmoid(logit) is the decoder's image.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from gen_dist.config.objective import GAUSSIAN_SIGMA, VAEObjectiveSettings

LEAST_LOG_SIGMA = -6.0  # as in the paper's code: keeps the density bounded when a microbatch is fitted exactly
LEAST_VARIANCE = 1e-12  # far below the above; the logarithm of an exact 0 has no gradient

Likelihood = Callable[[Tensor, Tensor], Tensor]


def likelihood(settings: VAEObjectiveSettings) -> Likelihood:
    """(logits_NCHW, x_NCHW) to negative log likelihoods in nats, float32 (N,)."""
    if settings.likelihood == "gaussian":
        return partial(gaussian_nll, sigma=GAUSSIAN_SIGMA if settings.sigma is None else settings.sigma)
    return {"sigma": sigma_nll, "bernoulli": bernoulli_nll}[settings.likelihood]


def sigma_nll(logits_NCHW: Tensor, x_NCHW: Tensor) -> Tensor:
    """Gaussian with the best variance for the microbatch, its mean squared error (Rybkin, Daniilidis, Levine 2021)."""
    squared_error = (torch.sigmoid(logits_NCHW) - x_NCHW) ** 2
    variance = squared_error.mean().clamp(min=LEAST_VARIANCE)
    log_sigma = LEAST_LOG_SIGMA + F.softplus(0.5 * variance.log() - LEAST_LOG_SIGMA)
    return sum_pixels(0.5 * squared_error * torch.exp(-2 * log_sigma) + log_sigma + 0.5 * math.log(2 * math.pi))


def gaussian_nll(logits_NCHW: Tensor, x_NCHW: Tensor, sigma: float) -> Tensor:
    """Gaussian of one standard deviation; with sqrt(1/2) it is the squared error, and a constant."""
    squared_error = (torch.sigmoid(logits_NCHW) - x_NCHW) ** 2
    return sum_pixels(0.5 / sigma**2 * squared_error + (math.log(sigma) + 0.5 * math.log(2 * math.pi)))


def bernoulli_nll(logits_NCHW: Tensor, x_NCHW: Tensor) -> Tensor:
    """Cross entropy: a likelihood where pixels are 0 or 1, and a common loss where they are not."""
    return sum_pixels(F.binary_cross_entropy_with_logits(logits_NCHW, x_NCHW, reduction="none"))


def sum_pixels(values_NCHW: Tensor) -> Tensor:
    return values_NCHW.sum(dim=(1, 2, 3))
