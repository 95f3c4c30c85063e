"""The held-out ELBO: against closed forms, under any cutting into batches, and what it does to modules."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from gen_dist.draws import Draws
from gen_dist.models.layers import Dropout, GhostBatchNorm
from gen_dist.scores.elbo import LEAST_SIGMA, best_sigma, elbo_of_each, held_out_elbo
from gen_dist.scores.pixel_likelihoods import (
    bernoulli_nll,
    binarised,
    bits_per_dimension,
    gaussian_nll,
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


def test_images_in_parts_have_the_terms_that_they_have_together(modules):
    whole = elbo_of_each(*modules, bernoulli_nll, X_NCHW, Draws(4), samples=2)
    parts = [
        elbo_of_each(*modules, bernoulli_nll, X_NCHW[i : i + 5], Draws(4), samples=2, first=i) for i in (0, 5, 10, 15)
    ]
    assert torch.allclose(torch.cat(parts), whole, rtol=1e-6)
    mean = held_out_elbo(*modules, bernoulli_nll, X_NCHW, Draws(4), samples=2).negative
    assert whole.sum(dim=1).mean() == pytest.approx(mean)


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
