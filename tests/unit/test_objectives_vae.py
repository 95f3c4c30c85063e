"""The bound of the VAE against closed forms and integrals, and what its settings do."""

import math
from typing import ClassVar, Literal

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Normal, kl_divergence

from gen_dist.config.objective import VAEObjectiveSettings
from gen_dist.models.base import ModelSettings
from gen_dist.models.vae import VAESettings
from gen_dist.objectives.build import build_objective
from gen_dist.objectives.latent import Latent, charged_kl, draw_posterior, kl_to_normal
from gen_dist.objectives.likelihoods import LEAST_LOG_SIGMA, bernoulli_nll, gaussian_nll, likelihood, sigma_nll
from gen_dist.objectives.vae import VAEObjective
from gen_dist.presets import load_config
from tests.tiny_players import LATENT, PIXELS, Decoder, Encoder, draws, images, microbatch, with_weights

LOGITS = torch.from_numpy(np.random.default_rng(2).normal(0, 2, (6, 3, 8, 8)).astype(np.float32))


def objective(**settings) -> VAEObjective:
    return VAEObjective(VAESettings(family="vae", latent=LATENT), VAEObjectiveSettings(kind="vae", **settings))


def losses(step: int = 0, **settings) -> dict[str, float]:
    modules = with_weights(0, encoder=Encoder(), decoder=Decoder())
    found = objective(**settings).loss(modules, microbatch(images(low=0)), draws(step))
    return {name: value.item() for name, value in found.items()}


# --- likelihoods -----------------------------------------------------------------------------------------------------


def test_a_perfect_fit_has_a_finite_loss_and_gradient():
    logits = torch.full((2, 3, 4, 4), 40.0, requires_grad=True)  # their sigmoid is exactly 1 in float32
    loss = sigma_nll(logits, torch.ones(2, 3, 4, 4)).sum()
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_the_sigma_likelihood_is_that_of_the_best_variance_and_bounded():
    x = images(low=0)
    best = Normal(torch.sigmoid(LOGITS), ((torch.sigmoid(LOGITS) - x) ** 2).mean().sqrt())
    torch.testing.assert_close(sigma_nll(LOGITS, x), -best.log_prob(x).sum((1, 2, 3)), rtol=0, atol=0.5)
    perfect = sigma_nll(torch.full_like(x, 40.0), torch.ones_like(x))
    bounded = Normal(1.0, torch.tensor(LEAST_LOG_SIGMA).exp())
    torch.testing.assert_close(perfect, -bounded.log_prob(torch.ones_like(x)).sum((1, 2, 3)), rtol=1e-3, atol=0)


@pytest.mark.parametrize("sigma", [0.1, math.sqrt(0.5), 1.0, 3.0])
def test_the_gaussian_likelihood_is_that_of_torch(sigma):
    x = images(low=0)
    expected = -Normal(torch.sigmoid(LOGITS), sigma).log_prob(x).sum((1, 2, 3))
    torch.testing.assert_close(gaussian_nll(LOGITS, x, sigma), expected, rtol=1e-5, atol=1e-4)


def test_the_gaussian_likelihood_of_variance_one_half_is_the_squared_error_and_a_constant():
    x = images(low=0)
    error = ((torch.sigmoid(LOGITS) - x) ** 2).sum((1, 2, 3))
    torch.testing.assert_close(
        gaussian_nll(LOGITS, x, math.sqrt(0.5)) - error, torch.full((6,), PIXELS / 2 * math.log(math.pi))
    )


