"""The sliced Wasserstein distance: its parts against plain twins and closed forms, and what it is to notice."""

import math

import numpy as np
import pytest
import scipy.stats
import torch

from gen_dist.draws import Draws
from gen_dist.scores import sliced_wasserstein as module
from gen_dist.scores.pyramid import pyramid_level, pyramid_sizes
from gen_dist.scores.sliced_wasserstein import PATCH, sliced_wasserstein, sliced_wasserstein_to, wasserstein_1
from tests.score_images import blobs, blurred, noisy, repeating

pytestmark = pytest.mark.usefixtures("one_thread")


def distance(images: np.ndarray, others: np.ndarray, seed: int = 0, patches: int = 16) -> float:
    return sliced_wasserstein(images, others, Draws(seed), patches=patches, directions=64).mean


@pytest.mark.parametrize(
    ("size", "levels"),
    [
        ((64, 64), [(64, 64), (32, 32), (16, 16)]),
        ((32, 32), [(32, 32), (16, 16)]),
        ((28, 28), [(28, 28)]),
        ((31, 33), [(31, 33), (16, 17)]),
        ((64, 32), [(64, 32), (32, 16)]),
        ((8, 8), [(8, 8)]),
    ],
)
def test_levels_end_where_a_side_would_fall_below_sixteen(size, levels):
    assert pyramid_sizes(*size) == levels


def smoothed(image: np.ndarray) -> np.ndarray:
    taps = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256
    padded = np.pad(image, 2, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5))
    return (windows * taps).sum(axis=(2, 3))


def naive_levels(image: np.ndarray, count: int) -> list[np.ndarray]:
    levels = []
    for _ in range(count - 1):
        half = smoothed(image)[::2, ::2]
        spread = np.zeros_like(image)
        spread[::2, ::2] = half
        levels.append(image - 4 * smoothed(spread))
        image = half
    return [*levels, image]


@pytest.mark.parametrize(("height", "width"), [(64, 64), (33, 48), (16, 20)])
def test_the_pyramid_is_that_of_a_plain_twin(height, width):
    image = np.random.default_rng(3).integers(0, 256, (height, width)).astype(np.float64)
    expected = naive_levels(image, 3)
    x_NCHW = torch.from_numpy(image).float()[None, None]
    for level in range(3):
        found = pyramid_level(x_NCHW, level, last=level == 2)[0, 0].numpy()
        np.testing.assert_allclose(found, expected[level], atol=1e-3)


@pytest.mark.parametrize("size", [28, 33, 64, 100])
def test_a_flat_image_has_no_detail_not_even_rounding_errors(size):
    x_NCHW = torch.full((1, 1, size, size), 253.0)
    for level in range(len(pyramid_sizes(size, size)) - 1):
        assert (pyramid_level(x_NCHW, level, last=False) == 0).all()


