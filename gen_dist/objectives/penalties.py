"""Penalties on the discriminator's gradient with respect to images, summed over samples.

Computed in float32, whatever the autocast; they can be differentiated with respect to the discriminator's weights.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def r1_penalty(logits_N: Tensor, x_NCHW: Tensor) -> Tensor:
    """R1 (Mescheder, Geiger, Nowozin 2018), without its weight: the sum over samples of ||grad_x logit||^2.

    Args:
        logits_N: made from `x_NCHW`, each from its own image only: no batch norm.
        x_NCHW: real images that require a gradient.

    Returns:
        a scalar.
    """
    return _gradient(logits_N, x_NCHW).square().sum()


def gradient_penalty(discriminate: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, u_N: Tensor) -> Tensor:
    """WGAN-GP (Gulrajani et al. 2017), without its weight: the sum over samples of (||grad_x logit|| - 1)^2.

    Args:
        discriminate: images to logits (N), each from its own image only: no batch norm.
        real, fake: N x C x H x W; the penalty has no gradient with respect to them.
        u_N: uniform numbers in [0, 1); the gradient is taken at u * real + (1 - u) * fake.

    Returns:
        a scalar.
    """
    u = u_N.view(-1, *[1] * (real.dim() - 1))
    x = (u * real.detach() + (1 - u) * fake.detach()).requires_grad_()
    gradient = _gradient(discriminate(x), x)
    # At 0, where the norm has a kink, its gradient is taken to be 0.
    norm_N = torch.linalg.vector_norm(gradient, dim=tuple(range(1, x.dim())))
    return (norm_N - 1).square().sum()


def _gradient(logits_N: Tensor, x: Tensor) -> Tensor:
    """Of each logit with respect to its own sample; float32, or float64 as `x`."""
    (gradient,) = torch.autograd.grad(logits_N.sum(), x, create_graph=True)
    return gradient.to(torch.promote_types(gradient.dtype, torch.float32))
