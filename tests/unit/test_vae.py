"""The likelihoods of the VAE's objective."""

import pytest
import torch

from gen_dist.objectives.vae import LEAST_LOG_SIGMA, sigma_nll


def test_a_perfect_fit_has_a_finite_loss_and_gradient():
    logits = torch.full((2, 3, 4, 4), 40.0, requires_grad=True)  # their sigmoid is exactly 1 in float32
    loss = sigma_nll(logits, torch.ones(2, 3, 4, 4))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_the_loss_is_that_of_the_best_variance_and_bounded():
    x = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    logits = torch.zeros_like(x)
    gaussian = torch.distributions.Normal(0.5, ((x - 0.5) ** 2).mean().sqrt())
    assert sigma_nll(logits, x).item() == pytest.approx(-gaussian.log_prob(x).sum().item(), rel=1e-3)
    perfect = sigma_nll(torch.full_like(x, 40.0), torch.ones_like(x)).item()
    bounded = torch.distributions.Normal(1.0, torch.tensor(LEAST_LOG_SIGMA).exp())
    assert perfect == pytest.approx(-bounded.log_prob(torch.ones_like(x)).sum().item(), rel=1e-3)
