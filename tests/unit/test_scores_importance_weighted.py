"""The importance-weighted bound: against the closed form of a linear Gaussian model, and beside the ELBO."""

import math

import numpy as np
import pytest
import torch

from gen_dist.draws import Draws
from gen_dist.scores.elbo import held_out_elbo
from gen_dist.scores.importance_weighted import bound_of_each, importance_weighted_bound
from gen_dist.scores.pixel_likelihoods import bernoulli_nll, unit_images
from tests.score_images import blobs

pytestmark = pytest.mark.usefixtures("one_thread")

X_NCHW = unit_images(blobs(20, 8, seed=1))
LATENT = 3


def constant_encoder(mean=0.0, log_variance=0.0):
    return lambda x, draws: (torch.full((len(x), LATENT), mean), torch.full((len(x), LATENT), log_variance))


def constant_decoder(logit=0.0):
    return lambda z: torch.full((len(z), 1, 8, 8), logit)


SIGMA, DIMENSIONS = 0.3, 64
W_DZ = np.random.default_rng(3).normal(0, 0.1, (DIMENSIONS, LATENT))


def linear_gaussian(images: np.ndarray) -> tuple[np.ndarray, torch.Tensor, torch.Tensor]:
    """Of x = W z + noise of deviation SIGMA around pixels of 0.5: log p(x) of each image, and the posterior's mean and
    covariance factor."""
    covariance = W_DZ @ W_DZ.T + SIGMA**2 * np.eye(DIMENSIONS)
    centered = images - 0.5
    _, log_determinant = np.linalg.slogdet(covariance)
    exponent = (centered @ np.linalg.inv(covariance) * centered).sum(1)
    log_p = -0.5 * (exponent + log_determinant + DIMENSIONS * math.log(2 * math.pi))
    posterior = np.linalg.inv(np.eye(LATENT) + W_DZ.T @ W_DZ / SIGMA**2)
    means = centered @ W_DZ @ posterior / SIGMA**2
    return log_p, torch.from_numpy(means).float(), torch.from_numpy(np.diag(posterior).copy()).float()


def linear_decoder(w_DZ):
    """Pixels, which need not be in [0, 1]."""
    return lambda z_NZ: (0.5 + z_NZ.double() @ torch.from_numpy(w_DZ).T).reshape(-1, 1, 8, 8)


def linear_nll(pixels_NCHW, x_NCHW):
    squared = ((pixels_NCHW - x_NCHW) ** 2).double().sum(dim=(1, 2, 3))
    return squared / (2 * SIGMA**2) + DIMENSIONS * (math.log(SIGMA) + 0.5 * math.log(2 * math.pi))


def test_the_bound_falls_from_the_elbo_to_the_likelihood_of_a_linear_gaussian_model():
    log_p, means, variances = linear_gaussian(X_NCHW.flatten(1).double().numpy())

    def factorised(x, draws):  # the true posterior is no product, so that the ELBO is not tight
        return means[: len(x)], torch.log(2 * variances).expand(len(x), -1)

    model = factorised, linear_decoder(W_DZ), linear_nll, X_NCHW, Draws(0)
    elbo = held_out_elbo(*model, samples=2000).negative
    bounds = [importance_weighted_bound(*model, samples=k) for k in (1, 4, 64, 2000)]
    negative = [bound.negative for bound in bounds]
    assert elbo > -log_p.mean() + 0.1  # there is something to gain
    assert negative == sorted(negative, reverse=True)
    assert negative[1] < elbo
    assert negative[-1] == pytest.approx(-log_p.mean(), abs=0.01)
    assert (bounds[0].images, bounds[0].samples, bounds[0].standard_error > 0) == (20, 1, True)


def test_with_the_true_posterior_one_sample_is_the_likelihood():
    """Of one latent value, where the posterior is what an encoder can say."""
    w = W_DZ[:, :1]
    covariance = w @ w.T + SIGMA**2 * np.eye(DIMENSIONS)
    centered = X_NCHW.flatten(1).double().numpy() - 0.5
    log_p = -0.5 * ((centered @ np.linalg.inv(covariance) * centered).sum(1) + np.linalg.slogdet(covariance)[1]
                    + DIMENSIONS * math.log(2 * math.pi))  # fmt: skip
    variance = 1 / (1 + float((w**2).sum()) / SIGMA**2)
    means = torch.from_numpy(centered @ w * variance / SIGMA**2).float()

    def exact(x, draws):
        return means, torch.full_like(means, math.log(variance))

    for samples in (1, 5):
        found = importance_weighted_bound(exact, linear_decoder(w), linear_nll, X_NCHW, Draws(0), samples=samples)
        assert found.negative == pytest.approx(-log_p.mean(), rel=1e-5)


def test_the_bound_of_one_sample_is_the_elbo_with_a_sampled_kl():
    encoder, decoder = constant_encoder(0.3, -0.5), constant_decoder(0.2)
    bound = importance_weighted_bound(encoder, decoder, bernoulli_nll, X_NCHW, Draws(0), samples=1)
    many = importance_weighted_bound(encoder, decoder, bernoulli_nll, X_NCHW, Draws(0), samples=1, batch_size=3)
    assert bound.negative == pytest.approx(many.negative, rel=1e-9)
    elbo = held_out_elbo(encoder, decoder, bernoulli_nll, X_NCHW, Draws(0), samples=1)
    assert bound.negative == pytest.approx(elbo.negative, abs=4 * bound.standard_error + 0.5)


def test_a_bound_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="bound of 20 of 20 images is not finite"):
        importance_weighted_bound(constant_encoder(math.nan), constant_decoder(), bernoulli_nll, X_NCHW, Draws(0))


def test_images_in_parts_have_the_bounds_that_they_have_together():
    model = constant_encoder(0.3, -0.5), constant_decoder(0.2), bernoulli_nll
    whole = bound_of_each(*model, X_NCHW, Draws(0), samples=5)
    parts = [bound_of_each(*model, X_NCHW[i : i + 5], Draws(0), samples=5, first=i) for i in range(0, 20, 5)]
    assert torch.cat(parts).tolist() == pytest.approx(whole.tolist(), rel=1e-12)
