"""Where images of every shape go in targets of every shape."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen_dist.kernels.cropping import MODES, window

side = st.integers(1, 500)


@pytest.mark.parametrize(
    ("image", "target", "mode", "crop", "placed"),
    [
        ((178, 218), (64, 64), "center", (0, 20, 178, 178), (0, 0, 64, 64)),
        ((101, 50), (64, 64), "center", (25, 0, 50, 50), (0, 0, 64, 64)),
        ((100, 100), (40, 20), "center", (0, 25, 100, 50), (0, 0, 40, 20)),
        ((178, 218), (64, 64), "stretch", (0, 0, 178, 218), (0, 0, 64, 64)),
        ((178, 218), (64, 64), "fit", (0, 0, 178, 218), (0, 0, 52, 64)),
        ((178, 218), (64, 64), "pad", (0, 0, 178, 218), (6, 0, 52, 64)),
        ((10, 10), (64, 30), "pad", (0, 0, 10, 10), (17, 0, 30, 30)),
        ((1, 1000), (64, 64), "pad", (0, 0, 1, 1000), (31, 0, 1, 64)),
    ],
)
def test_known_windows(image, target, mode, crop, placed):
    found = window(*image, *target, mode)
    assert (found.crop, found.placed) == (crop, placed)


@settings(max_examples=300, deadline=None)
@given(side, side, side, side, st.sampled_from([mode for mode in MODES if mode != "box"]))
def test_a_window_is_central_within_both_and_keeps_the_aspect(width, height, out_width, out_height, mode):
    found = window(width, height, out_width, out_height, mode)
    left, top, crop_width, crop_height = found.crop
    out_left, out_top, placed_width, placed_height = found.placed
    for start, part, whole in ((left, crop_width, width), (top, crop_height, height)):
        assert part >= 1
        assert start == (whole - part) // 2
    for start, part, whole in ((out_left, placed_width, out_width), (out_top, placed_height, out_height)):
        assert part >= 1
        assert start == ((whole - part) // 2 if mode == "pad" else 0)
    if mode in ("center", "stretch"):
        assert (placed_width, placed_height) == (out_width, out_height)
    else:
        assert placed_width == out_width or placed_height == out_height
    if mode == "center":
        assert crop_width == width or crop_height == height
        x, y = Fraction(crop_width, out_width), Fraction(crop_height, out_height)
        assert abs(x - y) <= max(Fraction(1, out_width), Fraction(1, out_height))
    else:
        assert found.box == (0, 0, width, height)
    if mode in ("fit", "pad"):
        x, y = Fraction(placed_width, width), Fraction(placed_height, height)
        assert abs(x - y) <= max(Fraction(1, width), Fraction(1, height))


def test_a_box_is_taken_as_it_is():
    found = window(100, 50, 8, 8, "box", (90, 0, 10, 50))
    assert found.box == (90.0, 0.0, 100.0, 50.0)
    assert found.placed == (0, 0, 8, 8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 5, 8, 8, "fit"), "width: 0; must be at least 1"),
        ((5, 5, 8, -1, "fit"), "out_height: -1; must be at least 1"),
        ((5, 5, 8, 8, "centre"), "mode: 'centre'; must be one of center, fit, stretch, pad, box"),
        ((5, 5, 8, 8, "box"), "box: None with mode 'box'"),
        ((5, 5, 8, 8, "pad", (0, 0, 1, 1)), r"box: \(0, 0, 1, 1\) with mode 'pad'"),
        ((5, 5, 8, 8, "box", (0, 0, 1)), "must be four whole numbers"),
        ((5, 5, 8, 8, "box", (0, 0, 1.5, 1)), "must be four whole numbers"),
        ((5, 5, 8, 8, "box", (0, 0, 1, float("inf"))), "must be four whole numbers"),
        ((5, 5, 8, 8, "box", (-1, 0, 1, 1)), "box: -1,0,1,1 is not within the image of 5×5 pixels; X and Y must be"),
        ((5, 5, 8, 8, "box", (0, 3, 1, 3)), "box: 0,3,1,3 is not within the image"),
        ((5, 5, 8, 8, "box", (0, 0, 0, 1)), "box: 0,0,0,1 is not within the image"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        window(*arguments)
