"""Which side an image is on: its own business, the same everywhere, and never against the grain of a video."""

import hashlib
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen_dist.data.split_rule import HELD_OUT, TRAIN, is_frame, share_of_content, sides_of_blocks

AT = st.floats(0.01, 0.99)
SIZES = st.lists(st.integers(1, 500), min_size=2, max_size=12)


def test_the_side_is_known() -> None:
    """Fixed for ever: packs that were split years apart must agree."""
    rule = share_of_content(0.5)
    for image in (bytes([n]) for n in range(50)):
        digest = hashlib.blake2b(image, digest_size=8, key=b"gen-dist split").digest()
        assert rule.side(image) == digest[0] >> 7  # the upper half of all numbers
    assert [rule.side(bytes([n])) for n in range(8)] == [0, 0, 0, 0, 0, 1, 0, 1]


@pytest.mark.parametrize("at", [0.1, 0.5, 0.9])
def test_the_share_is_about_as_wished(at: float) -> None:
    count, rule = 4000, share_of_content(at)
    held = sum(rule.side(n.to_bytes(4, "big")) for n in range(count))
    assert abs(held - (1 - at) * count) < 4 * math.sqrt(count * at * (1 - at))


def test_a_larger_share_moves_images_only_to_the_side_that_trains() -> None:
    images = [n.to_bytes(4, "big") for n in range(500)]
    fewer, more = share_of_content(0.6), share_of_content(0.8)
    assert all(more.side(image) <= fewer.side(image) for image in images)


@pytest.mark.parametrize("at", [0, 1, -0.5, 2, math.nan])
def test_refused(at: float) -> None:
    with pytest.raises(ValueError, match="must be between 0 and 1"):
        share_of_content(at)


@pytest.mark.parametrize(
    ("block", "is_one"), [("a.mp4#07", True), ("x/a.mp4#123", True), ("a#b", False), ("#1", False), ("", False)]
)
def test_stretches(block: str, is_one: bool) -> None:
    assert is_frame(f"{block.rpartition('#')[0]}[000001]", block) == is_one
    assert not is_frame(f"{block}/a.png", block)


@given(SIZES, AT)
def test_of_a_video_the_end_is_held_out(sizes: list[int], at: float) -> None:
    blocks = {f"clip.mp4#{i}": size for i, size in enumerate(sizes)}
    sides = list(sides_of_blocks(blocks, at).values())
    assert sides == sorted(sides)
    assert {TRAIN, HELD_OUT} == set(sides)
    held, target = sum(size for size, side in zip(sizes, sides, strict=True) if side), (1 - at) * sum(sizes)
    others = [sum(sizes[-n:]) for n in range(1, len(sizes))]
    assert abs(held - target) == min(abs(other - target) for other in others)


def test_stretches_are_in_the_order_of_their_numbers() -> None:
    blocks = {f"clip.mp4#{i}": 10 for i in (10, 2, 9, 1)}
    assert [block for block, side in sides_of_blocks(blocks, 0.5).items() if side] == ["clip.mp4#10", "clip.mp4#9"]


def test_every_video_gives_its_own_end() -> None:
    blocks = {f"{clip}#{i:02d}": 10 for clip in ("a.mp4", "b.mp4") for i in range(10)}
    held = [block for block, side in sides_of_blocks(blocks, 0.8).items() if side]
    assert held == ["a.mp4#08", "a.mp4#09", "b.mp4#08", "b.mp4#09"]


@settings(max_examples=300)
@given(SIZES, AT, st.randoms())
def test_folders(sizes: list[int], at: float, random) -> None:
    blocks = {f"folder {i}": size for i, size in enumerate(sizes)}
    sides = sides_of_blocks(blocks, at)
    assert set(sides.values()) == {TRAIN, HELD_OUT}
    shuffled = list(blocks.items())
    random.shuffle(shuffled)
    assert sides_of_blocks(dict(shuffled), at) == sides
    held, target = sum(blocks[block] for block, side in sides.items() if side), (1 - at) * sum(sizes)
    assert abs(held - target) <= max(sizes)


def test_equal_folders_give_the_share_exactly() -> None:
    sides = sides_of_blocks({f"folder {i}": 7 for i in range(50)}, 0.8)
    assert sum(sides.values()) == 10


def test_one_block_trains() -> None:
    assert sides_of_blocks({"only": 9}, 0.5) == {"only": TRAIN}
    assert sides_of_blocks({"clip.mp4#0": 9}, 0.5) == {"clip.mp4#0": TRAIN}
    assert sides_of_blocks({}, 0.5) == {}


def test_names_that_are_not_utf8() -> None:
    assert set(sides_of_blocks({"\udcff": 1, "a": 1}, 0.5).values()) == {TRAIN, HELD_OUT}
