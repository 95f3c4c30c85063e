"""Perceptual hashes against their naive twin, and what they say of images."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen_dist.kernels.perceptual import THUMBNAIL, _cosines, perceptual_hashes
from tests.naive import perceptual as naive


def perceive(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    hashes, thumbnails = np.empty(len(images), np.uint64), np.empty((len(images), THUMBNAIL), np.uint8)
    perceptual_hashes(hashes, thumbnails, images)
    return hashes, thumbnails


def landscape(side: int, seed: int = 0) -> np.ndarray:
    """Smooth colours, uint8 side x side x 3: waves of low frequencies."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0:side, 0:1][:2] / side
    waves = sum(rng.normal() * np.cos(np.pi * (a * x + b * y) + rng.uniform(0, 6)) for a in range(5) for b in range(5))
    return np.clip(128 + 15 * waves * (1.0, 0.8, 0.6), 0, 255).astype(np.uint8)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from([1, 3]), st.integers(0, 2**32), st.booleans())
def test_naive(height: int, width: int, channels: int, seed: int, extremes: bool) -> None:
    images = np.random.default_rng(seed).integers(0, 256, (2, height, width, channels), dtype=np.uint8)
    if extremes:
        images = np.where(images > 127, np.uint8(255), np.uint8(0))
    hashes, thumbnails = perceive(images)
    for image, hash_, thumbnail in zip(images, hashes, thumbnails, strict=True):
        want_hash, want_thumbnail = naive.perceive(image)
        assert int(hash_) == want_hash
        np.testing.assert_array_equal(thumbnail, want_thumbnail)


def test_cosines_are_the_same_everywhere() -> None:
    """No entry lies so near to a half that another machine's cosine could round it to another number."""
    angles = np.outer(np.arange(8), 2 * np.arange(32) + 1) * (np.pi / 64)
    assert np.abs(np.abs(4095 * np.cos(angles) % 1) - 0.5).min() > 1e-6
    assert _cosines()[1:].sum(axis=1).tolist() == [0] * 7


@pytest.mark.parametrize("channels", [1, 3])
def test_flat_images(channels: int) -> None:
    images = np.stack([np.full((19, 30, channels), value, np.uint8) for value in (0, 1, 130, 255)])
    hashes, thumbnails = perceive(images)
    assert hashes.tolist() == [0, 1, 1, 1]
    assert thumbnails[:, 0].tolist() == [0, 1, 130, 255]
    assert (thumbnails[:, :16] == thumbnails[:, :1]).all()
    assert (thumbnails[:, 16:] == 128).all()


def test_the_hash_says_little_of_size_and_brightness_and_much_of_content() -> None:
    large, small = landscape(96), landscape(48)
    brighter = np.clip(small * 1.05, 0, 255).astype(np.uint8)
    hashes = [int(perceive(image[None])[0][0]) for image in (large, small, brighter, landscape(48, seed=1))]
    differing = [(hashes[0] ^ other).bit_count() for other in hashes[1:]]
    assert differing[0] <= 6
    assert differing[1] <= 6
    assert differing[2] > 10


def test_a_large_image_does_not_overflow() -> None:
    hashes, thumbnails = perceive(np.full((1, 2, 65535, 3), 255, np.uint8))
    assert hashes.tolist() == [1]
    assert thumbnails[0].tolist() == [255] * 16 + [128] * 8


def test_memory_maps_and_no_images() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 9, 8, 3), dtype=np.uint8)
    want = perceive(images)
    images.flags.writeable = False
    np.testing.assert_array_equal(perceive(images)[0], want[0])
    assert perceive(images[:0])[0].shape == (0,)


@pytest.mark.parametrize("shape", [(1, 0, 5, 3), (1, 5, 5, 2), (1, 5, 5, 4), (5, 5, 3), (1, 1, 65536, 1)])
def test_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="^images: wants"):
        perceptual_hashes(np.empty(1, np.uint64), np.empty((1, THUMBNAIL), np.uint8), np.zeros(shape, np.uint8))


def test_results_that_do_not_fit_are_refused() -> None:
    images = np.zeros((2, 4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match="^hashes: wants"):
        perceptual_hashes(np.empty(1, np.uint64), np.empty((2, THUMBNAIL), np.uint8), images)
    with pytest.raises(ValueError, match="^thumbnails: wants"):
        perceptual_hashes(np.empty(2, np.uint64), np.empty((2, 8), np.uint8), images)
