"""The small classifier behind KD-lenet and FD-lenet: learns, repeats itself, and survives its file."""

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from gen_dist.draws import Draws
from gen_dist.errors import UserError
from gen_dist.scores.classifier import (
    FEATURES,
    LeNet,
    accuracy,
    fingerprint,
    lenet_features,
    load_lenet,
    save_lenet,
    to_bytes,
    train_lenet,
)
from gen_dist.scores.kernel_distance import frechet_distance, kernel_distance
from tests.score_images import blobs, noisy, stripes

pytestmark = pytest.mark.usefixtures("one_thread")

IMAGES, LABELS = stripes(300, 16, seed=1)


@pytest.fixture(scope="module")
def lenet(one_thread) -> LeNet:
    return train_lenet(IMAGES, LABELS, Draws(3), steps=80, batch_size=32)


def test_it_tells_new_images_apart(lenet):
    images, labels = stripes(300, 16, seed=2)
    assert accuracy(lenet, images, labels) > 0.9
    assert accuracy(lenet, images, (labels + 1) % 3) < 0.1


def test_the_seed_decides_the_weights_and_nothing_else_does():
    generator = torch.random.get_rng_state()
    found = [fingerprint(train_lenet(IMAGES, LABELS, Draws(seed), steps=3)) for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]
    assert torch.equal(torch.random.get_rng_state(), generator)


def test_more_steps_learn_more():
    images, labels = stripes(200, 16, seed=2)
    short = train_lenet(IMAGES, LABELS, Draws(3), steps=1)
    assert accuracy(short, images, labels) < 0.8


def test_features_are_of_each_image_alone_and_of_unit_size(lenet):
    features = lenet_features(lenet, IMAGES)
    assert features.shape == (300, FEATURES)
    assert features.dtype == np.float32
    assert np.square(features).mean() == pytest.approx(1, rel=1e-4)
    np.testing.assert_allclose(lenet_features(lenet, IMAGES[5:12]), features[5:12], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(lenet_features(lenet, IMAGES[::-1]), features[::-1], rtol=1e-4, atol=1e-5)


def test_distances_of_its_features_grow_with_noise_and_lost_classes(lenet):
    real = lenet_features(lenet, IMAGES)
    others, labels = stripes(300, 16, seed=2)
    worse = [others, noisy(others, 30), noisy(others, 90)]
    lost = [others, others[labels != 1], others[labels == 0]]
    for sets in (worse, lost):
        features = [lenet_features(lenet, images) for images in sets]
        kernel = [kernel_distance(part, real, Draws(0), blocks=10, size=80).value for part in features]
        frechet = [frechet_distance(part, real) for part in features]
        assert kernel == sorted(kernel)
        assert frechet == sorted(frechet)


@pytest.mark.parametrize("size", [8, 28, 32, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_sizes_and_channels(size, channels):
    images = blobs(6, size, channels)
    lenet = train_lenet(images, np.arange(6) % 2, Draws(0), steps=1, batch_size=4)
    assert np.isfinite(lenet_features(lenet, images)).all()


def test_a_file_gives_back_the_same_classifier(lenet, tmp_path):
    save_lenet(lenet, tmp_path / "lenet.safetensors")
    loaded = load_lenet(tmp_path / "lenet.safetensors")
    assert fingerprint(loaded) == fingerprint(lenet)
    assert not loaded.training
    assert [p.stride() for p in loaded.parameters()] == [p.stride() for p in lenet.parameters()]
    np.testing.assert_array_equal(lenet_features(loaded, IMAGES), lenet_features(lenet, IMAGES))


def changed(content: bytes, **tensors: torch.Tensor | None) -> bytes:
    new = {**load(content), **{name.replace("__", "."): tensor for name, tensor in tensors.items()}}
    return save({name: tensor for name, tensor in new.items() if tensor is not None})


DAMAGE = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "no sizes": lambda content: changed(content, about=None),
    "sizes of floats": lambda content: changed(content, about=torch.tensor([16.0, 16, 1, 3])),
    "one size": lambda content: changed(content, about=torch.tensor([16])),
    "a huge size": lambda content: changed(content, about=torch.tensor([2**40, 16, 1, 3])),
    "another size": lambda content: changed(content, about=torch.tensor([32, 32, 1, 3])),
    "a tensor less": lambda content: changed(content, head__bias=None),
    "a tensor more": lambda content: changed(content, more=torch.zeros(1)),
    "another type": lambda content: changed(content, head__bias=torch.zeros(3, dtype=torch.float64)),
    "not a number": lambda content: changed(content, head__bias=torch.full((3,), torch.nan)),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_file_is_refused_in_one_line(how, lenet, tmp_path):
    (tmp_path / "file").write_bytes(DAMAGE[how](to_bytes(lenet)))
    with pytest.raises(UserError, match="is damaged, or no classifier of gen-dist; train one again") as refusal:
        load_lenet(tmp_path / "file")
    assert "\n" not in str(refusal.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        load_lenet(tmp_path / "none")


@pytest.mark.parametrize(
    ("images", "labels", "settings", "message"),
    [
        (IMAGES[:0], LABELS[:0], {}, "images: 0 images"),
        (IMAGES, LABELS[:-1], {}, "give one integer an image"),
        (IMAGES, LABELS.astype(np.float32), {}, "give one integer an image"),
        (IMAGES, LABELS - 1, {}, "labels -1 … 1: give 0 to classes - 1"),
        (IMAGES, LABELS * 0, {}, "labels 0 … 0: give 0 to classes - 1, of 2 to"),
        (blobs(3, 7), np.arange(3), {}, "8 to 1024 pixels a side"),
        (IMAGES, LABELS, {"steps": 0}, "must be positive"),
        (IMAGES, LABELS, {"batch_size": 0}, "must be positive"),
        (IMAGES, LABELS, {"learning_rate": float("nan")}, "must be positive"),
        (IMAGES, LABELS, {"learning_rate": 1e30, "steps": 3, "batch_size": 8}, "features became .*; give a lower one"),
    ],
)
def test_bad_training_is_refused(images, labels, settings, message):
    with pytest.raises(ValueError, match=message):
        train_lenet(images, labels, Draws(0), **settings)


def test_images_of_another_size_and_missing_labels_are_refused(lenet):
    with pytest.raises(ValueError, match=r"was trained on \(16, 16, 1\)"):
        lenet_features(lenet, blobs(3, 32))
    with pytest.raises(ValueError, match="give one an image"):
        accuracy(lenet, IMAGES, LABELS[:5])
