"""The VAE-GAN: whom each of its phases trains, what its losses are, and where gradients end."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gen_dist.config.objective import VAEGANObjectiveSettings
from gen_dist.models.dcgan import DCGANSettings
from gen_dist.models.vae import VAESettings
from gen_dist.models.vaegan import VAEGANSettings
from gen_dist.objectives.base import Committed, Phase
from gen_dist.objectives.diffaugment import diffaugment
from gen_dist.objectives.latent import draw_posterior, kl_to_normal
from gen_dist.objectives.vaegan import VAEGANObjective
from tests.tiny_players import (
    LATENT,
    Discriminator,
    Encoder,
    Generator,
    draws,
    gradients,
    images,
    microbatch,
    reached,
    with_weights,
)

E, G, D = "encoder", "generator", "discriminator"
NUMBER = {E: 0, G: 1, D: 2}


def objective(**settings) -> VAEGANObjective:
    model = VAEGANSettings(family="vaegan", latent=LATENT)
    return VAEGANObjective(model, VAEGANObjectiveSettings(kind="vaegan", **settings))


def networks() -> dict[str, nn.Module]:
    return with_weights(3, encoder=Encoder(), generator=Generator(), discriminator=Discriminator())


def phase_of(name: str, **settings) -> Phase:
    return objective(**settings).next_phase(0, [Committed("", {})] * NUMBER[name])


def losses(name: str, modules, **settings) -> dict[str, torch.Tensor]:
    found = phase_of(name, **settings).loss(modules, microbatch(images()), draws(0, NUMBER[name]))
    return {key: value.double() for key, value in found.items()}


def reconstructed(modules, phase: int) -> torch.Tensor:
    own = draws(0, phase)
    return modules[G](draw_posterior(*modules[E](images(), own), own))


def test_three_phases_on_the_same_images():
    vaegan = objective()
    phases = [vaegan.next_phase(0, [Committed("", {})] * done) for done in range(4)]
    assert [p and (p.name, p.trains, p.read, p.minimises) for p in phases] == [
        (E, (E,), 0, "encoder_loss"),
        (G, (G,), 0, "generator_total"),
        (D, (D,), 0, "discriminator_loss"),
        None,
    ]
    assert vaegan.reads_per_step == 1


@pytest.mark.parametrize("name", NUMBER)
def test_a_phase_gives_gradients_to_all_weights_of_its_module_and_none_to_frozen_ones(name):
    modules = networks()
    for other in modules:
        modules[other].requires_grad_(other == name)
    losses(name, modules)[phase_of(name).minimises].backward()
    for other, module in modules.items():
        for parameter in module.parameters():
            assert (parameter.grad is not None and parameter.grad.abs().sum() > 0) == (other == name)


@pytest.mark.parametrize(
    ("name", "passed"),
    [
        (E, {E, G, D}),  # through the generator and the discriminator to the encoder
        (G, {G, D}),  # not to the encoder: z is detached
        (D, {D}),  # not to those that made the images
    ],
)
def test_where_gradients_end_whoever_is_frozen(name, passed):
    modules = networks()
    assert reached(losses(name, modules)[phase_of(name).minimises], modules) == passed


def test_the_encoder_minimises_the_error_in_features_and_the_divergence():
    modules, own = networks(), draws(0, 0)
    found = losses(E, modules, beta=0.25)
    made = reconstructed(modules, 0)
    inside = own.within("reconstruction")
    features = [modules[D].with_features(x, inside)[1] for x in (made, images())]
    error = 0.5 * ((features[0] - features[1]) ** 2).sum()
    kl = kl_to_normal(*modules[E](images(), own)).sum()
    torch.testing.assert_close(found["reconstruction"].float(), error)
    torch.testing.assert_close(found["kl"].float(), kl)
    torch.testing.assert_close(found["encoder_loss"].float(), error + 0.25 * kl)
    pixels = ((made / 2 - images() / 2) ** 2).mean((1, 2, 3)).sum()
    torch.testing.assert_close(found["mse"].float(), pixels)


def test_the_originals_features_are_constants():
    """The gradient to D's weights, were they trained, comes from the reconstruction alone."""
    modules, own = networks(), draws(0, 0)
    found = losses(E, modules, beta=0.0)["encoder_loss"]
    inside = own.within("reconstruction")
    wanted = modules[D].with_features(images(), inside)[1].detach()
    error = 0.5 * ((modules[D].with_features(reconstructed(modules, 0), inside)[1] - wanted) ** 2).sum()
    for name in (E, G):
        found_, expected = (gradients(loss.float(), modules, [name])[name] for loss in (found, error))
        torch.testing.assert_close(found_, expected)
    first = [torch.autograd.grad(loss, modules[D].first.weight)[0] for loss in (found, error)]
    torch.testing.assert_close(*first)


