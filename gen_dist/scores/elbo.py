"""The ELBO of held-out images under a VAE, split in two (Kingma and Welling 2013), for anybody's VAE.

Figures compare at equal images, equal binarisation and equal likelihood only. A Gaussian is a density, whose logarithm
depends on the unit of the pixels: here they are in [0, 1]. Models trained under different sigmas, or with Bernoulli,
can all be scored under the Gaussian with the sigma that is best for each.

Shapes: N images of C x H x W, Z latent.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gen_dist.draws import Draws
from gen_dist.scores.pixel_likelihoods import NegativeLogLikelihood, squared_error
from gen_dist.scores.posterior import Decoder, Encoder, check, evaluating, per_image, posteriors

LEAST_SIGMA = 1e-3  # of pixels in [0, 1]: far below the step of 8 bits, so no model gains by going there


@dataclass(frozen=True)
class Elbo:
    """Means over the images, in nats an image; `spread` is the standard deviation of the images' negative ELBO."""

    reconstruction: float
    kl: float
    spread: float
    images: int
    samples: int
    dimensions: int  # C H W

    @property
    def negative(self) -> float:
        """The negative ELBO: an upper bound of the negative log likelihood; lower is better."""
        return self.reconstruction + self.kl

    @property
    def standard_error(self) -> float:
        """Of `negative`, for the choice of images."""
        return self.spread / math.sqrt(self.images)


def held_out_elbo(
    encoder: Encoder,
    decoder: Decoder,
    negative_log_likelihood: NegativeLogLikelihood,
    x_NCHW: Tensor,
    draws: Draws,
    *,
    samples: int = 8,
    batch_size: int = 128,
    device: str | torch.device = "cpu",
) -> Elbo:
    """The ELBO with q(z|x) = N(mean, variance) and the prior N(0, 1); the KL is exact, the reconstruction sampled.

    The z of an image depend on its index and the seed of `draws` only, so `batch_size` changes nothing but rounding.
    Modules are in eval mode meanwhile and come back as they were; callables that hide a module see to that themselves.

    Args:
        encoder: gets draws for its images, though in eval mode ours use none.
        decoder: returns logits. For one that returns pixels p in [0, 1], wrap it in `torch.logit(p, eps=1e-6)`.
        negative_log_likelihood: `bernoulli_nll`, `gaussian_nll(sigma)`, or another.
        x_NCHW: float32 in [0, 1], on the CPU; see `unit_images` and `binarised`.
        samples: z an image, each from the same posterior.
        device: where encoder and decoder are.

    Raises ValueError for other images, none of them, fewer than 1 sample or image a batch, and what is not finite.
    """
    nats_N2 = elbo_of_each(
        encoder, decoder, negative_log_likelihood, x_NCHW, draws, samples=samples, batch_size=batch_size, device=device
    )
    reconstruction, kl = nats_N2.mean(dim=0).tolist()
    spread = float(nats_N2.sum(dim=1).std(correction=0))
    return Elbo(reconstruction, kl, spread, len(x_NCHW), samples, x_NCHW[0].numel())


def elbo_of_each(
    encoder: Encoder,
    decoder: Decoder,
    negative_log_likelihood: NegativeLogLikelihood,
    x_NCHW: Tensor,
    draws: Draws,
    *,
    samples: int = 8,
    first: int = 0,
    batch_size: int = 128,
    device: str | torch.device = "cpu",
) -> Tensor:
    """Reconstruction term and KL of each image, in nats: float64 (N, 2), on the CPU.

    Arguments and errors as of `held_out_elbo`; `first`: the index of the first image, where it is one of more.
    """
    check(x_NCHW, samples, batch_size)
    nats_N2 = torch.empty(len(x_NCHW), 2, dtype=torch.float64)
    with torch.no_grad(), evaluating(encoder, decoder):
        for block, x, posterior in posteriors(encoder, x_NCHW, draws, batch_size, device, first):
            mean_NZ, log_variance_NZ = posterior.mean_NZ, posterior.log_variance_NZ
            kl_N = 0.5 * (mean_NZ**2 + log_variance_NZ.exp() - log_variance_NZ - 1).double().sum(dim=1)
            total_N = torch.zeros_like(kl_N)
            for sample in range(samples):
                _, z_NZ = posterior.draw(sample)
                logits_NCHW = decoder(z_NZ)
                total_N += per_image(negative_log_likelihood(logits_NCHW.float(), x), len(x))
            nats_N2[block] = torch.stack((total_N / samples, kl_N), dim=1).cpu()
    if not torch.isfinite(nats_N2).all():
        bad = int((~torch.isfinite(nats_N2)).any(dim=1).sum())
        raise ValueError(
            f"ELBO of {bad} of {len(x_NCHW)} images is not finite; the model has diverged, or gave no logits"
        )
    return nats_N2


def best_sigma(
    encoder: Encoder,
    decoder: Decoder,
    x_NCHW: Tensor,
    draws: Draws,
    *,
    samples: int = 8,
    batch_size: int = 128,
    device: str | torch.device = "cpu",
) -> float:
    """The one sigma under which the images' reconstructions are likeliest: the root of their mean squared error.

    Arguments and errors as of `held_out_elbo`. With the same images, draws and samples, `gaussian_nll` of it gives the
    smallest reconstruction term that any sigma gives. That of the training images has seen nothing held out.
    """
    how = {"samples": samples, "batch_size": batch_size}
    elbo = held_out_elbo(encoder, decoder, squared_error, x_NCHW, draws, device=device, **how)
    return max(LEAST_SIGMA, math.sqrt(elbo.reconstruction / elbo.dimensions))
