"""The parts of an evaluation: each depends on its arguments alone, and is computed by one thread.

Shapes: n images of H x W pixels and C channels, uint8; Z latent values.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import nn

from gen_dist.draws import Draws
from gen_dist.errors import UserError
from gen_dist.results.latents import draw_latents
from gen_dist.results.trained import Trained
from gen_dist.scores.classifier import LeNet, fingerprint, lenet_features, train_lenet
from gen_dist.scores.coverage import Coverage, precision_recall
from gen_dist.scores.elbo import elbo_of_each
from gen_dist.scores.importance_weighted import bound_of_each
from gen_dist.scores.inputs import blocks
from gen_dist.scores.kernel_distance import frechet_distance, kernel_distance
from gen_dist.scores.pixel_likelihoods import (
    NegativeLogLikelihood,
    bernoulli_nll,
    gaussian_nll,
    squared_error,
    unit_images,
)
from gen_dist.scores.similarity import WINDOW, ms_ssim, psnr, ssim
from gen_dist.scores.sliced_wasserstein import SlicedWasserstein, sliced_wasserstein_to

T = TypeVar("T")
ELBO_SAMPLES, BOUND_SAMPLES = 4, 64
COARSE = 8  # pixels a side, of the features of images that have no classes
IMAGES_AT_ONCE = 128


def draw_samples(trained: Trained, seed: int, first: int, count: int) -> np.ndarray:
    """`count` new images, those of `gen-dist generate` with this seed from number `first` on."""
    return trained.decode(draw_latents(trained.latent, seed, np.arange(first, first + count)))


def train_classifier(images: np.ndarray, labels: np.ndarray, seed: int) -> LeNet:
    return train_lenet(images, labels, Draws(seed))


class Distances(NamedTuple):
    """Of samples and of real images to the same reference."""

    samples: SlicedWasserstein
    real: SlicedWasserstein


def wasserstein(samples: np.ndarray, reference: np.ndarray, real: np.ndarray, seed: int) -> Distances:
    return Distances(*sliced_wasserstein_to(reference, [samples, real], Draws(seed)))


def features_of(lenet: LeNet | None, *sets: np.ndarray) -> list[np.ndarray]:
    """The classifier's, or where there is none the images themselves, made coarse: float32 (n, D)."""
    return [coarse_pixels(images) if lenet is None else lenet_features(lenet, images) for images in sets]


def coarse_pixels(images: np.ndarray) -> np.ndarray:
    """Means over areas of the images, at most 8 x 8 of them: float32 (n, D)."""
    side = min(COARSE, *images.shape[1:3])
    parts = [
        torch.nn.functional.adaptive_avg_pool2d(unit_images(images[some]), side).flatten(1).numpy()
        for some in blocks(len(images), IMAGES_AT_ONCE)
    ]
    return np.concatenate(parts)


class FeatureScores(NamedTuple):
    """Of samples and of real images, each beside the reference; distances are None without a classifier.

    `classifier`: its fingerprint, or "".
    """

    kernel: tuple[float, float] | None
    frechet: tuple[float, float] | None
    coverage: tuple[Coverage, Coverage]
    classifier: str = ""


def compare_features(
    lenet: LeNet | None, samples: np.ndarray, reference: np.ndarray, real: np.ndarray, seed: int
) -> FeatureScores:
    ours, wanted, others = features_of(lenet, samples, reference, real)

    def both(score: Callable[[np.ndarray, np.ndarray], T]) -> tuple[T, T]:
        return score(ours, wanted), score(others, wanted)

    if lenet is None:
        return FeatureScores(None, None, both(precision_recall))
    kernel = both(lambda a, b: kernel_distance(a, b, Draws(seed)).value)
    return FeatureScores(kernel, both(frechet_distance), both(precision_recall), fingerprint(lenet))


def kernel_of_part(features: np.ndarray, reference: np.ndarray, seed: int) -> float:
    return kernel_distance(features, reference, Draws(seed)).value