def test_the_bernoulli_likelihood_is_that_of_torch():
    x = (images(low=0) > 0.5).float()
    torch.testing.assert_close(bernoulli_nll(LOGITS, x), -Bernoulli(logits=LOGITS).log_prob(x).sum((1, 2, 3)))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"likelihood": "sigma"}, sigma_nll),
        ({"likelihood": "bernoulli"}, bernoulli_nll),
        ({"likelihood": "gaussian"}, lambda logits, x: gaussian_nll(logits, x, 1.0)),
        ({"likelihood": "gaussian", "sigma": 0.3}, lambda logits, x: gaussian_nll(logits, x, 0.3)),
    ],
)
def test_settings_choose_the_likelihood(settings, expected):
    x = images(low=0)
    chosen = likelihood(VAEObjectiveSettings(kind="vae", **settings))
    torch.testing.assert_close(chosen(LOGITS, x), expected(LOGITS, x))


# --- the divergence --------------------------------------------------------------------------------------------------


def test_the_kl_is_the_closed_form_and_its_integral():
    mean, log_variance = torch.tensor([[0.3, -2.0, 0.0]]), torch.tensor([[-1.0, 0.7, 0.0]])
    kl = kl_to_normal(mean, log_variance)
    q, p = Normal(mean, torch.exp(0.5 * log_variance)), Normal(0.0, 1.0)
    torch.testing.assert_close(kl, kl_divergence(q, p))
    z = torch.linspace(-12, 12, 4001, dtype=torch.float64)[:, None]
    integral = torch.trapezoid(q.log_prob(z).exp() * (q.log_prob(z) - p.log_prob(z)), z, dim=0)
    torch.testing.assert_close(kl[0].double(), integral, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("free_bits", "charged"),
    [(0.0, [1.0, 2.0, 0.1]), (0.5, [1.0, 2.0, 0.5]), (1.5, [1.5, 2.0, 1.5]), (3.0, [3.0, 3.0, 3.0])],
)
def test_free_bits_are_for_each_latent_value_on_average_over_the_microbatch(free_bits, charged):
    kl_NZ = torch.tensor([[0.0, 3.0, 0.1], [2.0, 1.0, 0.1]], requires_grad=True)  # means 1, 2 and 0.1
    cost = charged_kl(kl_NZ, free_bits)
    cost.backward()
    assert cost.item() == pytest.approx(2 * sum(charged))
    pays = torch.tensor([float(mean > free_bits) for mean in (1, 2, 0.1)])
    torch.testing.assert_close(kl_NZ.grad, pays.expand(2, 3))


# --- the bound -------------------------------------------------------------------------------------------------------


class OnePixel(nn.Module):
    """z (N, 1) to the logits of one pixel."""

    def forward(self, z_NZ):
        return (1.7 * z_NZ - 0.4).view(-1, 1, 1, 1)


class FixedPosterior(nn.Module):
    MEAN, LOG_VARIANCE = 0.6, -0.8

    def forward(self, x_NCHW, draws):
        mean_NZ = torch.full((len(x_NCHW), 1), self.MEAN)
        return mean_NZ, torch.full_like(mean_NZ, self.LOG_VARIANCE)


@pytest.mark.parametrize(
    ("settings", "pixel"),
    [({"likelihood": "gaussian", "sigma": 0.2}, 0.7), ({"likelihood": "bernoulli"}, 1.0)],
)
def test_the_bound_is_that_of_numerical_integration(settings, pixel):
    """Its terms, and what it lacks to the evidence: the divergence of q(z|x) from the true posterior."""
    count = 40_000
    vae = VAEObjective(VAESettings(family="vae", latent=1), VAEObjectiveSettings(kind="vae", **settings))
    modules = {"encoder": FixedPosterior(), "decoder": OnePixel()}
    found = vae.loss(modules, microbatch(torch.full((count, 1, 1, 1), pixel)), draws(count=count))

    z = torch.linspace(-10, 10, 20_001)
    log_likelihood = -likelihood(VAEObjectiveSettings(kind="vae", **settings))(
        OnePixel()(z[:, None]), torch.full((len(z), 1, 1, 1), pixel)
    )
    prior, q = Normal(0.0, 1.0), Normal(FixedPosterior.MEAN, math.exp(FixedPosterior.LOG_VARIANCE / 2))

    def expected(values):
        return torch.trapezoid((q.log_prob(z).exp() * values).double(), z.double())

    reconstruction = -expected(log_likelihood)
    spread = (expected(log_likelihood**2) - reconstruction**2).sqrt() / math.sqrt(count)
    assert abs(found["reconstruction"] / count - reconstruction) < 4 * spread
    kl = expected(q.log_prob(z) - prior.log_prob(z))
    assert (found["kl"] / count).item() == pytest.approx(kl.item(), rel=1e-4)
    assert found["loss"].item() == pytest.approx((found["reconstruction"] + found["kl"]).item(), rel=1e-5)

    joint = log_likelihood + prior.log_prob(z)
    evidence = torch.trapezoid(joint.double().exp(), z.double()).log()
    gap = expected(q.log_prob(z) - (joint - evidence))
    assert gap > 0.01
    assert (-reconstruction - kl + gap).item() == pytest.approx(evidence.item(), rel=1e-4)


