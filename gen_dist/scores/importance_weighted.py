"""The importance-weighted bound of the likelihood of held-out images (Burda, Grosse, Salakhutdinov 2016).

Shapes: N images of C x H x W, Z latent.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gen_dist.draws import Draws
from gen_dist.scores.pixel_likelihoods import NegativeLogLikelihood
from gen_dist.scores.posterior import Decoder, Encoder, check, evaluating, per_image, posteriors


@dataclass(frozen=True)
class Bound:
    """The importance-weighted bound: a mean over the images, in nats an image; `spread`: their standard deviation."""

    negative: float
    spread: float
    images: int
    samples: int

    @property
    def standard_error(self) -> float:
        """Of `negative`, for the choice of images."""
        return self.spread / math.sqrt(self.images)


def importance_weighted_bound(
    encoder: Encoder,
    decoder: Decoder,
    negative_log_likelihood: NegativeLogLikelihood,
    x_NCHW: Tensor,
    draws: Draws,
    *,
    samples: int = 64,
    batch_size: int = 128,
    device: str | torch.device = "cpu",
) -> Bound:
    """log of the mean of p(x|z) p(z) / q(z|x) over `samples` z (Burda, Grosse, Salakhutdinov 2016), negative.

    With one sample it is the ELBO's estimate from that sample; with more it falls, in expectation, towards the negative
    log likelihood. Arguments and errors as of `held_out_elbo`, whose z are the first ones here.
    """
    nats_N = bound_of_each(
        encoder, decoder, negative_log_likelihood, x_NCHW, draws, samples=samples, batch_size=batch_size, device=device
    )
    return Bound(float(nats_N.mean()), float(nats_N.std(correction=0)), len(x_NCHW), samples)


def bound_of_each(
    encoder: Encoder,
    decoder: Decoder,
    negative_log_likelihood: NegativeLogLikelihood,
    x_NCHW: Tensor,
    draws: Draws,
    *,
    samples: int = 64,
    first: int = 0,
    batch_size: int = 128,
    device: str | torch.device = "cpu",
) -> Tensor:
    """The negative bound of each image, in nats: float64 (N,), on the CPU.

    Arguments and errors as of `importance_weighted_bound`; `first`: the index of the first image, where it is one of
    more.
    """
    check(x_NCHW, samples, batch_size)
    nats_N = torch.empty(len(x_NCHW), dtype=torch.float64)
    with torch.no_grad(), evaluating(encoder, decoder):
        for block, x, posterior in posteriors(encoder, x_NCHW, draws, batch_size, device, first):
            total_N = torch.full((len(x),), -math.inf, dtype=torch.float64, device=x.device)
            for sample in range(samples):
                epsilon_NZ, z_NZ = posterior.draw(sample)
                # log p(z) - log q(z|x), without what the two have in common
                prior_N = 0.5 * (epsilon_NZ**2 + posterior.log_variance_NZ - z_NZ**2).double().sum(dim=1)
                nll_N = per_image(negative_log_likelihood(decoder(z_NZ).float(), x), len(x))
                total_N = torch.logaddexp(total_N, prior_N - nll_N)
            nats_N[block] = (math.log(samples) - total_N).cpu()
    if not torch.isfinite(nats_N).all():
        bad = int((~torch.isfinite(nats_N)).sum())
        raise ValueError(f"bound of {bad} of {len(x_NCHW)} images is not finite; the model has diverged")
    return nats_N
