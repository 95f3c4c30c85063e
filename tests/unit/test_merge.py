"""Merging packs: all images in order, classes by name, nothing damaged passed on."""

from pathlib import Path

import numpy as np
import pytest

from gen_dist.data.merging import merge_packs
from gen_dist.data.pack import Pack
from gen_dist.data.pack_index import Entry
from gen_dist.errors import UserError
from tests.packs import flip, noise, pack_of
from tests.unit.test_perceptual import landscape


def merged(paths: list[Path], out: Path, **options) -> Pack:
    merge_packs(paths, out, **options)
    pack = Pack.open(out)
    assert pack.verify() == []
    assert [path for path in out.parent.iterdir() if path.name.startswith(".")] == []
    return pack


def test_all_images_in_order(tmp_path: Path) -> None:
    a, b = noise(5), noise(4, seed=1)
    paths = [pack_of(tmp_path / "a", a, size=6, filter="box"), pack_of(tmp_path / "b", b, size=6, filter="lanczos")]
    calls: list[tuple[int, int]] = []
    pack = merged(paths, tmp_path / "out", part_bytes=200, progress=lambda done, total: calls.append((done, total)))
    np.testing.assert_array_equal(np.concatenate(pack.parts), np.concatenate([a, b]))
    assert [(e.name, e.width) for e in pack.entries()][4:6] == [("a/img-4.png", 14), ("b/img-0.png", 10)]
    assert pack.class_names is None
    assert pack.meta.source == "source of a + source of b"
    assert pack.meta.settings == {"size": 6}
    assert calls[-1] == (9, 9)
    assert len(calls) == 9


def test_classes_are_united_by_name(tmp_path: Path) -> None:
    paths = [
        pack_of(tmp_path / "a", noise(3), classes=["cat", "dog"], labels=[0, 1, 1]),
        pack_of(tmp_path / "b", noise(3, seed=1), classes=["emu", "dog", "cat"], labels=[0, 1, 2]),
    ]
    pack = merged(paths, tmp_path / "out")
    assert pack.class_names == ("cat", "dog", "emu")
    assert np.asarray(pack.labels).tolist() == [0, 1, 1, 2, 1, 0]
    assert merged(paths, tmp_path / "none", classes=False).class_names is None


def test_what_gave_no_image_is_kept(tmp_path: Path) -> None:
    entries = [
        Entry("x.png", "s", block="clip.mp4#1"),
        Entry("bad", "s", 0, reason="damaged"),
        Entry("y.png", "s", 0, reason="exact duplicate of x.png"),
    ]
    paths = [
        pack_of(tmp_path / "a", noise(1), entries, rejected=[("bad", "damaged")]),
        pack_of(tmp_path / "b", noise(1, seed=1)),
    ]
    pack = merged(paths, tmp_path / "out")
    assert [(e.name, e.block, e.reason) for e in pack.entries()] == [
        ("a/x.png", "a/clip.mp4#1", ""),
        ("a/bad", "", "damaged"),
        ("a/y.png", "", "exact duplicate of a/x.png"),
        ("b/img-0.png", "", ""),
    ]
    assert [(one.name, one.reason) for one in pack.meta.rejected] == [("a/bad", "damaged")]


def test_packs_of_one_name(tmp_path: Path) -> None:
    paths = [pack_of(tmp_path / folder / "train", noise(1, seed=i)) for i, folder in enumerate("xyz")]
    pack = merged(paths, tmp_path / "out")
    assert [e.name for e in pack.entries()] == ["train/img-0.png", "train-2/img-0.png", "train-3/img-0.png"]


