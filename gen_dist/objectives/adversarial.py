"""What the two players of a GAN minimise, for each image, given the discriminator's logit.

Shapes: N images.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from gen_dist.config.objective import GANObjectiveSettings

LEAST_LOGIT = -40.0

OfLogits = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class AdversarialLoss:
    """All functions take logits_N and return float32 (N,).

    Attributes:
        real: the discriminator's loss for a real image.
        fake: its loss for a generated image.
        generator: the generator's loss for it.
        score: what is recorded, larger for images that look real: D's probability where it has one, or the logit.
        ratio: the slope of `generator` divided by that of `fake`; None where that one's may be 0.
    """

    real: OfLogits
    fake: OfLogits
    generator: OfLogits
    score: OfLogits
    ratio: OfLogits | None = None


def as_it_is(logits_N: Tensor) -> Tensor:
    return logits_N


def adversarial_loss(settings: GANObjectiveSettings) -> AdversarialLoss:
    if settings.loss == "bce":
        return cross_entropy(settings.real_label)
    if settings.loss == "least_squares":
        return least_squares(settings.real_label)
    return hinge() if settings.loss == "hinge" else wasserstein()


def cross_entropy(real_label: float) -> AdversarialLoss:
    """The non-saturating game (Goodfellow et al. 2014); `real_label`: D's target for real images (Salimans et al.
    2016: one-sided label smoothing)."""

    def real(logits_N: Tensor) -> Tensor:
        target_N = torch.full_like(logits_N, real_label)
        return F.binary_cross_entropy_with_logits(logits_N, target_N, reduction="none")

    def ratio(logits_N: Tensor) -> Tensor:
        # -sigmoid(-l) / sigmoid(l). It outgrows float32 at -88; from LEAST_LOGIT on it stays what it is. There D's
        # slope is 4e-18, which leaves 20 orders of magnitude for what backward multiplies it by, and D has long won.
        return -torch.exp(-logits_N.clamp(min=LEAST_LOGIT))

    return AdversarialLoss(real, F.softplus, lambda logits_N: F.softplus(-logits_N), torch.sigmoid, ratio)


def hinge() -> AdversarialLoss:
    """Lim and Ye 2017 (Geometric GAN): D wants margins of 1, G a large logit."""
    return AdversarialLoss(
        real=lambda logits_N: F.relu(1 - logits_N),
        fake=lambda logits_N: F.relu(1 + logits_N),
        generator=torch.neg,
        score=as_it_is,
    )


def least_squares(real_label: float) -> AdversarialLoss:
    """Mao et al. 2017 with labels 0 and `real_label`; G's target is 1, as in `cross_entropy`."""
    return AdversarialLoss(
        real=lambda logits_N: 0.5 * (logits_N - real_label) ** 2,
        fake=lambda logits_N: 0.5 * logits_N**2,
        generator=lambda logits_N: 0.5 * (logits_N - 1) ** 2,
        score=as_it_is,
    )


def wasserstein() -> AdversarialLoss:
    """Arjovsky et al. 2017, for a critic that something else keeps 1-Lipschitz (Gulrajani et al. 2017: a penalty)."""
    return AdversarialLoss(
        real=torch.neg,
        fake=as_it_is,
        generator=torch.neg,
        score=as_it_is,
        ratio=lambda logits_N: -torch.ones_like(logits_N),
    )
