"""The ELBO of held-out images under a VAE, split in two (Kingma and Welling 2013), and a tighter bound (Burda et al.
2016), for anybody's VAE.

Figures compare at equal images, equal binarisation and equal likelihood only. A Gaussian is a density, whose logarithm
depends on the unit of the pixels: here they are in [0, 1]. Models trained under different sigmas, or with Bernoulli,
can all be scored under the Gaussian with the sigma that is best for each.

Shapes: N images of C x H x W, Z latent.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gen_dist.draws import Draws, SampleDraws
from gen_dist.scores.inputs import blocks, check_images

Encoder = Callable[[Tensor, SampleDraws], tuple[Tensor, Tensor]]  # x_NCHW to mean_NZ, log_variance_NZ
Decoder = Callable[[Tensor], Tensor]  # z_NZ to logits_NCHW
NegativeLogLikelihood = Callable[[Tensor, Tensor], Tensor]  # logits_NCHW, x_NCHW to nats an image, (N,)

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
    _check(x_NCHW, samples, batch_size)
    nats_N2 = torch.empty(len(x_NCHW), 2, dtype=torch.float64)
    with torch.no_grad(), _evaluating(encoder, decoder):
        for block, x, posterior in _posteriors(encoder, x_NCHW, draws, batch_size, device):
            mean_NZ, log_variance_NZ = posterior.mean_NZ, posterior.log_variance_NZ
            kl_N = 0.5 * (mean_NZ**2 + log_variance_NZ.exp() - log_variance_NZ - 1).double().sum(dim=1)
            total_N = torch.zeros_like(kl_N)
            for sample in range(samples):
                _, z_NZ = posterior.draw(sample)
                logits_NCHW = decoder(z_NZ)
                total_N += _per_image(negative_log_likelihood(logits_NCHW.float(), x), len(x))
            nats_N2[block] = torch.stack((total_N / samples, kl_N), dim=1).cpu()
    if not torch.isfinite(nats_N2).all():
        bad = int((~torch.isfinite(nats_N2)).any(dim=1).sum())
        raise ValueError(
            f"ELBO of {bad} of {len(x_NCHW)} images is not finite; the model has diverged, or gave no logits"
        )
    reconstruction, kl = nats_N2.mean(dim=0).tolist()
    spread = float(nats_N2.sum(dim=1).std(correction=0))
    return Elbo(reconstruction, kl, spread, len(x_NCHW), samples, x_NCHW[0].numel())


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
    _check(x_NCHW, samples, batch_size)
    nats_N = torch.empty(len(x_NCHW), dtype=torch.float64)
    with torch.no_grad(), _evaluating(encoder, decoder):
        for block, x, posterior in _posteriors(encoder, x_NCHW, draws, batch_size, device):
            total_N = torch.full((len(x),), -math.inf, dtype=torch.float64, device=x.device)
            for sample in range(samples):
                epsilon_NZ, z_NZ = posterior.draw(sample)
                # log p(z) - log q(z|x), without what the two have in common
                prior_N = 0.5 * (epsilon_NZ**2 + posterior.log_variance_NZ - z_NZ**2).double().sum(dim=1)
                nll_N = _per_image(negative_log_likelihood(decoder(z_NZ).float(), x), len(x))
                total_N = torch.logaddexp(total_N, prior_N - nll_N)
            nats_N[block] = (math.log(samples) - total_N).cpu()
    if not torch.isfinite(nats_N).all():
        bad = int((~torch.isfinite(nats_N)).sum())
        raise ValueError(f"bound of {bad} of {len(x_NCHW)} images is not finite; the model has diverged")
    return Bound(float(nats_N.mean()), float(nats_N.std(correction=0)), len(x_NCHW), samples)


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


def _check(x_NCHW: Tensor, samples: int, batch_size: int) -> None:
    if x_NCHW.dtype != torch.float32 or x_NCHW.ndim != 4 or x_NCHW.numel() == 0:
        raise ValueError(f"images: {x_NCHW.dtype} {tuple(x_NCHW.shape)}; give float32 (N, C, H, W), at least 1 image")
    if not 0 <= float(x_NCHW.min()) <= float(x_NCHW.max()) <= 1:
        raise ValueError(f"images in {float(x_NCHW.min()):g} … {float(x_NCHW.max()):g}: give pixels in 0 … 1")
    if samples < 1 or batch_size < 1:
        raise ValueError(f"samples {samples}, batch_size {batch_size}: must be at least 1")


@dataclass(frozen=True)
class _Posterior:
    """q(z|x) of the images at `positions`."""

    mean_NZ: Tensor
    log_variance_NZ: Tensor
    draws: Draws
    positions: np.ndarray

    def draw(self, sample: int) -> tuple[Tensor, Tensor]:
        """epsilon_NZ and the z_NZ made of it; the same for equal numbers."""
        draws = self.draws.at(sample, 0, self.positions, self.mean_NZ.device)
        epsilon_NZ = draws.normal("scores/epsilon", self.mean_NZ.shape[1])
        return epsilon_NZ, self.mean_NZ + torch.exp(0.5 * self.log_variance_NZ) * epsilon_NZ


def _posteriors(
    encoder: Encoder, x_NCHW: Tensor, draws: Draws, batch_size: int, device: str | torch.device
) -> Iterator[tuple[slice, Tensor, _Posterior]]:
    """Batch by batch: which images, they on the device, and what the encoder says of them."""
    for block in blocks(len(x_NCHW), batch_size):
        positions = np.arange(block.start, block.stop)
        x = x_NCHW[block].to(device)
        mean_NZ, log_variance_NZ = (part.float() for part in encoder(x, draws.at(0, 0, positions, device)))
        yield block, x, _Posterior(mean_NZ, log_variance_NZ, draws, positions)


def _per_image(nats_N: Tensor, images: int) -> Tensor:
    if nats_N.shape != (images,):
        raise ValueError(
            f"negative log likelihood of shape {tuple(nats_N.shape)}: give one number an image, ({images},)"
        )
    return nats_N.double()


@contextmanager
def _evaluating(*parts: object) -> Iterator[None]:
    """Those that are modules in eval mode; afterwards every module in them is as it was."""
    modules = [module for part in parts if isinstance(part, nn.Module) for module in part.modules()]
    were = [module.training for module in modules]
    try:
        for module in modules:
            module.training = False
        yield
    finally:
        for module, was in zip(modules, were, strict=True):
            module.training = was
