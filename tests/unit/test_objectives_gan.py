"""The GAN's losses against their formulas, its phases, and what its discriminator sees and pays."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from gen_dist.config.objective import GANObjectiveSettings
from gen_dist.engine.engine import merge_losses
from gen_dist.models.dcgan import DCGANSettings
from gen_dist.models.growth import GrowingModule
from gen_dist.objectives.adversarial import LEAST_LOGIT, adversarial_loss
from gen_dist.objectives.balance import balance, reported
from gen_dist.objectives.base import Committed
from gen_dist.objectives.diffaugment import diffaugment
from gen_dist.objectives.gan import GANObjective
from tests.tiny_players import (
    IMAGES,
    LATENT,
    Discriminator,
    Generator,
    LinearDiscriminator,
    draws,
    gradients,
    images,
    microbatch,
    reached,
    with_weights,
)

L = torch.tensor([-3.0, -0.5, 0.0, 0.4, 2.5])
LABEL = 0.9


def settings(**own) -> GANObjectiveSettings:
    return GANObjectiveSettings(kind="gan", **own)


def objective(prior: str = "normal", **own) -> GANObjective:
    return GANObjective(DCGANSettings(family="dcgan", latent=LATENT, prior=prior), settings(**own))


def players(discriminator: torch.nn.Module | None = None) -> dict[str, torch.nn.Module]:
    return with_weights(3, generator=Generator(), discriminator=discriminator or Discriminator())


def discriminator_losses(gan: GANObjective, modules, step: int = 0) -> dict[str, torch.Tensor]:
    return gan.next_phase(step, []).loss(modules, microbatch(images()), draws(step))


def generator_losses(gan: GANObjective, modules) -> dict[str, torch.Tensor]:
    done = [Committed("discriminator", {})] * gan.reads_per_step
    return gan.next_phase(1, done).loss(modules, microbatch(torch.empty(0)), draws(1))


# --- losses ----------------------------------------------------------------------------------------------------------


def log_sigmoid(logits):
    return torch.log(1 / (1 + torch.exp(-logits)))


LOSSES = {
    "bce": (-log_sigmoid(L), -log_sigmoid(-L), -log_sigmoid(L)),
    "hinge": ((1 - L).clamp(min=0), (1 + L).clamp(min=0), -L),
    "least_squares": ((L - 1) ** 2 / 2, L**2 / 2, (L - 1) ** 2 / 2),
    "wgan_gp": (-L, L, -L),
}
SMOOTHED = {
    "bce": -LABEL * log_sigmoid(L) - (1 - LABEL) * log_sigmoid(-L),
    "least_squares": (L - LABEL) ** 2 / 2,
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_those_of_the_papers(name):
    loss = adversarial_loss(settings(loss=name))
    for function, expected in zip((loss.real, loss.fake, loss.generator), LOSSES[name], strict=True):
        torch.testing.assert_close(function(L), expected)


@pytest.mark.parametrize("name", SMOOTHED)
def test_the_real_label_smooths_one_side(name):
    smoothed, plain = (adversarial_loss(settings(loss=name, real_label=label)) for label in (LABEL, 1.0))
    torch.testing.assert_close(smoothed.real(L), SMOOTHED[name])
    assert torch.equal(smoothed.fake(L), plain.fake(L))
    assert torch.equal(smoothed.generator(L), plain.generator(L))


@pytest.mark.parametrize("name", ["bce", "wgan_gp"])
def test_the_ratio_turns_the_slope_of_d_into_that_of_g(name):
    loss = adversarial_loss(settings(loss=name))
    logits = torch.tensor([LEAST_LOGIT, -20, -1, 0, 3, 20, 60, 500], requires_grad=True)
    slopes = [torch.autograd.grad(function(logits).sum(), logits)[0] for function in (loss.fake, loss.generator)]
    torch.testing.assert_close(slopes[0] * loss.ratio(logits), slopes[1], rtol=1e-5, atol=0)


def test_the_ratio_is_finite_for_every_logit():
    ratio = adversarial_loss(settings()).ratio(torch.tensor([-1e30, -500.0, 500.0, 1e30]))
    assert torch.isfinite(ratio).all()
    assert ratio[0] == ratio[1] == pytest.approx(-math.exp(-LEAST_LOGIT))


@pytest.mark.parametrize("name", LOSSES)
def test_phases_sum_the_losses_of_the_logits(name):
    gan, modules = objective(loss=name), players(LinearDiscriminator())
    judge = modules["discriminator"].layer
    real, fake = (judge(x.flatten(1))[:, 0] for x in (images(), gan.sample(modules, draws())))
    loss = adversarial_loss(settings(loss=name))
    found = discriminator_losses(gan, modules)
    torch.testing.assert_close(found["discriminator_loss"], loss.real(real).sum() + loss.fake(fake).sum())
    shown = torch.sigmoid if name == "bce" else torch.clone
    torch.testing.assert_close(found["real_score"], shown(real).sum())
    torch.testing.assert_close(found["fake_score"], shown(fake).sum())
    fake = judge(gan.sample(modules, draws(1)).flatten(1))[:, 0]
    torch.testing.assert_close(generator_losses(gan, modules)["generator_loss"], loss.generator(fake).sum())


# --- phases ----------------------------------------------------------------------------------------------------------


def phases(gan: GANObjective, step: int, losses=lambda number: {}) -> list:
    """All phases of a step, if the losses of phase `number` are these."""
    committed, found = [], []
    while (phase := gan.next_phase(step, committed)) is not None:
        found.append(phase)
        committed.append(Committed(phase.name, losses(len(committed))))
    return found


@pytest.mark.parametrize("count", [1, 2, 5])
def test_each_discriminator_step_reads_another_real_batch(count):
    gan = objective(discriminator_steps=count)
    assert gan.reads_per_step == count
    assert [(p.name, p.trains, p.read, p.minimises) for p in phases(gan, 3)] == [
        *(("discriminator", ("discriminator",), read, "discriminator_loss") for read in range(count)),
        ("generator", ("generator",), None, "generator_loss"),
    ]


def test_r1_comes_every_so_many_steps_in_the_first_discriminator_phase():
    gan = objective(r1=2.0, r1_every=4, discriminator_steps=2)
    names = [[phase.name for phase in phases(gan, step)] for step in range(9)]
    lazy, plain = ["discriminator_r1", "discriminator", "generator"], ["discriminator", "discriminator", "generator"]
    assert names == [lazy, plain, plain, plain, lazy, plain, plain, plain, lazy]
    assert [p.minimises for p in phases(gan, 4)] == ["discriminator_total", "discriminator_loss", "generator_loss"]


def test_a_phase_trains_nobody_else():
    modules = players()
    for gan in (objective(), objective(r1=1.0), objective(loss="wgan_gp")):
        phase = gan.next_phase(0, [])
        assert reached(discriminator_losses(gan, modules)[phase.minimises], modules) == {"discriminator"}
    modules["discriminator"].requires_grad_(False)
    generator_losses(objective(), modules)["generator_loss"].backward()
    assert all(p.grad is None for p in modules["discriminator"].parameters())
    assert all(p.grad.abs().sum() > 0 for p in modules["generator"].parameters())


# --- the balance rule ------------------------------------------------------------------------------------------------

D, G = "discriminator", "generator"


@pytest.mark.parametrize(
    ("discriminator", "generator", "extra", "next_one"),
    [
        (0.7, 0.7, [], None),
        (0.7, 0.78, [], None),  # within the margin of 0.1
        (0.78, 0.7, [], None),
        (0.9, 0.7, [], D),
        (0.7, 0.9, [], G),
        (0.9, 0.7, [D], D),  # still behind
        (0.75, 0.7, [D], None),  # within the margin again
        (0.5, 0.7, [D], None),  # it overtook, and the other one does not get its turn
        (0.7, 0.9, [G, G], G),
        (0.9, 0.7, [G], None),
        (9.0, 0.7, [D] * 4, D),
        (9.0, 0.7, [D] * 5, None),  # the most there may be
        (0.7, 9.0, [G] * 5, None),
    ],
)
def test_who_is_behind_takes_extra_steps(discriminator, generator, extra, next_one):
    assert balance(discriminator, generator, 0.1, extra, 5) == next_one


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        # Half of D's loss is compared: it is the sum over a real and a generated image.
        ([{D: 1.4}, {G: 0.7}], [D, G]),
        ([{D: 2.0}, {G: 0.7}, {D: 1.8}, {D: 1.5}], [D, G, D, D]),
        ([{D: 2.0}, {G: 0.7}, {D: 0.2}], [D, G, D]),
        ([{D: 0.2}, {G: 3.0}, *[{G: 2.0}] * 9], [D, G, G, G, G]),  # three at most
    ],
)
def test_extra_phases_follow_from_the_losses_of_the_step(losses, expected):
    gan = objective(balance_margin=0.1, balance_steps=3)
    found = phases(gan, 0, lambda number: {f"{name}_loss": value for name, value in losses[number].items()})
    assert [phase.name for phase in found] == expected
    assert [phase.read for phase in found] == [0 if name == D else None for name in expected]
    assert gan.reads_per_step == 1


@pytest.mark.parametrize("player", [D, G])
@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_the_number_of_extra_steps_is_recorded(player, count):
    names = [D, G, *[player] * count]
    merged = merge_losses([Committed(name, reported(name, number)) for number, name in enumerate(names)])
    assert merged == {f"extra_{name}_steps": float(count if name == player else 0) for name in (D, G)}


def test_phases_report_their_part_of_it_for_every_image():
    gan, modules = objective(balance_margin=0.1), players()
    done = [Committed(D, {"discriminator_loss": 1.4}), Committed(G, {"generator_loss": 9.0})]
    for number in range(3):
        phase = gan.next_phase(1, done[:number])
        found = phase.loss(modules, microbatch(images()), draws(1))
        for name, value in reported(phase.name, number).items():
            assert found[name].item() == IMAGES * value
    assert "extra_generator_steps" not in generator_losses(objective(), modules)


# --- what D sees -----------------------------------------------------------------------------------------------------

POLICY = ["color", "translation", "cutout"]


def test_real_and_generated_images_are_changed_alike_but_by_other_draws():
    gan, modules = objective(diffaugment=POLICY, instance_noise=0.2), players()
    discriminator_losses(gan, modules)
    seen = modules[D].seen
    for name, x, found in zip(("real", "fake"), (images(), gan.sample(modules, draws())), seen, strict=True):
        own = draws().within(name)
        noise = 0.2 * own.normal("instance_noise", 8, 8, 3).permute(0, 3, 1, 2)
        torch.testing.assert_close(found, (diffaugment(x, POLICY, own) + noise).detach())
    generator_losses(gan, modules)
    with torch.no_grad():
        gan.next_phase(1, []).loss(modules, microbatch(images()), draws(1))
    assert torch.equal(seen[2], seen[4]), "G is judged by what D is shown of its images"


@pytest.mark.parametrize("own", [{"instance_noise": 0.5}, {"diffaugment": ["cutout"]}])
def test_gradients_go_through_the_changes_to_the_generator(own):
    modules = players()
    changed, plain = (
        gradients(generator_losses(gan, modules)["generator_loss"], modules, [G])[G]
        for gan in (objective(**own), objective())
    )
    assert changed.abs().sum() > 0
    assert not torch.allclose(changed, plain)


class Halves(GrowingModule):
    """A generator at a stage of 4 x 4 images."""

    stage = 0

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(LATENT, 48)

    def at_step(self, step):
        pass

    def in_use(self):
        return self.parameters()

    def shrink(self, x_NCHW):
        return F.avg_pool2d(x_NCHW, 2)

    def forward(self, z_NZ):
        return torch.tanh(self.layer(z_NZ)).view(-1, 3, 4, 4)


def test_real_images_are_shown_as_a_growing_generator_makes_them():
    modules = with_weights(3, generator=Halves(), discriminator=LinearDiscriminator())
    modules[D].layer = torch.nn.Linear(48, 1)
    found = discriminator_losses(objective(loss="wgan_gp", r1=1.0), modules)
    real = modules[D].layer(F.avg_pool2d(images(), 2).flatten(1)).sum()
    torch.testing.assert_close(found["real_score"], real)


@pytest.mark.parametrize("prior", ["normal", "uniform"])
def test_training_and_samples_draw_from_the_prior_of_the_model(prior):
    gan, modules = objective(prior), players()
    own = draws()
    z = own.normal("latent", LATENT) if prior == "normal" else own.uniform("latent", LATENT, low=-1, high=1)
    assert torch.equal(gan.sample(modules, own), modules[G](z))
    discriminator_losses(gan, modules)
    assert torch.equal(modules[D].seen[-1], modules[G](z))
    assert gan.posterior_means(modules, images(), own) is None


# --- penalties -------------------------------------------------------------------------------------------------------


def test_r1_is_weighted_by_half_of_gamma_and_by_how_rarely_it_comes():
    modules = players(LinearDiscriminator())
    found = discriminator_losses(objective(r1=3.0, r1_every=4), modules, step=8)
    norm = modules[D].layer.weight.square().sum()
    torch.testing.assert_close(found["r1"], IMAGES * norm)
    torch.testing.assert_close(found["discriminator_total"], found["discriminator_loss"] + 3.0 / 2 * 4 * IMAGES * norm)
    assert "r1" not in discriminator_losses(objective(r1=3.0, r1_every=4), modules, step=7)


@pytest.mark.parametrize(("given", "weight"), [(None, 10.0), (2.5, 2.5)])
def test_the_gradient_penalty_is_part_of_every_wgan_step(given, weight):
    gan, modules = objective(loss="wgan_gp", gradient_penalty=given), players(LinearDiscriminator())
    penalty = IMAGES * (modules[D].layer.weight.norm() - 1) ** 2
    for step in range(2):
        found = discriminator_losses(gan, modules, step)
        torch.testing.assert_close(found["gradient_penalty"], penalty)
        torch.testing.assert_close(found["discriminator_total"], found["discriminator_loss"] + weight * penalty)


def test_penalties_do_not_change_the_loss_that_is_recorded():
    modules = players()
    with_r1, plain = (discriminator_losses(objective(r1=r1), modules) for r1 in (5.0, 0.0))
    assert with_r1["discriminator_total"] > with_r1["discriminator_loss"] == plain["discriminator_loss"]


def test_r1_is_taken_at_the_images_before_they_are_changed():
    """A cut-out pixel does not count, and a moved one does."""
    weight = np.random.default_rng(4).normal(0, 1, (1, 192)).astype(np.float32)
    modules = players(LinearDiscriminator())
    modules[D].layer.weight.data.copy_(torch.from_numpy(weight))
    cut = discriminator_losses(objective(r1=1.0, diffaugment=["cutout"]), modules)["r1"]
    kept = diffaugment(torch.ones(IMAGES, 3, 8, 8), ["cutout"], draws().within("real")).flatten(1)
    torch.testing.assert_close(cut, (torch.from_numpy(weight) * kept).square().sum())


@pytest.mark.parametrize("loss", LOSSES)
def test_everything_at_once_gives_finite_gradients(loss):
    gan, modules = objective(loss=loss, diffaugment=POLICY, instance_noise=0.1, r1=1.0), players()
    total = discriminator_losses(gan, modules)["discriminator_total"]
    assert torch.isfinite(gradients(total, modules, [D])[D]).all()
