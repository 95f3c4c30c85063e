"""Duplicates: equal images always, similar ones as a comparison of all with all finds them, in bounded memory."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gen_dist.kernels.near import MOST_IN_BUCKET, alike
from gen_dist.preparing.duplicates import (
    Duplicates,
    Kind,
    Match,
    Names,
    fingerprint_length,
    fingerprints,
    is_dropped,
)
from tests.naive import near as naive
from tests.packs import noise
from tests.unit.test_perceptual import landscape


def matches(prints: np.ndarray, kind: Kind, keep: bool = False) -> list[Match | None]:
    """What each is like among those before it; only those like none are added, or with `keep` all."""
    duplicates, found = Duplicates(kind), []
    for number, one in enumerate(prints):
        found.append(duplicates.check(one))
        if found[-1] is None or keep:
            duplicates.add(one, number)
    return found


def made(hashes: list[int], thumbnails: np.ndarray) -> np.ndarray:
    """Fingerprints of given hashes and thumbnails, all of different images."""
    prints = np.empty((len(hashes), fingerprint_length("near")), np.uint8)
    prints[:, :16] = np.arange(len(hashes), dtype=">u8").view(np.uint8).reshape(-1, 8).repeat(2, axis=1)
    prints[:, 16:24] = np.array(hashes, "<u8").view(np.uint8).reshape(-1, 8)
    prints[:, 24:] = thumbnails
    return prints


def flipped(hash_: int, bits: list[int]) -> int:
    for bit in bits:
        hash_ ^= 1 << bit
    return hash_


def reencoded(image: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def test_equal_images() -> None:
    images = np.random.default_rng(0).integers(0, 2, (60, 1, 2, 3), dtype=np.uint8)
    first: dict[bytes, int] = {}
    want = [first.setdefault(image.tobytes(), number) for number, image in enumerate(images)]
    got = matches(fingerprints(images, "exact"), "exact")
    assert got == [None if number == index else Match("exact", number) for index, number in enumerate(want)]
    assert any(got)


def test_similar_images() -> None:
    images = np.stack([landscape(64, seed) for seed in range(8)])
    changed = {
        "re-encoded at 75": [reencoded(image, 75) for image in images],
        "re-encoded at 50": [reencoded(image, 50) for image in images],
        "brighter": [np.clip(image * 1.05, 0, 255).astype(np.uint8) for image in images],
        "smaller and back": [np.asarray(Image.fromarray(i).resize((51, 51), 3).resize((64, 64), 3)) for i in images],
        "cropped": [np.asarray(Image.fromarray(i).resize((64, 64), 3, (0.6, 0.6, 63.4, 63.4))) for i in images],
    }
    for what, others in changed.items():
        found = matches(fingerprints(np.concatenate([images, np.stack(others)]), "near"), "near")
        assert found[:8] == [None] * 8
        assert [match and match.number for match in found[8:]] == list(range(8)), what


def test_flat_images_are_alike_only_in_the_same_colour() -> None:
    colours = [(0, 0, 0), (1, 1, 1), (200, 0, 0), (0, 102, 0), (200, 0, 0), (201, 0, 0), (255, 255, 255)]
    images = np.stack([np.full((8, 8, 3), colour, np.uint8) for colour in colours])
    assert matches(fingerprints(images, "near"), "near")[:5] == [None] * 4 + [Match("exact", 2)]
    assert matches(fingerprints(images, "near"), "near")[6] is None


def test_the_most_similar_and_of_several_the_first() -> None:
    thumbnails = np.tile(np.arange(0, 240, 10, dtype=np.uint8), (5, 1))
    hashes = [flipped(99, [1, 20, 40]), flipped(99, [2]), flipped(99, [3]), flipped(99, list(range(7))), 99]
    assert matches(made(hashes, thumbnails), "near", keep=True)[-1] == Match("near", 1)


def test_equal_comes_before_similar() -> None:
    images = np.stack([landscape(32), landscape(32) // 2 * 2, landscape(32) // 2 * 2])
    prints = fingerprints(images, "near")
    assert matches(prints, "near") == [None, Match("near", 0), Match("near", 0)]
    assert matches(prints, "near", keep=True) == [None, Match("near", 0), Match("exact", 1)]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_naive(data: st.DataObject) -> None:
    """Every pattern of up to seven differing bits, in one band or spread over all."""
    bits = st.lists(st.integers(0, 63), max_size=7, unique=True)
    hashes = [flipped(base, b) for base in (0x0123456789ABCDEF, 5) for b in data.draw(st.lists(bits, max_size=12))]
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    thumbnails = (np.arange(24) * 9 + rng.integers(-2, 3, (len(hashes), 24)) + 10).astype(np.uint8)
    found = matches(made(hashes, thumbnails), "near", keep=True)
    for index, match in enumerate(found):
        seen = list(zip(hashes[:index], thumbnails, strict=False))
        assert (match and match.number) == naive.find(seen, hashes[index], thumbnails[index])


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 255), st.integers(0, 12), st.integers(-20, 20))
def test_thumbnails_agree_as_in_the_naive_twin(seed: int, spread: int, noise: int, brighter: int) -> None:
    rng = np.random.default_rng(seed)
    a = rng.integers(0, spread + 1, 24)
    b = np.clip(a + brighter * (np.arange(24) < 16) + rng.integers(-noise, noise + 1, 24), 0, 255)
    assert alike(a.astype(np.uint8), b.astype(np.uint8)) == naive.alike(a, b)


def test_grouping_changes_nothing() -> None:
    images = np.random.default_rng(0).integers(0, 256, (9, 20, 20, 3), dtype=np.uint8)
    whole = fingerprints(images, "near")
    parts = np.concatenate([fingerprints(images[:4], "near"), fingerprints(images[4:], "near")])
    np.testing.assert_array_equal(whole, parts)
    np.testing.assert_array_equal(fingerprints(images, "exact"), whole[:, :16])


@pytest.mark.parametrize(("kind", "most"), [("exact", 40), ("near", 100)])
def test_memory(kind: Kind, most: int) -> None:
    prints = np.random.default_rng(0).integers(0, 256, (30_000, fingerprint_length(kind)), dtype=np.uint8)
    duplicates = Duplicates(kind)
    for number, one in enumerate(prints):
        duplicates.add(one, number)
    fixed = Duplicates(kind).nbytes
    assert len(duplicates) == 30_000
    assert duplicates.nbytes - fixed <= most * 30_000
    assert all(duplicates.check(prints[i]) == Match("exact", i) for i in range(0, 30_000, 1000))


def test_equal_images_take_no_memory() -> None:
    one = fingerprints(np.zeros((1, 8, 8, 3), np.uint8), "near")[0]
    duplicates = Duplicates("near")
    for number in range(5000):
        duplicates.add(one, number)
    assert len(duplicates) == 1
    assert duplicates.check(one) == Match("exact", 0)


def test_a_full_bucket_is_not_searched_to_its_end() -> None:
    """One hash, thumbnails that do not agree: the image looked for is found while it is among the newest."""
    count = MOST_IN_BUCKET + 10
    thumbnails = np.random.default_rng(0).integers(0, 256, (count, 24), dtype=np.uint8)
    prints = made([7] * count, thumbnails)
    duplicates = Duplicates("near")
    for number, one in enumerate(prints):
        duplicates.add(one, number)
    wanted = prints.copy()
    wanted[:, :16] = 255
    assert duplicates.check(wanted[-1]) == Match("near", count - 1)
    assert duplicates.check(wanted[0]) is None


def test_fingerprints_that_cannot_be_written_to() -> None:
    prints = fingerprints(noise(2), "near")
    prints.flags.writeable = False
    assert matches(prints, "near") == [None, None]


def test_names() -> None:
    names = Names()
    wanted = ["a.png", "", "日本/ä.png", "\udcff", "a.png"]
    assert [names.append(name) for name in wanted] == list(range(5))
    assert [names[number] for number in range(len(names))] == wanted


def test_another_kind_of_fingerprint_is_refused() -> None:
    with pytest.raises(ValueError, match="^fingerprint: wants uint8, 48; got uint8, \\(16,\\)"):
        Duplicates("near").check(np.zeros(16, np.uint8))


@pytest.mark.parametrize("drop", ["none", "exact", "near"])
def test_many_at_once_are_as_one_by_one(drop: str) -> None:
    rng = np.random.default_rng(3)
    prints = rng.integers(0, 256, (3000, fingerprint_length("near")), dtype=np.uint8)
    for row in rng.integers(1, 3000, 1200):  # equal to an earlier one, or so in all but the digest and two bits
        prints[row] = prints[rng.integers(0, row)]
        if row % 2:
            prints[row, :16] = rng.integers(0, 256, 16)
            prints[row, 16] ^= 3
    alone, together, expected = Duplicates("near"), Duplicates("near"), []
    number = 0
    for one in prints:
        match = alone.check(one)
        expected.append((match.kind if match else "new", match.number if match else -1))
        if match is None or drop == "none" or (drop == "exact" and match.kind == "near"):
            alone.add(one, number)
            number += 1
    found, number = [], 0
    for chunk in np.array_split(prints, [1, 7, 1500, 2999]):
        kinds, numbers = together.sift(chunk, number, drop)
        number += int((~is_dropped(kinds, drop)).sum())
        found += zip([("new", "near", "exact")[kind] for kind in kinds], numbers.tolist(), strict=True)
    assert found == expected
    assert len(together) == len(alone)
    assert {kind for kind, _ in found} == {"new", "near", "exact"}


def test_only_near_duplicates_are_sifted() -> None:
    with pytest.raises(ValueError, match="sift: .* kind 'exact'"):
        Duplicates("exact").sift(np.zeros((1, 48), np.uint8), 0)
    with pytest.raises(ValueError, match="^fingerprint: wants uint8, 48"):
        Duplicates("near").sift(np.zeros((1, 16), np.uint8), 0)
