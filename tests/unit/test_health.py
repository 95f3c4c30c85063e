"""Numbers to warnings: what is a sign of what, and when it is said. Most numbers are those of real runs."""

import pytest

from gen_dist.health import LEAST_PATIENCE, Health, signs
from gen_dist.presets import load_config
from gen_dist.remedies import remedies

WINNING, REPEATING, COLLAPSED = "discriminator winning", "generator repeating itself", "posterior collapse"

GAN, VAE = ("dcgan-64", []), ("vae-64", [])
SMOOTH = ("dcgan-64", ["objective.real_label=0.9"])
PLAIN = ["model.discriminator_norm=none"]
HINGE = ("dcgan-64", ["objective.loss=hinge"])
SQUARES = ("dcgan-64", ["objective.loss=least_squares"])
SMOOTH_SQUARES = ("dcgan-64", ["objective.loss=least_squares", "objective.real_label=0.8"])
CRITIC = ("dcgan-64", ["objective.loss=wgan_gp", *PLAIN])
BOTH = ("vaegan-64", [])
SMALL_LATENT = ("vae-64", ["model.latent=2"])


def config_of(case, *more):
    preset, overrides = case
    return load_config(preset, [*overrides, *more])


def scores(real, fake, loss=0.5):
    return {"real_score": real, "fake_score": fake, "discriminator_loss": loss}


DISCRIMINATORS = {
    "emoji, healthy": (SMOOTH, scores(0.73, 0.15, 0.66), None),
    "faces, strong": (GAN, scores(0.91, 0.07, 0.2), None),
    "a video, lost": (GAN, scores(0.9935, 0.0114, 0.0182), "it gives real images 0.99 and generated ones 0.01"),
    "smoothed labels, lost": (SMOOTH, scores(0.89, 0.01, 0.35), "it gives real images 0.89 and generated ones 0.01"),
    "generated ones known, real ones not": (GAN, scores(0.6, 0.01), None),
    "generator winning": (GAN, scores(0.5, 0.5, 1.39), None),
    "hinge, healthy": (HINGE, scores(0.8, -0.9, 0.6), None),
    "hinge, logits like scores": (HINGE, scores(1.0, 0.0, 1.0), None),
    "hinge, lost": (HINGE, scores(3.0, -3.0, 0.05), "its loss is 0.05, where guessing costs 2"),
    "least squares, healthy": (SQUARES, scores(0.8, 0.2, 0.05), None),
    "least squares, lost": (SQUARES, scores(1.0, 0.0, 0.01), "its loss is 0.01, where guessing costs 0.25"),
    "least squares, smoothed": (
        SMOOTH_SQUARES,
        scores(0.8, 0.0, 0.005),
        "its loss is 0.005, where guessing costs 0.16",
    ),
    "a critic may": (CRITIC, scores(40.0, -40.0, -80.0), None),
    "vaegan, lost": (BOTH, scores(0.99, 0.01), "it gives real images 0.99 and generated ones 0.01"),
    "no discriminator": (VAE, {"loss": -1000.0}, None),
    "nothing recorded": (GAN, {}, None),
}


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_discriminators(name):
    case, losses, expected = DISCRIMINATORS[name]
    assert signs(config_of(case), losses, {}, {}) == ({WINNING: expected} if expected else {})


def pair(sample_distance, nearest_sample):
    return {"sample_distance": sample_distance, "nearest_sample": nearest_sample}


TWO = "two samples differ 0.08 times as much as two real images"
GENERATORS = {
    "healthy": (GAN, pair(0.7, 0.65), pair(0.75, 0.7), None),
    "less varied than real images": (GAN, pair(0.5, 0.4), pair(0.45, 0.35), None),
    "slow, but growing": (GAN, pair(0.189, 0.236), pair(0.258, 0.273), None),
    "all alike": (GAN, pair(0.085, 0.528), pair(0.077, 0.478), TWO),
    "twins": (
        GAN,
        pair(0.8, 0.1),
        pair(0.8, 0.02),
        "the most alike samples differ 0.02 times as much as the most alike real images",
    ),
    "all equal": (GAN, pair(0.0, 0.0), pair(0.0, 0.0), TWO.replace("0.08", "0.00")),
    "falling": (BOTH, pair(0.9, 0.9), pair(0.08, 0.9), TWO),
    "nothing to compare with": (GAN, {}, pair(0.01, 0.01), None),
    "real images that are all equal": (GAN, {}, {}, None),
    "a critic's": (CRITIC, pair(0.08, 0.1), pair(0.08, 0.1), TWO),
    "a VAE's": (VAE, pair(0.04, 0.05), pair(0.04, 0.05), None),
}