@pytest.mark.parametrize(
    ("settings", "step", "weight"),
    [
        ({}, 0, 1.0),
        ({"beta": 4.0}, 7, 4.0),
        ({"beta": 0.0}, 7, 0.0),
        ({"kl_warmup_steps": 10}, 0, 0.1),
        ({"kl_warmup_steps": 10}, 4, 0.5),
        ({"kl_warmup_steps": 10, "beta": 2.0}, 9, 2.0),
        ({"kl_warmup_steps": 10, "beta": 2.0}, 10**6, 2.0),
    ],
)
def test_the_kl_is_weighted_in_what_is_minimised_and_recorded_without(settings, step, weight):
    plain, found = losses(), losses(step, **settings)
    assert found["kl"] == pytest.approx(plain["kl"])
    assert found["loss"] == pytest.approx(found["reconstruction"] + weight * found["kl"])


def test_free_bits_change_what_is_minimised_only():
    plain, found = losses(), losses(free_bits=90.0)
    assert found["loss"] == pytest.approx(found["reconstruction"] + 6 * LATENT * 90)
    assert {**found, "loss": 0} == {**plain, "loss": 0}


def test_mse_is_the_mean_over_pixels_summed_over_images():
    modules, x = with_weights(0, encoder=Encoder(), decoder=Decoder()), images(low=0)
    z = draw_posterior(*modules["encoder"](x, draws()), draws())
    expected = ((torch.sigmoid(modules["decoder"](z)) - x) ** 2).sum().item() / PIXELS
    assert losses()["mse"] == pytest.approx(expected)


def test_samples_are_decoded_from_the_prior_and_reconstructions_from_the_mean():
    modules, x = with_weights(0, encoder=Encoder(), decoder=Decoder()), images(low=0)
    vae = objective()
    assert torch.equal(
        vae.decode(modules, vae.latent.draw(draws())),
        torch.sigmoid(modules["decoder"](draws().normal("latent", LATENT))),
    )
    mean, _ = modules["encoder"](x, draws())
    assert torch.equal(vae.posterior_means(modules, x, draws()), mean)


@pytest.mark.parametrize(("prior", "deviation"), [("normal", 1.0), ("uniform", math.sqrt(1 / 3))])
def test_the_prior_has_mean_zero_and_its_deviation(prior, deviation):
    z = Latent(4, prior).draw(draws(count=5000))
    assert z.shape == (5000, 4)
    assert z.mean().item() == pytest.approx(0, abs=0.03)
    assert z.std().item() == pytest.approx(deviation, rel=0.03)
    assert (z.abs().max() <= 1) == (prior == "uniform")


class OwnSettings(ModelSettings):
    objectives: ClassVar = ("vae",)

    family: Literal["own"]


def test_any_model_that_names_the_objective_can_be_trained():
    config = load_config("vae-64").model_copy(update={"model": OwnSettings(family="own", latent=5)})
    built = build_objective(config)
    assert isinstance(built, VAEObjective)
    assert built.latent.size == 5
