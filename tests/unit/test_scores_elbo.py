"""The held-out ELBO: against closed forms, under any cutting into batches, and what it does to modules."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from gen_dist.draws import Draws
from gen_dist.models.layers import Dropout, GhostBatchNorm
from gen_dist.scores.elbo import (
    LEAST_SIGMA,
    bernoulli_nll,
    best_sigma,
    binarised,
    bits_per_dimension,
    gaussian_nll,
    held_out_elbo,
    importance_weighted_bound,
    squared_error,
    unit_images,
)
from tests.score_images import blobs

pytestmark = pytest.mark.usefixtures("one_thread")

X_NCHW = unit_images(blobs(20, 8, seed=1))
LATENT = 3


def constant_encoder(mean=0.0, log_variance=0.0):
    return lambda x, draws: (torch.full((len(x), LATENT), mean), torch.full((len(x), LATENT), log_variance))


def constant_decoder(logit=0.0):
    return lambda z: torch.full((len(z), 1, 8, 8), logit)


class Encoder(nn.Module):
    """With layers that act in another way in training."""

    def __init__(self):
        super().__init__()
        self.norm, self.dropout = GhostBatchNorm(1), Dropout(0.5, "dropout")
        self.linear = nn.Linear(64, 2 * LATENT)

    def forward(self, x_NCHW, draws):
        hidden = self.dropout(self.norm(x_NCHW), draws)
        return self.linear(hidden.flatten(1)).chunk(2, dim=1)


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(LATENT, 64)

    def forward(self, z_NZ):
        return self.linear(z_NZ).reshape(-1, 1, 8, 8)


@pytest.fixture
def modules():
    encoder, decoder = Encoder(), Decoder()
    generator = torch.Generator().manual_seed(0)
    for module in (encoder, decoder):
        for parameter in module.parameters():
            nn.init.normal_(parameter, 0, 0.3, generator=generator)
    encoder.norm.running_mean.fill_(0.2)
    encoder.norm.running_var.fill_(0.5)
    return encoder, decoder


def test_an_ignorant_model_has_one_bit_a_binary_pixel():
    elbo = held_out_elbo(constant_encoder(), constant_decoder(), bernoulli_nll, binarised(X_NCHW), Draws(0))
    assert elbo.kl == 0
    assert elbo.negative == pytest.approx(64 * math.log(2))
    assert bits_per_dimension(elbo.negative, elbo.dimensions) == pytest.approx(1)
    assert elbo.standard_error == pytest.approx(0, abs=1e-9)


def test_an_ignorant_density_has_eight_bits_a_pixel_of_eight_bits():
    assert bits_per_dimension(0.0, 64, grey_levels=256) == 8


def test_the_kl_is_that_of_the_two_gaussians():
    elbo = held_out_elbo(constant_encoder(1.5, -0.7), constant_decoder(), bernoulli_nll, X_NCHW, Draws(0))
    posterior = torch.distributions.Normal(1.5, math.exp(-0.35))
    kl = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0))
    assert elbo.kl == pytest.approx(LATENT * kl.item(), rel=1e-6)


def test_with_the_true_posterior_the_elbo_is_the_likelihood():
    # Probabilistic PCA with one latent number: x = w z + noise, hence p(x) = N(0, 1 + w w') and p(z|x) below.
    w = torch.linspace(-1, 1, 6)
    precision = 1 + (w**2).sum()
    x_NCHW = torch.rand(8, 1, 1, 6, generator=torch.Generator().manual_seed(2))

    def encoder(x, draws):
        mean = (x.flatten(1) @ w / precision)[:, None]
        return mean, torch.full_like(mean, -math.log(precision))

    def nll(output, x):
        return -torch.distributions.Normal(output, 1.0).log_prob(x).sum(dim=(1, 2, 3))

    elbo = held_out_elbo(encoder, lambda z: (z * w)[:, None, None, :], nll, x_NCHW, Draws(1), samples=2000)
    exact = torch.distributions.MultivariateNormal(torch.zeros(6), torch.eye(6) + torch.outer(w, w))
    assert elbo.negative == pytest.approx(-exact.log_prob(x_NCHW.flatten(1)).mean().item(), rel=2e-3)
    worse = held_out_elbo(
        lambda x, _: (encoder(x, _)[0] + 0.5, encoder(x, _)[1]),
        lambda z: (z * w)[:, None, None, :],
        nll,
        x_NCHW,
        Draws(1),
        samples=2000,
    )
    assert worse.negative > elbo.negative + 0.1


def test_the_standard_error_is_that_of_the_images():
    x_NCHW = torch.tensor([0.0, 0.0, 1.0, 1.0]).reshape(4, 1, 1, 1)
    elbo = held_out_elbo(
        constant_encoder(), lambda z: z[:, :1, None, None] * 0, lambda o, x: x.flatten(), x_NCHW, Draws(0)
    )
    assert (elbo.reconstruction, elbo.spread, elbo.standard_error) == (0.5, 0.5, 0.25)


@pytest.mark.parametrize("batch_size", [1, 7, 20, 1000])
def test_batches_change_nothing_but_rounding(batch_size, modules):
    whole = held_out_elbo(*modules, bernoulli_nll, X_NCHW, Draws(4), samples=3, batch_size=20)
    cut = held_out_elbo(*modules, bernoulli_nll, X_NCHW, Draws(4), samples=3, batch_size=batch_size)
    assert cut.reconstruction == pytest.approx(whole.reconstruction, rel=1e-7)
    assert cut.kl == pytest.approx(whole.kl, rel=1e-7)
    assert cut.spread == pytest.approx(whole.spread, rel=1e-6)


def test_the_seed_and_the_number_of_samples_count_and_more_samples_agree_better(modules):
    def reconstruction(seed, samples):
        return held_out_elbo(*modules, bernoulli_nll, X_NCHW, Draws(seed), samples=samples).reconstruction

    assert reconstruction(1, 2) == reconstruction(1, 2) != reconstruction(2, 2)
    few, many = ([reconstruction(seed, samples) for seed in range(4)] for samples in (1, 32))
    assert np.std(many) < np.std(few) / 2.5


def test_modules_are_in_eval_mode_meanwhile_and_come_back_as_they_were(modules):
    encoder, decoder = modules
    encoder.norm.eval()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    modes = []

    def nll(logits, x):
        modes.append((encoder.training, encoder.dropout.training, decoder.linear.training))
        return bernoulli_nll(logits, x)

    held_out_elbo(encoder, decoder, nll, X_NCHW, Draws(0))
    assert set(modes) == {(False, False, False)}
    assert (encoder.training, encoder.dropout.training, encoder.norm.training) == (True, True, False)
    assert decoder.training
    assert all(torch.equal(before[name], value) for name, value in encoder.state_dict().items())
    assert encoder.norm.emitted == []
    with pytest.raises(RuntimeError, match="boom"):
        held_out_elbo(encoder, raising, bernoulli_nll, X_NCHW, Draws(0))
    assert encoder.training


def raising(z_NZ):
    raise RuntimeError("boom")


def test_a_decoder_that_fits_better_scores_better():
    target = torch.logit(X_NCHW.mean(dim=0), eps=1e-3)
    found = [
        held_out_elbo(
            constant_encoder(), lambda z, s=share: (s * target).expand(len(z), 1, 8, 8), bernoulli_nll, X_NCHW, Draws(0)
        ).negative
        for share in (-0.5, 0, 0.5, 1)
    ]
    assert found == sorted(found, reverse=True)


def test_the_gaussian_is_torchs():
    logits = torch.linspace(-2, 2, 20 * 64).reshape(20, 1, 8, 8)
    expected = -torch.distributions.Normal(torch.sigmoid(logits), 0.3).log_prob(X_NCHW).sum(dim=(1, 2, 3))
    torch.testing.assert_close(gaussian_nll(0.3)(logits, X_NCHW).float(), expected)


def test_the_best_sigma_is_the_best(modules):
    sigma = best_sigma(*modules, X_NCHW, Draws(4), samples=3)
    found = {
        factor: held_out_elbo(*modules, gaussian_nll(factor * sigma), X_NCHW, Draws(4), samples=3).reconstruction
        for factor in (0.97, 1, 1.03)
    }
    assert found[1] < min(found[0.97], found[1.03])
    assert found[1] == pytest.approx(32 * (math.log(2 * math.pi * sigma**2) + 1), rel=1e-6)


def test_the_best_sigma_of_a_perfect_fit_is_bounded():
    ones = torch.ones(2, 1, 8, 8)
    assert best_sigma(constant_encoder(), constant_decoder(40.0), ones, Draws(0)) == LEAST_SIGMA


def test_nats_of_pixels_at_the_ends_are_finite():
    logits, x = torch.full((2, 1, 8, 8), 80.0), torch.zeros(2, 1, 8, 8)
    assert bernoulli_nll(logits, x).tolist() == [64 * 80, 64 * 80]
    assert squared_error(logits, x).tolist() == [64, 64]


def test_binarised_pixels_follow_their_probability_and_index():
    x = torch.full((400, 1, 8, 8), 0.25)
    drawn = binarised(x, Draws(1))
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    assert drawn.mean().item() == pytest.approx(0.25, abs=0.01)
    assert torch.equal(binarised(x[:7], Draws(1)), drawn[:7])
    assert not torch.equal(binarised(x, Draws(2)), drawn)
    assert binarised(torch.tensor([0.0, 0.49, 0.5, 1.0])).tolist() == [0, 0, 1, 1]


def test_unit_images_are_channels_first_in_zero_to_one():
    images = blobs(2, 8, 3)
    x = unit_images(images)
    assert x.shape == (2, 3, 8, 8)
    assert x[1, 2, 3, 4].item() == pytest.approx(images[1, 3, 4, 2] / 255)
    assert x.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("x_NCHW", "settings", "message"),
    [
        (X_NCHW[:0], {}, "at least 1 image"),
        (X_NCHW[0], {}, "give float32"),
        (X_NCHW.double(), {}, "give float32"),
        (X_NCHW * 255, {}, "give pixels in 0 … 1"),
        (X_NCHW * float("nan"), {}, "give pixels in 0 … 1"),
        (X_NCHW, {"samples": 0}, "must be at least 1"),
        (X_NCHW, {"batch_size": 0}, "must be at least 1"),
    ],
)
def test_bad_input_is_refused(x_NCHW, settings, message):
    with pytest.raises(ValueError, match=message):
        held_out_elbo(constant_encoder(), constant_decoder(), bernoulli_nll, x_NCHW, Draws(0), **settings)


@pytest.mark.parametrize(
    ("decoder", "nll", "message"),
    [
        (constant_decoder(math.nan), bernoulli_nll, "ELBO of 20 of 20 images is not finite"),
        (constant_decoder(), lambda logits, x: bernoulli_nll(logits, x).sum(), r"give one number an image, \(20,\)"),
        (constant_decoder(), lambda logits, x: bernoulli_nll(logits, x)[:, None], r"\(20, 1\): give one number"),
    ],
)
def test_models_and_likelihoods_that_give_no_numbers_are_refused(decoder, nll, message):
    with pytest.raises(ValueError, match=message):
        held_out_elbo(constant_encoder(), decoder, nll, X_NCHW, Draws(0))


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.inf, math.nan])
def test_a_sigma_that_is_none_is_refused(sigma):
    with pytest.raises(ValueError, match="must be positive"):
        gaussian_nll(sigma)


def test_bits_of_nothing_are_refused():
    with pytest.raises(ValueError, match="must be at least 1"):
        bits_per_dimension(1.0, 0)


# --- the importance-weighted bound -----------------------------------------------------------------------------------

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
