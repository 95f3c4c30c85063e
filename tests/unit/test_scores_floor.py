"""What a distance is read against: equal numbers, disjoint sets."""

import numpy as np
import pytest

from gen_dist.draws import Draws
from gen_dist.scores.floor import above_floor, real_floor
from gen_dist.scores.sliced_wasserstein import sliced_wasserstein
from tests.score_images import blobs, noisy

pytestmark = pytest.mark.usefixtures("one_thread")


def distance(images, others):
    return sliced_wasserstein(images, others, Draws(0), patches=8, directions=32).mean


def gap(a, b):
    return abs(float(a.mean() - b.mean()))


@pytest.mark.parametrize(("generated", "train"), [(7, 20), (20, 7), (9, 9)])
def test_both_distances_are_of_equal_numbers_of_images(generated, train):
    seen = []

    def counting(a, b):
        seen.append((len(a), len(b)))
        return gap(a, b)

    held_out = np.zeros((5, 1))
    found = above_floor(counting, np.ones((generated, 1)), np.ones((train, 1)), held_out, Draws(0))
    count = min(generated, train)
    assert seen == [(count, 5), (count, 5)]
    assert (found.distance, found.floor, found.above, found.items) == (1.0, 1.0, 0.0, count)


def test_what_is_chosen_depends_on_the_seed_only():
    generated, train = np.arange(50.0)[:, None], np.zeros((10, 1))
    found = [above_floor(gap, generated, train, train, Draws(seed)).distance for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]


def test_training_images_are_at_the_floor_and_noise_far_above():
    train, held_out = blobs(60, seed=1), blobs(40, seed=2)
    assert above_floor(distance, train, train, held_out, Draws(0)).above == 0
    noise = above_floor(distance, noisy(train, 80), train, held_out, Draws(0))
    assert noise.above > noise.floor > 0


@pytest.mark.parametrize("count", [2, 10, 11])
def test_halves_are_disjoint_equal_and_leave_out_one_at_most(count):
    seen = []

    def keeping(a, b):
        seen.append((a[:, 0].tolist(), b[:, 0].tolist()))
        return 3.0

    assert real_floor(keeping, np.arange(count)[:, None], Draws(5)) == 3.0
    ((a, b),) = seen
    assert len(a) == len(b) == count // 2
    assert len({*a, *b}) == 2 * (count // 2)


def test_the_floor_falls_as_sets_grow():
    assert real_floor(distance, blobs(200), Draws(0)) < real_floor(distance, blobs(20), Draws(0))


@pytest.mark.parametrize("empty", range(3))
def test_empty_sets_are_refused(empty):
    sets = [blobs(3), blobs(3), blobs(3)]
    sets[empty] = sets[empty][:0]
    with pytest.raises(ValueError, match=f"{('generated', 'train', 'held_out')[empty]}: no items"):
        above_floor(gap, *sets, Draws(0))


def test_sets_that_differ_and_halves_of_one_are_refused():
    with pytest.raises(ValueError, match="shapes differ"):
        above_floor(gap, blobs(3, 16), blobs(3), blobs(3), Draws(0))
    with pytest.raises(ValueError, match="real: 1 items; give at least 2"):
        real_floor(gap, blobs(1), Draws(0))
