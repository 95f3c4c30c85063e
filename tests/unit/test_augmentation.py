"""Draws of changes: within the settings' ranges, fair, belonging to the position, and none that was not asked for."""

import numpy as np
import pytest

from gen_dist.config import AugmentSettings
from gen_dist.data.augmentation import Augmentation

POSITIONS = np.arange(4000, dtype=np.int64)


def draw(positions=POSITIONS, seed=5, height=40, width=20, **settings):
    return Augmentation(seed, AugmentSettings(**settings), height, width).at(positions)


def test_nothing_is_drawn_that_was_not_asked_for():
    assert draw() == (None, None, None, None)
    assert draw(fill_mode="wrap", fill_value=9) == (None, None, None, None)
    only = {"crop_padding": "crops", "vertical_flip": "flips", "shear": "matrices", "contrast": "colors"}
    for setting, expected in only.items():
        changes = draw(**{setting: True if setting == "vertical_flip" else 1})
        assert [name for name, values in changes._asdict().items() if values is not None] == [expected]


def test_flips_are_fair_independent_and_only_those_asked_for():
    both = draw(horizontal_flip=True, vertical_flip=True).flips
    assert (np.abs(both.mean(0) - 0.5) < 0.04).all()
    assert abs((both[:, 0] == both[:, 1]).mean() - 0.5) < 0.04
    np.testing.assert_array_equal(draw(horizontal_flip=True).flips, both & [True, False])
    np.testing.assert_array_equal(draw(vertical_flip=True).flips, both & [False, True])


def test_crops_take_every_place_alike():
    crops = draw(crop_padding=2).crops
    assert crops.dtype == np.int64
    for axis in (0, 1):
        places, counts = np.unique(crops[:, axis], return_counts=True)
        np.testing.assert_array_equal(places, [-2, -1, 0, 1, 2])
        assert (np.abs(counts - 800) < 120).all()


def test_shifts_are_fractions_of_their_own_side():
    rows = draw(height_shift=0.25).matrices
    assert np.abs(rows[:, 0, 2]).max() == pytest.approx(0.25 * 40, rel=0.01)
    assert (rows[:, 1, 2] == 0).all()
    columns = draw(width_shift=0.25).matrices
    assert np.abs(columns[:, 1, 2]).max() == pytest.approx(0.25 * 20, rel=0.01)
    np.testing.assert_allclose(rows[:, :, :2], np.broadcast_to(np.eye(2), (4000, 2, 2)), atol=1e-15)


def test_turns_and_zooms_keep_to_their_ranges():
    turned = draw(rotation=10).matrices
    assert np.degrees(np.arcsin(np.abs(turned[:, 0, 1]).max())) == pytest.approx(10, rel=0.01)
    zoomed = draw(zoom=0.1).matrices[:, [0, 1], [0, 1]]
    assert zoomed.min() == pytest.approx(0.9, abs=1e-3)
    assert zoomed.max() == pytest.approx(1.1, abs=1e-3)
    assert abs(np.corrcoef(zoomed.T)[0, 1]) < 0.05


def test_color_factors_keep_to_their_ranges():
    colors = draw(brightness=0.2, saturation=1.0).colors
    assert colors.dtype == np.float32
    np.testing.assert_allclose(colors.min(0), [0.8, 1, 0], atol=2e-3)
    np.testing.assert_allclose(colors.max(0), [1.2, 1, 2], atol=2e-3)


def test_parts_belong_to_position_and_seed_and_move_no_other_draw():
    settings, some = AugmentSettings(crop_scale=0.25, horizontal_flip=True), np.array([7, 3, 3999])
    regions = np.tile([0.0, 0.0, 178.0, 218.0], (4000, 1))
    augmentation = Augmentation(5, settings, 16, 16)
    boxes = augmentation.boxes(POSITIONS, regions)
    np.testing.assert_array_equal(boxes[some], augmentation.boxes(some, regions[some]))
    assert (boxes != Augmentation(6, settings, 16, 16).boxes(POSITIONS, regions)).any(axis=1).mean() > 0.99
    np.testing.assert_array_equal(augmentation.at(POSITIONS).flips, draw(horizontal_flip=True).flips)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) / (178 * 218)
    assert 0.24 < area.min() < 0.27
    assert 0.9 < area.max() <= 1
    assert 0.45 < area.mean() < 0.625  # wide or high ones of large areas do not fit and are drawn again


def test_changes_belong_to_position_and_seed():
    settings = {"horizontal_flip": True, "crop_padding": 3, "rotation": 5.0, "contrast": 0.5}
    whole, some = draw(**settings), np.array([7, 3, 3999])
    for all_, picked, other in zip(whole, draw(some, **settings), draw(some, seed=6, **settings), strict=True):
        np.testing.assert_array_equal(all_[some], picked)
        assert (picked != other).any()