@pytest.mark.parametrize("name", GENERATORS)
def test_generators(name):
    case, before, figures, expected = GENERATORS[name]
    assert signs(config_of(case), {}, figures, before) == ({REPEATING: expected} if expected else {})


LATENTS = {
    "healthy": (VAE, 128, 128, None),
    "enough": (VAE, 20, 12, None),
    "few": (VAE, 3, 2, "2 of 128 latent values vary from image to image"),
    "none": (VAE, 0, 0, "0 of 128 latent values vary from image to image"),
    "growing": (VAE, 0, 2, None),
    "both of two": (SMALL_LATENT, 2, 2, None),
    "one of two": (SMALL_LATENT, 2, 1, None),
    "none of two": (SMALL_LATENT, 2, 0, "0 of 2 latent values vary from image to image"),
    "vaegan": (BOTH, 9, 1, "1 of 128 latent values vary from image to image"),
}


@pytest.mark.parametrize("name", LATENTS)
def test_latents(name):
    case, before, now, expected = LATENTS[name]
    found = signs(config_of(case), {}, {"active_units": float(now)}, {"active_units": float(before)})
    assert found == ({COLLAPSED: expected} if expected else {})


LOW, HIGH = pair(0.1, 0.1), pair(0.9, 0.9)
# train.sample_every, the figures of one round after the other, and the steps at which something is said.
ROUNDS = {
    "healthy": (500, [HIGH] * 6, []),
    "from the start": (500, [LOW] * 6, [1500]),
    "only in the first rounds": (500, [LOW, LOW, HIGH, HIGH], []),
    "now and then": (500, [HIGH, LOW, HIGH, LOW, HIGH, LOW, HIGH], []),
    "later": (500, [HIGH, HIGH, HIGH, LOW, LOW, LOW], [2500]),
    "one good round in between is no end": (500, [LOW, LOW, LOW, HIGH, LOW, LOW, LOW], [1500]),
    "ends and begins again": (500, [LOW, LOW, LOW, HIGH, HIGH, LOW, LOW, LOW], [1500, 3500]),
    "rounds that come often": (10, [LOW] * 60, [2 * LEAST_PATIENCE + 10]),
    "a short run": (10, [LOW] * (LEAST_PATIENCE // 10), []),
    "one round": (10_000, [LOW], []),
}


@pytest.mark.parametrize("name", ROUNDS)
def test_when_it_is_said(name):
    every, rounds, expected = ROUNDS[name]
    health = Health(config_of(GAN, f"train.sample_every={every}"))
    warnings = [w for number, figures in enumerate(rounds, 1) for w in health.judge(number * every, figures)]
    assert [(w.step, w.title) for w in warnings] == [(step, REPEATING) for step in expected]


def test_losses_count_by_their_median_since_the_last_round():
    """A step in sixteen with another loss changes nothing, and a round does not see those before it."""
    health, warnings = Health(config_of(HINGE, "train.sample_every=300")), []
    for step in range(1, 1501):
        health.note(scores(3.0, -3.0, 2.0 if step % 16 == 0 or step <= 600 else 0.01))
        warnings += health.judge(step, {}) if step % 300 == 0 else []
    [warning] = warnings
    assert (warning.step, warning.title) == (1200, WINNING)
    assert warning.text.startswith(
        "discriminator winning since step 900: its loss is 0.01, where guessing costs 2; try "
    )


def test_a_warning_is_one_line_with_figure_step_and_keys():
    health = Health(config_of(VAE, "objective.beta=1000"))
    [warning] = [w for step in (500, 1000, 1500) for w in health.judge(step, {"active_units": 0.0})]
    assert warning.text == (
        "posterior collapse since step 1000: 0 of 128 latent values vary from image to image; try objective.beta=1, "
        "objective.kl_warmup_steps=5000 or objective.free_bits=0.1"
    )
    assert len(warning.title) < 64  # W&B's limit


def test_two_troubles_are_two_warnings():
    health, lost = Health(config_of(GAN)), scores(0.99, 0.01)
    said = []
    for step in (500, 1000, 1500, 2000):
        health.note(lost)
        said += [(w.step, w.title) for w in health.judge(step, LOW)]
    assert said == [(1500, WINNING), (1500, REPEATING)]


DIFFAUGMENT = "objective.diffaugment=[color,translation,cutout]"
RATE = "optimizer.discriminator_learning_rate"
REMEDIES = {
    "plain": (GAN, WINNING, [DIFFAUGMENT, "objective.real_label=0.9", f"{RATE}=0.0001"]),
    "smoothed": (SMOOTH, WINNING, [DIFFAUGMENT, f"{RATE}=0.0001", "objective.instance_noise=0.1"]),
    "D is faster": (
        ("dcgan-64", [f"{RATE}=0.02", "objective.discriminator_steps=3"]),
        WINNING,
        [f"{RATE}=0.0002", "objective.discriminator_steps=1", DIFFAUGMENT],
    ),
    "labels mean nothing, gradients are possible": (
        ("dcgan-64", ["objective.loss=hinge", "objective.diffaugment=[cutout]", f"{RATE}=1e-5", *PLAIN]),
        WINNING,
        ["objective.r1=10", "objective.instance_noise=0.1"],
    ),
    "all that helps is there": (
        (
            "dcgan-64",
            [DIFFAUGMENT, "objective.real_label=0.9", f"{RATE}=1e-5", "objective.r1=1", *PLAIN,
             "objective.instance_noise=0.1"],
        ),
        WINNING,
        [],
    ),
    "batch norm": (GAN, REPEATING, ["model.discriminator_norm=spectral", DIFFAUGMENT, "objective.loss=hinge"]),
    "spectral norm": (
        ("dcgan-64", ["model.discriminator_norm=spectral", DIFFAUGMENT]),
        REPEATING,
        ["objective.r1=10", "objective.loss=hinge", f"{RATE}=0.0004"],
    ),
    "one stage": (
        ("dcgan-64", ["objective.updates=one_stage", *PLAIN, DIFFAUGMENT, "objective.r1=1"]),
        REPEATING,
        ["model.discriminator_norm=spectral", f"{RATE}=0.0004"],
    ),
    "beta": (VAE, COLLAPSED, ["objective.kl_warmup_steps=5000", "objective.free_bits=0.1", "objective.beta=0.25"]),
    "Bernoulli": (
        ("vae-64", ["objective.likelihood=bernoulli", "objective.free_bits=1"]),
        COLLAPSED,
        ["objective.likelihood=sigma", "objective.kl_warmup_steps=5000", "objective.beta=0.25"],
    ),
    "a sigma of one's own": (
        ("vae-64", ["objective.likelihood=gaussian", "objective.sigma=1", "objective.free_bits=1"]),
        COLLAPSED,
        ["objective.sigma=0.1", "objective.kl_warmup_steps=5000", "objective.beta=0.25"],
    ),
    "no KL term": (("vae-64", ["objective.beta=0", "objective.kl_warmup_steps=9", "objective.free_bits=1"]), COLLAPSED,
                   []),
    "vaegan": (BOTH, WINNING, [DIFFAUGMENT, "objective.real_label=0.9", f"{RATE}=0.00015"]),
    "vaegan's latent": (BOTH, COLLAPSED, ["objective.beta=0.25"]),
}  # fmt: skip


@pytest.mark.parametrize("name", REMEDIES)
def test_remedies(name):
    case, trouble, expected = REMEDIES[name]
    assert remedies(config_of(case), trouble) == expected
    for change in expected:  # as the user would type it
        assert config_of(case, change) != config_of(case)


def test_a_warning_without_remedy_ends_with_the_figure():
    case, trouble, _ = REMEDIES["all that helps is there"]
    health = Health(config_of(case))
    for step in (500, 1000):
        health.note(scores(0.899, 0.001))
        assert health.judge(step, {}) == []
    health.note(scores(0.899, 0.001))
    [warning] = health.judge(1500, {})
    assert warning.title == trouble
    assert warning.text.endswith("generated ones 0.00")