def test_duplicates_are_left_out(tmp_path: Path) -> None:
    scenes = np.stack([landscape(32, seed) for seed in range(6)])
    again = np.concatenate([scenes[[2]], scenes[[3]] ^ 1, scenes[4:]])
    paths = [pack_of(tmp_path / "a", scenes[:4]), pack_of(tmp_path / "b", again)]
    exact = merged(paths, tmp_path / "exact", drop="exact")
    np.testing.assert_array_equal(np.concatenate(exact.parts), np.concatenate([scenes[:4], again[1:]]))
    near = merged(paths, tmp_path / "near", drop="near")
    np.testing.assert_array_equal(np.concatenate(near.parts), scenes)
    reasons = [(e.name, e.images, e.reason) for e in near.entries()][4:]
    assert reasons == [
        ("b/img-0.png", 0, "exact duplicate of a/img-2.png"),
        ("b/img-1.png", 0, "near duplicate of a/img-3.png"),
        ("b/img-2.png", 1, ""),
        ("b/img-3.png", 1, ""),
    ]
    assert near.meta.counts["exact_duplicates"] == near.meta.counts["near_duplicates"] == 1


def test_of_an_item_some_images_may_go(tmp_path: Path) -> None:
    images = noise(3)
    both = [pack_of(tmp_path / "a", images[:2]), pack_of(tmp_path / "b", images[1:], [Entry("b.gif", "s", images=2)])]
    pack = merged(both, tmp_path / "out", drop="exact")
    assert [(e.name, e.images, e.reason) for e in pack.entries()][2:] == [("b/b.gif", 1, "")]


def test_jpegs(tmp_path: Path) -> None:
    paths = [pack_of(tmp_path / name, [b"\xff\xd8" + name.encode(), b"x"], kept="jpeg") for name in ("a", "b")]
    pack = merged(paths, tmp_path / "out")
    assert [image.tobytes() for image in pack.stored()] == [b"\xff\xd8a", b"x", b"\xff\xd8b", b"x"]
    assert np.asarray(pack.sizes).tolist() == [[6, 5]] * 4


def test_jpegs_of_other_windows_are_refused(tmp_path: Path) -> None:
    """Merged, those of one pack would be shown with the crop of the other, or with neither."""
    settings = [{}, {"data.prepare.crop": "center"}, {"data.prepare.crop": "stretch"}, {"data.prepare.filter": "box"}]
    paths = [pack_of(tmp_path / str(i), [b"x"], kept="jpeg", **one) for i, one in enumerate(settings)]
    for other in paths[2:]:
        with pytest.raises(UserError, match="crop or filter of its JPEGs are not those of"):
            merge_packs([paths[0], other], tmp_path / "out")
    assert merged(paths[:2], tmp_path / "out").encoded.shown == Pack.open(paths[0]).encoded.shown


def test_refused(tmp_path: Path) -> None:
    a = pack_of(tmp_path / "a", noise(2))
    rows = [
        ([a], "1 pack to merge: give two or more"),
        ([a, tmp_path / "." / "a"], "given twice"),
        ([a, tmp_path / "missing"], "no such folder"),
        ([a, pack_of(tmp_path / "wide", noise(2, (6, 7, 3)))], "its images are 7x6 in colour, those of .* are 5x6 in"),
        ([a, pack_of(tmp_path / "grey", noise(2, (6, 5, 1)))], "its images are 5x6 in grey"),
        ([pack_of(tmp_path / "p", noise(2, (5, 6, 3))), pack_of(tmp_path / "j", [b"x"], kept="jpeg")], "as jpeg"),
        ([a, pack_of(tmp_path / "classes", noise(2), classes=["x"], labels=[0, 0])], "has none; .*--no-classes"),
    ]
    before = sorted(tmp_path.iterdir())
    for paths, message in rows:
        with pytest.raises(UserError, match=message):
            merge_packs(paths, tmp_path / "out")
    with pytest.raises(UserError, match="exists already"):
        merge_packs([a, tmp_path / "p"], a)
    damaged = pack_of(tmp_path / "damaged", noise(2, seed=1))
    flip(damaged / "images-00000.npy", -1)
    with pytest.raises(UserError, match="image 1 is damaged"):
        merge_packs([a, damaged], tmp_path / "out")
    assert sorted(tmp_path.iterdir()) == sorted([*before, damaged])
