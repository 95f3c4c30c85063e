"""Presets of public projects have the networks that were counted by hand: their YAML cannot drift from them."""

import pytest

from gen_dist.models.build import count_parameters
from gen_dist.presets import load_config, preset_names
from tests.unit.test_parameter_counts import REFERENCES

# Preset to the reference.
COUNTED = {
    "dcgan-64": "S1 CelebA GAN, pytorch/examples",
    "dcgan-cars64": "S1 CelebA GAN, pytorch/examples",
    "dcgan-celeba64": "S1 CelebA GAN, pytorch/examples",
    "dcgan-faces32": "S0 DCGAN",
    "dcgan-sprites64": "S1 CelebA GAN, pytorch/examples",
    "gan-balanced64": "S2",
    "gan-custom16": "S4 at 16",
    "gan-mnist32": "S1 MNIST GAN",
    "gan-vanilla128": "S4 vanilla at 128",
    "vae-64": "vae-64",
    "vae-caltech128": "S3 Caltech-101 at 128",
    "vae-caltech92": "S3 Caltech-101 at 92",
    "vae-celeba64": "S1 CelebA VAE",
    "vae-cifar10": "S3 CIFAR-10",
    "vae-faces64-mlp": "S0 face VAE",
    "vae-mnist-conv": "S1 conv-VAE",
    "vae-mnist-fc": "S1 FC-VAE",
    "vae-mnist-latent2": "S3 MNIST",
    "vae-skyline64": "S0 skyline VAE",
}
MORE_LATENT_VALUES = {"vae-mnist": 10, "vae-mnist-latent3": 3}
OURS = {"dcgan-32", "dcgan-emoji", "dcgan-grow-64", "dcgan-one-stage-64", "smoke", "sngan-64", "sngan-small",
        "vae-64-sharp", "vae-emoji", "vaegan-64"}  # fmt: skip


def counts(preset: str) -> list[int]:
    config = load_config(preset)
    return list(count_parameters(config, config.data.channels or 3).values())


@pytest.mark.parametrize("preset", COUNTED)
def test_as_counted(preset):
    _, size, channels, *by_hand, _ = REFERENCES[COUNTED[preset]]
    data = load_config(preset).data
    assert data.size == size
    assert data.channels in (None, channels)
    assert counts(preset) == by_hand


@pytest.mark.parametrize("preset", MORE_LATENT_VALUES)
def test_as_counted_with_more_latent_values(preset):
    more = MORE_LATENT_VALUES[preset] - 2
    encoder, decoder = REFERENCES["S3 MNIST"][3:5]
    assert counts(preset) == [encoder + more * 2 * (512 + 1), decoder + more * 512]


def test_every_preset_is_counted_or_ours():
    assert {*COUNTED, *MORE_LATENT_VALUES, *OURS} == set(preset_names())