@pytest.mark.parametrize("gamma", [0.0, 0.3])
def test_the_generator_wants_both_kinds_of_images_to_pass_and_reconstructions_to_resemble(gamma):
    modules, own = networks(), draws(0, 1)
    found = losses(G, modules, gamma=gamma)
    inside = own.within("reconstruction")
    logits, features = modules[D].with_features(reconstructed(modules, 1), inside)
    _, wanted = modules[D].with_features(images(), inside)
    sample_logits = modules[D](modules[G](own.normal("latent", LATENT)), own.within("fake"))
    game = F.softplus(-logits).sum() + F.softplus(-sample_logits).sum()
    error = 0.5 * ((features - wanted) ** 2).sum()
    torch.testing.assert_close(found["generator_loss"].float(), game)
    torch.testing.assert_close(found["generator_total"].float(), game + gamma * error)


@pytest.mark.parametrize("label", [1.0, 0.9])
def test_the_discriminator_tells_originals_from_reconstructions_and_samples(label):
    modules, own = networks(), draws(0, 2)
    found = losses(D, modules, real_label=label)
    made, sample = reconstructed(modules, 2), modules[G](own.normal("latent", LATENT))
    real, made, sample = (
        modules[D](x, own.within(name)) for name, x in (("real", images()), ("reconstruction", made), ("fake", sample))
    )
    of_real = (label * F.softplus(-real) + (1 - label) * F.softplus(real)).sum()
    torch.testing.assert_close(
        found["discriminator_loss"].float(), of_real + F.softplus(made).sum() + F.softplus(sample).sum()
    )
    for name, logits in (("real", real), ("reconstruction", made), ("fake", sample)):
        torch.testing.assert_close(found[f"{name}_score"].float(), torch.sigmoid(logits).sum())


CHANGES = {"diffaugment": ["color", "translation", "cutout"], "instance_noise": 0.3}


def changed(x: torch.Tensor, own) -> torch.Tensor:
    noise = own.normal("instance_noise", 8, 8, 3).permute(0, 3, 1, 2)
    return diffaugment(x, CHANGES["diffaugment"], own) + CHANGES["instance_noise"] * noise


@pytest.mark.parametrize(
    ("name", "prefixes"),
    [
        (E, ["reconstruction", "reconstruction"]),  # compared, hence changed alike
        (G, ["reconstruction", "reconstruction", "fake"]),
        (D, ["real", "reconstruction", "fake"]),
    ],
)
def test_everything_that_the_discriminator_sees_is_changed(name, prefixes):
    modules, own = networks(), draws(0, NUMBER[name])
    losses(name, modules, **CHANGES)
    made, sample = reconstructed(modules, NUMBER[name]), modules[G](own.normal("latent", LATENT))
    shown = {E: [made, images()], G: [made, images(), sample], D: [images(), made, sample]}[name]
    assert len(modules[D].seen) == len(shown)
    for found, x, prefix in zip(modules[D].seen, shown, prefixes, strict=True):
        torch.testing.assert_close(found, changed(x, own.within(prefix)).detach())


def test_a_perfect_reconstruction_has_no_error_in_features_however_images_are_changed():
    modules = networks()
    _, error = objective(**CHANGES).compare(modules, images(), images(), draws())
    assert error == 0


def test_samples_come_from_the_prior_and_reconstructions_from_the_mean():
    modules, vaegan = networks(), objective()
    assert torch.equal(vaegan.sample(modules, draws()), modules[G](draws().normal("latent", LATENT)))
    mean = modules[E](images(), draws())[0]
    assert torch.equal(vaegan.posterior_means(modules, images(), draws()), mean)


# --- the family ------------------------------------------------------------------------------------------------------


def test_the_family_is_the_encoder_of_vae_and_the_players_of_dcgan():
    own = {"generator_width": 6, "discriminator_width": 5, "dropout": 0.2, "discriminator_norm": "spectral"}
    made = VAEGANSettings(family="vaegan", latent=7, encoder_width=4, **own).networks(16, 1)
    expected = {
        E: VAESettings(family="vae", latent=7, width=4).networks(16, 1)[E],
        **DCGANSettings(family="dcgan", latent=7, **own).networks(16, 1),
    }
    assert made.keys() == expected.keys()
    for name in made:
        assert str(made[name]) == str(expected[name])


@pytest.mark.parametrize(("size", "channels"), [(8, 1), (16, 3), (23, 3)])
def test_a_step_with_the_family_at_any_size(size, channels):
    model = VAEGANSettings(family="vaegan", latent=LATENT, encoder_width=2, generator_width=2, discriminator_width=2)
    model.check(size)
    modules = with_weights(3, **model.networks(size, channels))
    vaegan = VAEGANObjective(model, VAEGANObjectiveSettings(kind="vaegan"))
    x = torch.linspace(-1, 1, 4 * channels * size * size).view(4, channels, size, size)
    for done in range(3):
        phase = vaegan.next_phase(0, [Committed("", {})] * done)
        loss = phase.loss(modules, microbatch(x), draws(0, done, count=4))[phase.minimises]
        assert torch.isfinite(gradients(loss, modules, phase.trains)[phase.trains[0]]).all()
    assert vaegan.decode(modules, vaegan.posterior_means(modules, x, draws(count=4))).shape == x.shape
