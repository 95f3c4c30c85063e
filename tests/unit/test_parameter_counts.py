"""The reference systems' architectures: as many parameters as counted by hand.

A convolution has (channels before) * (channels after) * kernel^2 weights, a linear layer before * after. Both have a
bias for each channel or feature, unless batch norm follows at once; that has two parameters for each. Layers stand in
their order, each in parentheses.
"""

import pytest

from gen_dist.models.build import count_parameters
from gen_dist.presets import parse_config

FACES = {"family": "vae", "latent": 2, "layers": ["fc512"]}
SKYLINE = {"family": "vae", "latent": 2, "layers": ["fc256"]}
FACES_GAN = {
    "family": "gan",
    "latent": 100,
    "generator_layers": ["fc1024", "map128fbn", "64k5up", "outk5up"],
    "discriminator_layers": ["64k5max", "128k5validmax", "fc1024"],
    "discriminator_norm": "none",
}
MNIST_GAN = {
    "family": "gan",
    "latent": 100,
    "generator_layers": ["map128bn", "128k3upbn", "64k3upbn", "outk3"],
    "discriminator_layers": ["16k3s2", "32k3s2bn", "64k3s2bn", "128k3s2bn"],
    "norm_place": "after",
}
BALANCED = {
    "family": "gan",
    "latent": 100,
    "generator_layers": ["map1024fbn", "512k5upbn", "256k5upbn", "128k5upbn", "outk5up"],
    "discriminator_layers": ["128k5s2", "256k5s2", "512k5s2", "1024k5s2"],
    "discriminator_norm": "none",
}
CUSTOM16 = {
    "family": "gan",
    "latent": 100,
    "generator_layers": ["map768", "192k4upbn", "48k4upbn", "12k4upbn", "outk4upbn"],
    "discriminator_layers": ["12k5avg", "48k5avg", "192k5avg", "768k5avg"],
    "discriminator_norm": "none",
}
VANILLA = {
    "family": "gan",
    "latent": 100,
    "generator_layers": ["fc256", "fc512", "fc1024"],
    "discriminator_layers": ["fc512", "fc256"],
}

