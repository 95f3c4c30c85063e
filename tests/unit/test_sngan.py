"""The family `sngan`: shapes at any size, every weight of D normalised, and what a step costs."""

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from gen_dist.models.base import AdversarialSettings
from gen_dist.models.blocks import SPECTRAL_GAIN, Gain
from gen_dist.models.dcgan import DCGANSettings
from gen_dist.models.layers import GhostBatchNorm
from gen_dist.models.sngan import SNGANSettings
from gen_dist.models.spectral import SpectralLayer, iterate_spectral_norm
from tests.small_models import built, draws_of, normal, same_state, state_of

SIZES = [8, 16, 17, 23, 28, 32, 33, 50, 64, 92, 100]
BLOCKS = ["residual", "plain"]

pytestmark = pytest.mark.usefixtures("one_thread")


def settings(**changed: Any) -> SNGANSettings:
    small = {"latent": 6, "generator_width": 2, "discriminator_width": 2}
    return SNGANSettings(family="sngan", **{**small, **changed})


@pytest.mark.parametrize("norm", ["spectral", "none"])
@pytest.mark.parametrize("blocks", BLOCKS)
@pytest.mark.parametrize("size", SIZES)
def test_images_and_logits_of_any_size(size, blocks, norm):
    channels = 3 if size % 2 else 1
    model = settings(blocks=blocks, discriminator_norm=norm, dropout=0.1, dropout_kind="channel")
    modules = built(model, size, channels)
    fake = modules["generator"](normal(2, 6))
    assert fake.shape == (2, channels, size, size)
    assert fake.abs().max() < 1
    logits = modules["discriminator"](fake, draws_of(2))
    assert logits.shape == (2,)
    assert fake.dtype == logits.dtype == torch.float32
    logits.sum().backward()
    for module in modules.values():
        assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


@pytest.mark.parametrize("blocks", BLOCKS)
def test_spectral_norm_of_every_weight_of_the_discriminator_and_no_batch_norm(blocks):
    discriminator = built(settings(blocks=blocks), 32, 3)["discriminator"]
    weighted = [
        module for module in discriminator.modules() if isinstance(getattr(module, "weight", None), nn.Parameter)
    ]
    assert weighted
    assert all(isinstance(module, SpectralLayer) for module in weighted)
    plain = built(settings(blocks=blocks, discriminator_norm="none"), 32, 3)["discriminator"]
    assert not any(isinstance(module, SpectralLayer | GhostBatchNorm) for module in plain.modules())
    assert sum(p.numel() for p in plain.parameters()) == sum(p.numel() for p in discriminator.parameters())


@pytest.mark.parametrize("blocks", BLOCKS)
def test_an_image_is_judged_by_itself(blocks):
    model = settings(blocks=blocks)
    discriminator, x = built(model, 16, 3)["discriminator"], normal(4, 3, 16, 16)
    assert not model.mixes_images
    apart = torch.cat([discriminator(image, draws_of(1)) for image in x.split(1)])
    torch.testing.assert_close(discriminator(x, draws_of(4)), apart)


@pytest.mark.parametrize("blocks", BLOCKS)
@pytest.mark.parametrize(("size", "side"), [(16, 8), (64, 8), (8, 4)])
def test_features_of_the_last_but_one_level(blocks, size, side):
    discriminator, x = built(settings(blocks=blocks), size, 3)["discriminator"], normal(2, 3, size, size)
    logits, features = discriminator.with_features(x, draws_of(2))
    assert torch.equal(logits, discriminator(x, draws_of(2)))
    assert features.shape[2:] == (side, side)


@pytest.mark.parametrize("blocks", BLOCKS)
def test_forward_changes_no_state_and_a_copy_does_the_same(blocks):
    modules = built(settings(blocks=blocks), 16, 3)
    iterate_spectral_norm(modules["discriminator"])
    before = [state_of(module) for module in modules.values()]
    outputs = [
        own["discriminator"](own["generator"](normal(2, 6)), draws_of(2)) for own in (modules, copy.deepcopy(modules))
    ]
    assert torch.equal(*outputs)
    assert all(same_state(old, state_of(module)) for old, module in zip(before, modules.values(), strict=True))


def multiplications(model: AdversarialSettings, size: int, channels: int) -> list[int]:
    """Of the generator and the discriminator, for one image."""
    counts = []
    with torch.device("meta"), torch.no_grad():
        modules = model.networks(size, channels)
        x: Any = torch.empty(1, model.latent)
        for name, others in (("generator", ()), ("discriminator", (None,))):
            with FlopCounterMode(display=False) as counter:
                x = modules[name](x, *others)
            counts.append(counter.get_total_flops() // 2)
    return counts


def test_half_the_width_of_dcgan_costs_less_than_half_of_it():
    """Both have their first width at half the size."""
    ours = multiplications(SNGANSettings(family="sngan", generator_width=32, discriminator_width=32), 64, 3)
    theirs = multiplications(DCGANSettings(family="dcgan"), 64, 3)
    assert 4 * ours[0] + 8 * ours[1] < 0.5 * (4 * theirs[0] + 8 * theirs[1])  # forward and backward passes of a step


def test_logits_after_spectral_layers_are_scaled_up():
    model = settings()
    discriminator, x = built(model, 16, 3)["discriminator"], normal(4, 3, 16, 16)
    logits = discriminator(x, draws_of(4))
    last = [layer for layer in discriminator.modules() if isinstance(layer, SpectralLayer)][-1]
    last.weight.data *= 100  # without effect
    torch.testing.assert_close(discriminator(x, draws_of(4)), logits)
    gains = [layer for layer in discriminator.modules() if isinstance(layer, Gain)]
    assert [gain.factor for gain in gains] == [SPECTRAL_GAIN]
    gains[0].factor = 1.0
    torch.testing.assert_close(discriminator(x, draws_of(4)) * SPECTRAL_GAIN, logits)