@pytest.mark.parametrize(("n", "m"), [(5, 5), (4, 6), (7, 3), (1, 9), (12, 5)])
def test_wasserstein_of_sets_of_any_sizes_against_repeating_both_to_one_size(n, m):
    generator = np.random.default_rng(n * m)
    a, b = np.sort(generator.normal(size=(3, n))), np.sort(generator.normal(size=(3, m)))
    whole = math.lcm(n, m)
    expected = np.abs(np.repeat(a, whole // n, axis=1) - np.repeat(b, whole // m, axis=1)).mean(axis=1)
    np.testing.assert_allclose(wasserstein_1(a, b), expected, rtol=1e-12)
    np.testing.assert_allclose(wasserstein_1(b, a), expected, rtol=1e-12)


@pytest.mark.parametrize(("mean", "std", "expected"), [(2.0, 1.0, 2.0), (0.0, 3.0, 2 * math.sqrt(2 / math.pi))])
def test_wasserstein_of_gaussians_against_the_closed_form(mean, std, expected):
    generator = np.random.default_rng(5)
    a, b = generator.normal(size=(1, 40_000)), generator.normal(mean, std, (1, 30_000))
    assert wasserstein_1(np.sort(a), np.sort(b)).item() == pytest.approx(expected, rel=0.02)


def naive_distance(images: np.ndarray, others: np.ndarray, seed: int, patches: int, directions: int) -> float:
    """Of images too small for a second level, as the paper's words have it."""
    draws = Draws(seed)
    channels = images.shape[3]

    def descriptors(part: np.ndarray) -> np.ndarray:
        drawn = draws.at(0, 0, np.arange(len(part)))
        places = part.shape[1] - PATCH + 1
        rows = (drawn.uniform("scores/rows/0", patches).double() * places).long().tolist()
        columns = (drawn.uniform("scores/columns/0", patches).double() * places).long().tolist()
        cut = np.array(
            [
                image[r : r + PATCH, c : c + PATCH].astype(np.float64)
                for image, tops, lefts in zip(part, rows, columns, strict=True)
                for r, c in zip(tops, lefts, strict=True)
            ]
        )
        normal = (cut - cut.mean(axis=(0, 1, 2))) / cut.std(axis=(0, 1, 2))
        return normal.transpose(0, 3, 1, 2).reshape(len(cut), -1)

    a, b = descriptors(images), descriptors(others)
    gaps = []
    for direction in draws.array("scores/directions/0", (directions, channels * PATCH**2)).astype(np.float64):
        unit = direction / np.linalg.norm(direction)
        gaps.append(np.abs(np.sort(a @ unit) - np.sort(b @ unit)).mean())
    return 1000 * float(np.mean(gaps))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_distance_is_that_of_a_plain_twin(channels):
    images, others = blobs(9, 12, channels, seed=1), noisy(blobs(9, 12, channels, seed=2), 30)
    found = sliced_wasserstein(images, others, Draws(4), patches=6, directions=20)
    assert list(found.levels) == [12]
    assert found.mean == pytest.approx(naive_distance(images, others, 4, 6, 20), rel=1e-4)


def test_a_distance():
    images, others = blobs(30, seed=1), noisy(blobs(20, seed=2), 20)
    assert distance(images, images) == 0
    assert distance(images, others) == distance(others, images) > 0
    assert distance(images, others, seed=1) != distance(images, others) == distance(images, others)


def test_what_is_held_in_memory_at_once_changes_nothing(monkeypatch):
    images, others = blobs(30, seed=1), noisy(blobs(20, seed=2), 20)
    whole = distance(images, others)
    monkeypatch.setattr(module, "_BLOCK_BYTES", 7 * 4 * 16 * 49)
    assert distance(images, others) == pytest.approx(whole, rel=1e-6)


def test_brightness_and_contrast_do_not_count():
    images = blobs(20) // 3
    assert distance(images, 2 * images + 40) < 1e-2


WORSE = {
    "blur": lambda images, much: blurred(images, 2 + 6 * much),
    "noise": lambda images, much: noisy(images, 5 + 20 * much),
    "mode dropping": lambda images, much: repeating(images, 1 if much else 6),
    "moved": lambda images, much: np.roll(images, 6 * (1 + much), axis=1),
    "inverted": lambda images, much: 255 - images if much else np.where(images > 150, 255 - images, images),
}


@pytest.mark.parametrize("size", [28, 64])
@pytest.mark.parametrize("how", WORSE)
def test_the_worse_the_further(how, size):
    real, others = blobs(60, size, seed=1), blobs(60, size, seed=2)
    floor, little, much = (distance(part, real) for part in (others, WORSE[how](others, 0), WORSE[how](others, 1)))
    assert floor < little < much


def test_noise_is_seen_in_the_finest_level_most():
    real, others = blobs(60, 64, seed=1), noisy(blobs(60, 64, seed=2), 10)
    levels = sliced_wasserstein(others, real, Draws(0), patches=16, directions=64).levels
    assert list(levels) == [64, 32, 16]
    assert levels[64] > levels[32] > levels[16]


def test_a_generator_of_flat_images_has_a_finite_distance():
    flat = np.full((10, 32, 32, 1), 90, np.uint8)
    assert 100 < distance(flat, blobs(10)) < 2000


def test_it_reads_read_only_arrays_and_leaves_torch_as_it_was():
    images = blobs(5)
    images.setflags(write=False)
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    distance(images, images)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    ("images", "others", "message"),
    [
        (blobs(3)[:0], blobs(3), "images: 0 images; give at least 1"),
        (blobs(3), blobs(3)[:0], "others: 0 images; give at least 1"),
        (blobs(3, 16), blobs(3, 32), r"images \(16, 16, 1\) and others \(32, 32, 1\): shapes differ"),
        (blobs(3), blobs(3, channels=3), "shapes differ"),
        (blobs(3, 6), blobs(3, 6), "6 x 6 pixels: no patch fits; give at least 7 x 7"),
        (blobs(3).astype(np.float32), blobs(3), "images: float32"),
        (blobs(3)[..., 0], blobs(3), "give images as uint8"),
        (np.zeros((2, 8, 8, 4), np.uint8), blobs(3), "1 or 3 channels"),
    ],
)
def test_bad_sets_are_refused(images, others, message):
    with pytest.raises(ValueError, match=message):
        distance(images, others)


@pytest.mark.parametrize("counts", [{"patches": 0}, {"directions": 0}])
def test_no_patch_and_no_direction_are_refused(counts):
    with pytest.raises(ValueError, match="give at least 1 of each"):
        sliced_wasserstein(blobs(2), blobs(2), Draws(0), **counts)


@pytest.mark.parametrize(("n", "m"), [(7, 7), (12, 5), (1, 9)])
def test_along_one_direction_it_is_scipys(n, m):
    generator = np.random.default_rng(n)
    a, b = np.sort(generator.normal(0, 1, (3, n))), np.sort(generator.normal(1, 2, (3, m)))
    theirs = [scipy.stats.wasserstein_distance(left, right) for left, right in zip(a, b, strict=True)]
    assert wasserstein_1(a, b).tolist() == pytest.approx(theirs, rel=1e-9)


def test_several_sets_are_as_far_as_each_alone():
    reference, sets = blobs(12), [blobs(12, seed=1), blurred(blobs(9, seed=2), 2)]
    together = sliced_wasserstein_to(reference, sets, Draws(3), patches=8, directions=32)
    alone = [sliced_wasserstein(images, reference, Draws(3), patches=8, directions=32) for images in sets]
    assert [one.levels for one in together] == [one.levels for one in alone]