# Name: model, size, channels; parameters of the encoder or generator, of the decoder or discriminator; in millions.
REFERENCES = {
    "S0 face VAE": (
        FACES, 64, 3,
        (12288 * 512 + 512) + (512 * 4 + 4),
        (2 * 512 + 512) + (512 * 12288 + 12288),
        (6.3, 6.3),  # 12.6 in all
    ),
    "S0 skyline VAE": (
        SKYLINE, 64, 3,
        (12288 * 256 + 256) + (256 * 4 + 4),
        (2 * 256 + 256) + (256 * 12288 + 12288),
        (3.1, 3.2),
    ),
    "S0 DCGAN": (
        FACES_GAN, 32, 3,
        (100 * 1024 + 1024) + (1024 * 8192 + 2 * 8192) + (128 * 64 * 25 + 64) + (64 * 3 * 25 + 3),
        # 32 pixels, pooled to 16; without padding 12, pooled to 6
        (3 * 64 * 25 + 64) + (64 * 128 * 25 + 128) + (6 * 6 * 128 * 1024 + 1024) + (1024 + 1),
        (8.7, 4.9),
    ),
    "S1 FC-VAE": (
        {"family": "vae", "latent": 4, "layers": ["fc64", "fc64"]}, 28, 1,
        (784 * 64 + 64) + (64 * 64 + 64) + (64 * 8 + 8),
        (4 * 64 + 64) + (64 * 64 + 64) + (64 * 784 + 784),
        (0.1, 0.1),
    ),
    "S1 conv-VAE": (
        {"family": "vae", "latent": 4, "layers": ["16k3", "32k3s2", "16k3", "fc512"]}, 28, 1,
        (1 * 16 * 9 + 16) + (16 * 32 * 9 + 32) + (32 * 16 * 9 + 16) + (14 * 14 * 16 * 512 + 512) + (512 * 8 + 8),
        (4 * 512 + 512) + (512 * 14 * 14 * 16 + 14 * 14 * 16)
        + (16 * 32 * 9 + 32) + (32 * 16 * 9 + 16) + (16 * 1 * 9 + 1),
        (1.6, 1.6),
    ),
    "S1 MNIST GAN": (
        MNIST_GAN, 32, 1,
        (100 * 8 * 8 * 128 + 2 * 128) + (128 * 128 * 9 + 2 * 128) + (128 * 64 * 9 + 2 * 64) + (64 * 1 * 9 + 1),
        # batch norm does not follow at once: biases; 32 pixels halved four times
        (1 * 16 * 9 + 16) + (16 * 32 * 9 + 32 + 2 * 32) + (32 * 64 * 9 + 64 + 2 * 64) + (64 * 128 * 9 + 128 + 2 * 128)
        + (2 * 2 * 128 * 1 + 1),
        (1.0, 0.1),
    ),
    "S1 CelebA VAE": (
        {"family": "vae", "latent": 10, "layers": ["32k4s2bn", "64k4s2bn", "32k3", "fc512"]}, 64, 3,
        (3 * 32 * 16 + 2 * 32) + (32 * 64 * 16 + 2 * 64) + (64 * 32 * 9 + 32)
        + (16 * 16 * 32 * 512 + 512) + (512 * 20 + 20),
        (10 * 512 + 512) + (512 * 16 * 16 * 32 + 16 * 16 * 32)
        + (32 * 64 * 9 + 2 * 64) + (64 * 32 * 16 + 2 * 32) + (32 * 3 * 16 + 3),
        (4.3, 4.3),
    ),
    "S1 CelebA GAN, pytorch/examples": (
        {"family": "dcgan"}, 64, 3,
        # no biases
        (100 * 512 * 16 + 2 * 512) + (512 * 256 * 16 + 2 * 256) + (256 * 128 * 16 + 2 * 128) + (128 * 64 * 16 + 2 * 64)
        + 64 * 3 * 16,
        3 * 64 * 16 + (64 * 128 * 16 + 2 * 128) + (128 * 256 * 16 + 2 * 256) + (256 * 512 * 16 + 2 * 512)
        + 512 * 1 * 16,
        (3.6, 2.8),
    ),
    "S2": (
        BALANCED, 64, 3,
        (100 * 1024 * 16 + 2 * 1024 * 16) + (1024 * 512 * 25 + 2 * 512) + (512 * 256 * 25 + 2 * 256)
        + (256 * 128 * 25 + 2 * 128) + (128 * 3 * 25 + 3),
        (3 * 128 * 25 + 128) + (128 * 256 * 25 + 256) + (256 * 512 * 25 + 512) + (512 * 1024 * 25 + 1024)
        + (1024 * 16 + 1),
        (18.9, 17.2),
    ),
    "S3 MNIST": (
        {"family": "vae", "latent": 2, "layers": ["fc512"]}, 28, 1,
        (784 * 512 + 512) + (512 * 4 + 4),
        (2 * 512 + 512) + (512 * 784 + 784),
        (0.4, 0.4),
    ),
    "S3 CIFAR-10": (
        {"family": "vae", "latent": 16, "layers": ["3k2", "32k2s2", "32k3", "32k3", "fc128"]}, 32, 3,
        (3 * 3 * 4 + 3) + (3 * 32 * 4 + 32) + (32 * 32 * 9 + 32) + (32 * 32 * 9 + 32)
        + (16 * 16 * 32 * 128 + 128) + (128 * 32 + 32),
        (16 * 128 + 128) + (128 * 16 * 16 * 32 + 16 * 16 * 32)
        + (32 * 32 * 9 + 32) + (32 * 32 * 9 + 32) + (32 * 3 * 4 + 3) + (3 * 3 * 4 + 3),
        (1.1, 1.1),
    ),
    "S3 Caltech-101 at 92": (
        {"family": "vae", "latent": 32, "layers": ["32k3s2", "32k3s2", "32k3s2", "fc256"]}, 92, 3,
        # 92, 46, 23, 12
        (3 * 32 * 9 + 32) + (32 * 32 * 9 + 32) + (32 * 32 * 9 + 32) + (12 * 12 * 32 * 256 + 256) + (256 * 64 + 64),
        (32 * 256 + 256) + (256 * 12 * 12 * 32 + 12 * 12 * 32)
        + (32 * 32 * 9 + 32) + (32 * 32 * 9 + 32) + (32 * 3 * 9 + 3),
        (1.2, 1.2),
    ),
    "S3 Caltech-101 at 128": (
        {"family": "vae", "latent": 64, "layers": ["64k3s2", "64k3s2", "64k3s2", "fc256"]}, 128, 3,
        (3 * 64 * 9 + 64) + (64 * 64 * 9 + 64) + (64 * 64 * 9 + 64) + (16 * 16 * 64 * 256 + 256) + (256 * 128 + 128),
        (64 * 256 + 256) + (256 * 16 * 16 * 64 + 16 * 16 * 64)
        + (64 * 64 * 9 + 64) + (64 * 64 * 9 + 64) + (64 * 3 * 9 + 3),
        (4.3, 4.3),
    ),
    "S4 at 16": (
        CUSTOM16, 16, 3,
        (100 * 768 + 768) + (768 * 192 * 16 + 2 * 192) + (192 * 48 * 16 + 2 * 48) + (48 * 12 * 16 + 2 * 12)
        + (12 * 3 * 16 + 2 * 3),
        # 16 pixels pooled four times
        (3 * 12 * 25 + 12) + (12 * 48 * 25 + 48) + (48 * 192 * 25 + 192) + (192 * 768 * 25 + 768) + (768 + 1),
        (2.6, 3.9),
    ),
    "S4 vanilla at 128": (
        VANILLA, 128, 3,
        (100 * 256 + 256) + (256 * 512 + 512) + (512 * 1024 + 1024) + (1024 * 49152 + 49152),
        (49152 * 512 + 512) + (512 * 256 + 256) + (256 + 1),
        (51.1, 25.3),
    ),
    "vae-64": (
        {"family": "vae", "latent": 128, "width": 32}, 64, 3,
        (3 * 32 * 16 + 2 * 32) + (32 * 64 * 16 + 2 * 64) + (64 * 128 * 16 + 2 * 128) + (128 * 256 * 16 + 2 * 256)
        + (256 * 16 * 256 + 256),
        (128 * 256 * 16 + 2 * 256) + (256 * 128 * 16 + 2 * 128) + (128 * 64 * 16 + 2 * 64) + (64 * 32 * 16 + 2 * 32)
        + (32 * 3 * 16 + 3),
        (1.7, 1.2),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFERENCES)
def test_a_reference_has_as_many_parameters_as_counted_by_hand(name):
    model, size, channels, *by_hand, millions = REFERENCES[name]
    kind = "vae" if model["family"] == "vae" else "gan"
    config = parse_config({"data": {"size": size}, "model": model, "objective": {"kind": kind}})
    counts = list(count_parameters(config, channels).values())
    assert counts == by_hand
    assert [round(count / 1e6, 1) for count in counts] == list(millions)


def test_the_totals_that_the_references_state():
    face_encoder, face_decoder = REFERENCES["S0 face VAE"][3:5]
    assert round((face_encoder + face_decoder) / 1e6, 1) == 12.6
    generator, discriminator = REFERENCES["S1 CelebA GAN, pytorch/examples"][3:5]
    assert generator / 1e6 == pytest.approx(3.57, abs=0.01)
    assert discriminator / 1e6 == pytest.approx(2.77, abs=0.01)