def frechet_of_parts(*features: np.ndarray) -> float:
    """Of the first half of the parts, together, to the second."""
    half = len(features) // 2
    return frechet_distance(np.concatenate(features[:half]), np.concatenate(features[half:]))


def likeness_in_pairs(images: np.ndarray) -> np.ndarray:
    """MS-SSIM of each image of even number and the next: float64 (n // 2,)."""
    even = len(images) // 2 * 2
    left, right = images[0:even:2], images[1:even:2]
    parts = [ms_ssim(unit_images(left[some]), unit_images(right[some])) for some in blocks(len(left), IMAGES_AT_ONCE)]
    return torch.cat(parts).numpy()


def summed_squared_error(trained: Trained, images: np.ndarray, first: int, seed: int) -> float:
    """Of reconstructions from sampled latents, in pixels of [0, 1], over all images and pixels."""
    with told_of(trained):
        nats_N2 = elbo_of_each(
            *_vae(trained), squared_error, unit_images(images), Draws(seed), samples=1, first=first,
            batch_size=trained.at_once,
        )  # fmt: skip
    return float(nats_N2[:, 0].sum())


def likelihoods(trained: Trained, images: np.ndarray, first: int, seed: int, sigma: float | None) -> np.ndarray:
    """Reconstruction term and KL of each image, in nats: float64 (n, 2). `sigma`: of a Gaussian; None: Bernoulli."""
    with told_of(trained):
        found = elbo_of_each(
            *_vae(trained), _nll(sigma), unit_images(images), Draws(seed), samples=ELBO_SAMPLES, first=first,
            batch_size=trained.at_once,
        )  # fmt: skip
    return found.numpy()


def bounds(trained: Trained, images: np.ndarray, first: int, seed: int, sigma: float | None) -> np.ndarray:
    """The importance-weighted bound of each image, in nats, negative: float64 (n,)."""
    with told_of(trained):
        found = bound_of_each(
            *_vae(trained), _nll(sigma), unit_images(images), Draws(seed), samples=BOUND_SAMPLES, first=first,
            batch_size=trained.at_once,
        )  # fmt: skip
    return found.numpy()


@contextmanager
def told_of(trained: Trained) -> Iterator[None]:
    """A model whose numbers are not finite is bad input, not a bug."""
    try:
        yield
    except ValueError as error:
        if "not finite" not in str(error):
            raise
        raise UserError(f"run '{trained.path}': {error}") from None


class Encoded(NamedTuple):
    """PSNR and SSIM (n,) of reconstructions, where SSIM has room; means of the latents (n, Z)."""

    psnr: np.ndarray
    ssim: np.ndarray | None
    means: np.ndarray


def encode(trained: Trained, images: np.ndarray) -> Encoded:
    parts = [encode_block(trained, images[some]) for some in blocks(len(images), trained.at_once)]
    psnrs, ssims, means = zip(*parts, strict=True)
    whole = None if ssims[0] is None else np.concatenate(ssims)
    return Encoded(np.concatenate(psnrs), whole, np.concatenate(means))


def encode_block(trained: Trained, images: np.ndarray) -> Encoded:
    means_NZ = trained.encode(images)
    if not np.isfinite(means_NZ).all():
        raise UserError(f"run '{trained.path}': its latents are not finite; the model has diverged")
    pair = unit_images(images), unit_images(trained.decode(means_NZ))
    room = scored_size(images.shape[1])
    return Encoded(psnr(*pair).numpy(), ssim(*pair).numpy() if room else None, means_NZ)


def scored_size(size: int) -> bool:
    """Whether SSIM's window fits into images of this size."""
    return size >= WINDOW


def _vae(trained: Trained) -> tuple[nn.Module, nn.Module]:
    return trained.modules["encoder"], trained.modules["decoder"]


def _nll(sigma: float | None) -> NegativeLogLikelihood:
    return bernoulli_nll if sigma is None else gaussian_nll(sigma)
