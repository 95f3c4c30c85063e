"""Presets of public projects train as those did: their optimisers, batches and losses, written out by hand."""

import pytest

from gen_dist.presets import load_config, preset_names
from tests.unit.test_preset_parameters import OURS

CELEBA, CARS = 202_599, 8_144  # images
MNIST = 60_000
UNIFORM, NORMAL = "uniform", "normal"
# Optimiser, rate, batch, latent values, steps.
VAES = {
    "vae-faces64-mlp": ("rmsprop", 1e-3, 100, 2, 250 * 9000 // 100),
    "vae-skyline64": ("rmsprop", 1e-3, 25, 2, 50 * 1200 // 25),
    "vae-mnist-fc": ("adam", 4e-4, 200, 4, 25 * MNIST // 200),
    "vae-mnist-conv": ("adam", 4e-4, 200, 4, 25 * MNIST // 200),
    "vae-celeba64": ("adam", 4e-4, 200, 10, round(5 * CELEBA / 200)),
    "vae-mnist": ("rmsprop", 1e-3, 256, 10, -(-60 * MNIST // 256)),
    "vae-mnist-latent2": ("rmsprop", 1e-3, 256, 2, -(-60 * MNIST // 256)),
    "vae-mnist-latent3": ("rmsprop", 1e-3, 256, 3, -(-60 * MNIST // 256)),
    "vae-cifar10": ("rmsprop", 1e-3, 256, 16, -(-25 * 50_000 // 256)),
    "vae-caltech92": ("rmsprop", 1e-3, 256, 32, 3389),
    "vae-caltech128": ("rmsprop", 1e-3, 32, 64, 81_347),
}
# Optimiser, rate, D's rate, beta1 (of Adam), batch, latent values, prior, real label, D steps a G step, steps.
GANS = {
    "dcgan-faces32": ("adam", 2e-4, 2e-4, 0.5, 128, 100, UNIFORM, 1.0, 1, 10 * CELEBA // 128),
    "gan-mnist32": ("adam", 2e-3, 2e-3, 0.5, 50, 100, NORMAL, 0.9, 1, 5 * MNIST // 50),
    "dcgan-celeba64": ("adam", 3e-4, 3e-4, 0.5, 200, 100, NORMAL, 1.0, 2, round(10 * CELEBA / 200)),
    "dcgan-cars64": ("adam", 7e-4, 3e-4, 0.5, 200, 100, NORMAL, 1.0, 2, round(60 * CARS / 200)),
    "dcgan-sprites64": ("adam", 3e-4, 3e-4, 0.5, 200, 100, NORMAL, 0.9, 2, 8000),
    "gan-balanced64": ("adam", 2e-5, 2e-5, 0.0005, 50, 100, UNIFORM, 1.0, 1, 4000),
    "gan-custom16": ("adam", 3e-4, 2e-4, 0.5, 32, 100, UNIFORM, 0.9, 1, 5000),
    "gan-vanilla128": ("sgd", 1e-2, 1e-2, None, 64, 100, UNIFORM, 1.0, 1, 10_000),
    "dcgan-64": ("adam", 2e-4, 2e-4, 0.5, 128, 100, NORMAL, 1.0, 1, 25_000),
}
WITH_AVERAGE = {"dcgan-64"}  # the only one that may: it is the plain one of ours, too


def test_every_preset_is_pinned_or_ours():
    assert {*VAES, *GANS, *OURS, "vae-64"} == set(preset_names())


@pytest.mark.parametrize("preset", VAES)
def test_a_vae(preset):
    config = load_config(preset)
    optimizer, train = config.optimizer, config.train
    assert (optimizer.kind, optimizer.learning_rate, train.batch_size, config.model.latent, train.steps) == VAES[preset]
    assert (config.objective.beta, config.objective.kl_warmup_steps, train.ema_decay) == (1, 0, 0)


@pytest.mark.parametrize("preset", GANS)
def test_a_gan(preset):
    config = load_config(preset)
    optimizer, objective, train = config.optimizer, config.objective, config.train
    found = (
        optimizer.kind, optimizer.learning_rate, optimizer.discriminator_learning_rate or optimizer.learning_rate,
        optimizer.beta1 if optimizer.kind == "adam" else None, train.batch_size, config.model.latent,
        config.model.prior, objective.real_label, objective.discriminator_steps, train.steps,
    )  # fmt: skip
    assert found == GANS[preset]
    assert (objective.loss, objective.updates) == ("bce", "alternating")
    assert (train.ema_decay > 0) == (preset in WITH_AVERAGE)


@pytest.mark.parametrize("preset", [*VAES, *GANS])
def test_none_has_what_came_later(preset):
    """Schedules, clipping, penalties and changes of what D sees are ours."""
    config = load_config(preset)
    assert (config.optimizer.schedule, config.optimizer.warmup_steps, config.optimizer.clip_norm) == ("constant", 0, 0)
    assert not getattr(config.objective, "r1", 0)
    assert not getattr(config.objective, "diffaugment", [])


@pytest.mark.parametrize(
    ("preset", "augment"),
    [
        ("gan-custom16", {"rotation": 10.0, "width_shift": 0.1, "height_shift": 0.1, "shear": 0.15, "zoom": 0.1,
                          "horizontal_flip": True}),
        ("dcgan-sprites64", {"rotation": 90.0, "horizontal_flip": True, "fill_mode": "constant", "fill_value": 255}),
    ],
)  # fmt: skip
def test_augmentation(preset, augment):
    assert load_config(preset).data.augment.model_dump(exclude_defaults=True) == augment


def test_the_balance_rule_and_the_noise():
    balanced, custom = load_config("gan-balanced64").objective, load_config("gan-custom16").objective
    assert (balanced.balance_margin, balanced.balance_steps) == (0.1, 5)
    assert custom.instance_noise == 0.5
