"""Nearest neighbours: exact, whatever the blocks, and memorisation that was planted is found."""

import numpy as np
import pytest

from gen_dist.scores import nearest as module
from gen_dist.scores.nearest import nearest, nearest_distances, neighbours
from tests.score_images import blobs, blurred, noisy

pytestmark = pytest.mark.usefixtures("one_thread")


def naive(items: np.ndarray, among: np.ndarray) -> tuple[list[float], list[int]]:
    found = [[np.linalg.norm(item.astype(np.float64) - other) for other in among] for item in items]
    return [min(row) for row in found], [int(np.argmin(row)) for row in found]


@pytest.mark.parametrize("block_bytes", [1, 400_000, 64 << 20])
def test_distances_and_indices_are_those_of_a_double_loop(block_bytes, monkeypatch):
    monkeypatch.setattr(module, "_BLOCK_BYTES", block_bytes)
    items, among = blobs(23, 8, 3, seed=1), blobs(31, 8, 3, seed=2)
    distances, indices = nearest(items, among)
    expected, places = naive(items, among)
    np.testing.assert_allclose(distances, np.array(expected) / 255, rtol=1e-12)
    assert indices.tolist() == places


def test_features_have_the_unit_that_they_come_in():
    generator = np.random.default_rng(0)
    items, among = generator.normal(size=(9, 5)), generator.normal(size=(12, 5)).astype(np.float32)
    distances, indices = nearest(items, among)
    expected, places = naive(items, among)
    np.testing.assert_allclose(distances, expected, rtol=1e-6)
    assert indices.tolist() == places


def test_a_copy_has_distance_zero_and_one_grey_level_shows():
    train = blobs(5, 64, 3)
    items = train[[3, 3]].copy()
    items[1, 10, 10, 0] ^= 1
    distances, indices = nearest(items, train)
    assert distances.tolist() == [0, 1 / 255]
    assert indices.tolist() == [3, 3]


@pytest.mark.parametrize("block_bytes", [1, 64 << 20])
def test_the_first_of_equals(block_bytes, monkeypatch):
    monkeypatch.setattr(module, "_BLOCK_BYTES", block_bytes)
    one = np.zeros((1, 2000))
    assert nearest(one, np.repeat(one + 1, 3, axis=0))[1].tolist() == [0]


def test_read_only_images_are_read():
    images = blobs(3)
    images.setflags(write=False)
    assert nearest_distances(images, images).tolist() == [0, 0, 0]


TRAIN, HELD_OUT, NEW = blobs(200, 16, seed=1), blobs(150, 16, seed=2), blobs(150, 16, seed=3)


def test_new_images_are_as_close_to_training_images_as_held_out_ones():
    found = neighbours(NEW, TRAIN, HELD_OUT)
    assert found.closer == pytest.approx(0.5, abs=0.1)
    assert found.close < 0.15
    assert found.to_train == pytest.approx(found.held_out_to_train, rel=0.2)


def test_copies_are_found():
    found = neighbours(noisy(TRAIN[:100], 2), TRAIN, HELD_OUT)
    assert found.closer > 0.99
    assert found.close > 0.95
    assert found.to_train < 0.5 * min(found.to_held_out, found.held_out_to_train)


def test_a_few_copies_among_new_images_show_in_the_close_ones():
    found = [
        neighbours(np.concatenate((TRAIN[:copies], NEW[copies:])), TRAIN, HELD_OUT).close for copies in (0, 30, 60)
    ]
    assert found == sorted(found)
    assert found[2] - found[0] == pytest.approx(60 / 150, abs=0.05)


def test_noise_is_not_taken_for_copies_nor_is_a_blurred_generator():
    noise = np.random.default_rng(0).integers(0, 256, NEW.shape).astype(np.uint8)
    assert neighbours(noise, TRAIN, HELD_OUT).closer == 0
    assert neighbours(blurred(NEW, 2), TRAIN, HELD_OUT).closer < 0.6


def test_the_share_is_over_all_pairs_and_ties_are_half():
    # Training item at 0; held-out ones at 1, 2, 3 and 4; generated ones at 2 and 9: closer than 2.5 and 0 of the 4.
    train, held_out, generated = np.zeros((1, 1)), np.array([[1.0], [2], [3], [4]]), np.array([[2.0], [9]])
    found = neighbours(generated, train, held_out, expected=0.5)
    assert found.closer == pytest.approx(2.5 / 8)
    assert found.close == 0.5  # below the median, 2.5
    assert (found.to_train, found.to_held_out, found.held_out_to_train) == (5.5, 2.5, 2.5)


@pytest.mark.parametrize("which", range(3))
def test_empty_sets_are_refused(which):
    sets = [NEW, TRAIN, HELD_OUT]
    sets[which] = sets[which][:0]
    with pytest.raises(ValueError, match=f"{('generated', 'train', 'held_out')[which]}: 0 images"):
        neighbours(*sets)


@pytest.mark.parametrize(
    ("items", "among", "message"),
    [
        (blobs(2), blobs(2, 16), "shapes differ"),
        (blobs(2), np.zeros((2, 3)), "among: float64"),
        (np.zeros((2, 3)), np.zeros((2, 4)), "shapes differ"),
        (np.full((2, 3), np.inf), np.zeros((2, 3)), "not finite"),
        (np.zeros(3), np.zeros(3), "give features as numbers"),
    ],
)
def test_bad_sets_are_refused(items, among, message):
    with pytest.raises(ValueError, match=message):
        nearest(items, among)


@pytest.mark.parametrize("share", [0, 1, float("nan")])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ValueError, match="give a share above 0 and below 1"):
        neighbours(NEW, TRAIN, HELD_OUT, expected=share)
