"""One-stage updates: one backward pass gives both players the gradients that two give them."""

import pytest
import torch
from torch import nn

from gen_dist.config.objective import GANObjectiveSettings
from gen_dist.draws import Draws
from gen_dist.models.dcgan import DCGANSettings
from gen_dist.models.spectral import SpectralConv2d, initialise_spectral, iterate_spectral_norm
from gen_dist.objectives.base import Committed
from gen_dist.objectives.gan import GANObjective
from gen_dist.objectives.one_stage import OneStageGANObjective
from tests.tiny_players import (
    LATENT,
    Discriminator,
    Generator,
    draws,
    gradients,
    images,
    microbatch,
    with_weights,
)

PLAYERS = ("generator", "discriminator")
CHANGES = {"diffaugment": ["color", "translation", "cutout"], "instance_noise": 0.1}


def objective(kind: type[GANObjective], **own) -> GANObjective:
    updates = "one_stage" if kind is OneStageGANObjective else "alternating"
    settings = GANObjectiveSettings(kind="gan", updates=updates, **own)
    return kind(DCGANSettings(family="dcgan", latent=LATENT, discriminator_norm="none"), settings)


def one_pass(modules, step: int, **own) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Gradients by player, and losses."""
    phase = objective(OneStageGANObjective, **own).next_phase(step, [])
    losses = phase.loss(modules, microbatch(images()), draws(step))
    return gradients(losses[phase.minimises], modules, phase.trains), losses


def two_passes(modules, step: int, **own) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The same at the same weights, from the phases of alternating updates, with the same draws."""
    gan = objective(GANObjective, **own)
    found, losses = {}, {}
    for phase in (gan.next_phase(step, []), gan.next_phase(step, [Committed("discriminator", {})])):
        losses |= phase.loss(modules, microbatch(images()), draws(step))
        found |= gradients(losses[phase.minimises], modules, phase.trains)
    return found, losses


def players(bias: float = 0.0, spectral: bool = False) -> dict[str, nn.Module]:
    first = SpectralConv2d(3, 5, 3, stride=2) if spectral else None
    modules = with_weights(3, generator=Generator(), discriminator=Discriminator(first))
    modules["discriminator"].last.bias.data.fill_(bias)
    initialise_spectral("discriminator", modules["discriminator"], Draws(1))
    iterate_spectral_norm(modules["discriminator"])
    return modules


@pytest.mark.parametrize("own", [{}, CHANGES], ids=["plain", "changed"])
@pytest.mark.parametrize("spectral", [False, True], ids=["", "spectral"])
@pytest.mark.parametrize("loss", [{"loss": "bce"}, {"loss": "bce", "real_label": 0.9}, {"loss": "wgan_gp"}], ids=str)
def test_gradients_and_losses_are_those_of_two_passes(loss, spectral, own):
    own = {**loss, **own, "r1": 2.0, "r1_every": 2}
    for step in range(2):  # with R1, and without
        (found, losses), (expected, wanted) = (
            passes(players(spectral=spectral), step, **own) for passes in (one_pass, two_passes)
        )
        for player in PLAYERS:
            assert expected[player].norm() > 0.01
            assert (found[player] - expected[player]).norm() <= 1e-5 * expected[player].norm()
        assert losses.keys() == wanted.keys()
        for name in losses:
            torch.testing.assert_close(losses[name], wanted[name])


@pytest.mark.parametrize("bias", [-35.0, -12.0, 12.0, 35.0])
def test_they_are_also_where_one_player_has_won(bias):
    (found, _), (expected, _) = (passes(players(bias), 0, loss="bce") for passes in (one_pass, two_passes))
    for player in PLAYERS:
        assert expected[player].norm() > 0
        assert (found[player] - expected[player]).norm() <= 1e-5 * expected[player].norm()


@pytest.mark.parametrize("bias", [-1000.0, -100.0, 100.0, 1000.0])
def test_no_logit_is_too_large(bias):
    found, losses = one_pass(players(bias), 0, loss="bce")
    assert all(torch.isfinite(gradient).all() for gradient in found.values())
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_a_step_is_one_phase_named_after_what_it_minimises():
    lazy = objective(OneStageGANObjective, r1=1.0, r1_every=2)
    phases = [lazy.next_phase(step, []) for step in range(3)]
    assert [p.name for p in phases] == ["both_r1", "both", "both_r1"]
    assert [p.minimises for p in phases] == ["discriminator_total", "discriminator_loss", "discriminator_total"]
    assert {(p.trains, p.read) for p in phases} == {(PLAYERS, 0)}
    assert lazy.next_phase(0, [Committed("both_r1", {})]) is None
    assert lazy.reads_per_step == 1


def test_the_discriminator_sees_the_generated_images_once():
    modules = players()
    one_pass(modules, 0)
    assert len(modules["discriminator"].seen) == 2


def test_without_the_rescaling_the_generator_would_help_the_discriminator():
    """What is compared above can differ: D's gradient as it arrives at the images has the other sign."""
    modules = players()
    gan = objective(OneStageGANObjective)
    losses, _ = gan.discrimination.losses(modules, images(), gan.sample(modules, draws()), draws(), False)
    [raw] = gradients(losses["discriminator_loss"], modules, ["generator"]).values()
    right = one_pass(modules, 0)[0]["generator"]
    assert torch.nn.functional.cosine_similarity(raw, right, dim=0) < 0
