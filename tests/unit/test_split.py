"""Splitting packs: both sides together are the pack, in its order, and neither holds what the other has."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gen_dist.data.pack import Pack
from gen_dist.data.pack_index import Entry
from gen_dist.data.split_rule import share_of_content
from gen_dist.data.splitting import split_pack
from gen_dist.errors import UserError
from tests.packs import flip, noise, pack_of

SIDES = ("train", "held-out")


def both(out: Path) -> list[Pack]:
    packs = [Pack.open(out / name) for name in SIDES]
    assert [pack.verify() for pack in packs] == [[], []]
    assert sorted(path.name for path in out.iterdir()) == sorted(SIDES)
    assert [path for path in out.parent.iterdir() if path.name.startswith(".")] == []
    return packs


def names(pack: Pack) -> list[str]:
    return [entry.name for entry in pack.entries()]


def blocks(*of: str) -> list[Entry]:
    return [Entry(f"{block}/{i}.png", "s", block=block) for i, block in enumerate(of)]


def frames(*of: str) -> list[Entry]:
    """As those of a video are called."""
    return [Entry(f"{block.partition('#')[0]}[{i:06d}]", "s", block=block) for i, block in enumerate(of)]


def test_by_content(tmp_path: Path) -> None:
    images = noise(60)
    images[40:] = images[:20]
    path = pack_of(tmp_path / "pack", images, classes=["a", "b"], labels=[i % 2 for i in range(60)], size=6)
    split = split_pack(path, tmp_path / "out", at=0.7, part_bytes=900)
    sides = [share_of_content(0.7).side(image.tobytes()) for image in images]
    packs = both(tmp_path / "out")
    assert split.images == (len(packs[0]), len(packs[1])) == (sides.count(0), sides.count(1))
    for side, pack in enumerate(packs):
        chosen = np.flatnonzero(np.array(sides) == side)
        np.testing.assert_array_equal(np.concatenate(pack.parts), images[chosen])
        assert np.asarray(pack.labels).tolist() == (chosen % 2).tolist()
        assert names(pack) == [f"img-{i}.png" for i in chosen]
        assert pack.class_names == ("a", "b")
        assert pack.meta.settings == {"size": 6}
        assert pack.meta.source == "source of pack"
        assert pack.meta.counts == {"images": len(chosen), "of": 60}
    assert len(packs[0].parts) > 1


def test_other_images_change_no_side(tmp_path: Path) -> None:
    images = noise(40)
    for name, chosen in (("all", images), ("some", images[::2])):
        split_pack(pack_of(tmp_path / name, chosen), tmp_path / f"out-{name}", at=0.6)
    whole = {image.tobytes() for image in both(tmp_path / "out-all")[1].stored()}
    some = [image.tobytes() for image in both(tmp_path / "out-some")[1].stored()]
    assert some
    assert whole.issuperset(some)


def test_by_folder(tmp_path: Path) -> None:
    of = [folder for folder in "abcdefghij" for _ in range(3)]
    split = split_pack(pack_of(tmp_path / "pack", noise(30), blocks(*of)), tmp_path / "out", at=0.8, by_folder=True)
    assert split.images == (24, 6)
    folders = [{entry.block for entry in pack.entries()} for pack in both(tmp_path / "out")]
    assert len(folders[1]) == 2
    assert not folders[0] & folders[1]


@pytest.mark.parametrize("by_folder", [False, True])
def test_of_videos_the_end_is_held_out(tmp_path: Path, by_folder: bool) -> None:
    of = [f"clip.mp4#{i // 5:02d}" for i in range(50)]
    path = pack_of(tmp_path / "pack", noise(50), frames(*of))
    split = split_pack(path, tmp_path / "out", at=0.9, by_folder=by_folder)
    assert split.by_time == 50
    assert [names(pack) for pack in both(tmp_path / "out")][1] == [f"clip.mp4[{i:06d}]" for i in range(45, 50)]


def test_videos_beside_photos(tmp_path: Path) -> None:
    images = noise(40)
    entries = frames(*[f"clip.mp4#{i // 4}" for i in range(20)]) + blocks(*["photos"] * 40)[20:]
    path = pack_of(tmp_path / "pack", images, entries)
    split = split_pack(path, tmp_path / "out", at=0.8)
    assert split.by_time == 20
    held = set(names(both(tmp_path / "out")[1]))
    photos = {f"photos/{i}.png" for i in range(20, 40) if share_of_content(0.8).side(images[i].tobytes())}
    assert held == {f"clip.mp4[{i:06d}]" for i in range(16, 20)} | photos


def test_a_folder_called_like_a_stretch_is_no_video(tmp_path: Path) -> None:
    images = noise(40)
    path = pack_of(tmp_path / "pack", images, blocks(*["trip#1"] * 20, *["trip#2"] * 20))
    split = split_pack(path, tmp_path / "out", at=0.7)
    sides = [share_of_content(0.7).side(image.tobytes()) for image in images]
    assert split.by_time == 0
    assert split.images == (sides.count(0), sides.count(1))


def test_items_of_several_images_and_of_none(tmp_path: Path) -> None:
    images = noise(30)
    entries = [Entry("a.gif", "s", images=10), Entry("bad", "s", 0, reason="damaged"), Entry("b.gif", "s", images=20)]
    path = pack_of(tmp_path / "pack", images, entries, rejected=[("bad", "damaged")])
    split_pack(path, tmp_path / "out", at=0.5)
    train, held = both(tmp_path / "out")
    assert sum(entry.images for entry in train.entries()) == len(train)
    assert sum(entry.images for entry in held.entries()) == len(held)
    assert [entry.reason for entry in train.entries()] == ["", "damaged", ""]
    assert names(held) == ["a.gif", "b.gif"]
    assert [len(pack.meta.rejected) for pack in (train, held)] == [1, 0]


def test_a_pack_without_an_index(tmp_path: Path, tiny_pack: Path) -> None:
    split_pack(tiny_pack, tmp_path / "out", at=0.5)
    train, held = both(tmp_path / "out")
    assert sorted(names(train) + names(held)) == sorted(f"image {i}" for i in range(37))


def test_jpegs(tmp_path: Path) -> None:
    files = []
    for image in noise(20):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG")
        files.append(file.getvalue())
    split_pack(pack_of(tmp_path / "pack", files, kept="jpeg"), tmp_path / "out", at=0.5)
    packs = both(tmp_path / "out")
    rule = share_of_content(0.5)
    for side, pack in enumerate(packs):
        assert [image.tobytes() for image in pack.stored()] == [file for file in files if rule.side(file) == side]
        assert np.asarray(pack.sizes).tolist() == [[6, 5]] * len(pack)


def test_refused(tmp_path: Path) -> None:
    path = pack_of(tmp_path / "pack", noise(3))
    folder = pack_of(tmp_path / "folder", noise(3), blocks("a", "a", "a"))
    one = pack_of(tmp_path / "one", noise(1))
    video = pack_of(tmp_path / "video", noise(2), frames("clip.mp4#0", "clip.mp4#0"))
    rows = [
        (path, {"at": 1.0}, "--at 1: must be between 0 and 1"),
        (path, {"at": float("nan")}, "--at nan: must be"),
        (path, {"by_folder": True}, "all its images are from one folder"),
        (folder, {"by_folder": True}, "all its images are from one folder"),
        (one, {}, "leave none for the side '(train|held-out)'"),
        (video, {}, "leave none for the side 'held-out'"),
        (tmp_path / "nothing", {}, "no such folder"),
    ]
    for pack, options, message in rows:
        with pytest.raises(UserError, match=message):
            split_pack(pack, tmp_path / "out", **options)
    (tmp_path / "there").mkdir()
    with pytest.raises(UserError, match="exists already"):
        split_pack(path, tmp_path / "there")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "one", "pack", "there", "video"]


def test_damage_is_not_passed_on(tmp_path: Path) -> None:
    path = pack_of(tmp_path / "pack", noise(30))
    flip(path / "images-00000.npy", -1)
    with pytest.raises(UserError, match="image 29 is damaged"):
        split_pack(path, tmp_path / "out", at=0.5)
    entries = [json.dumps({"name": f"{i}", "stamp": ""}) for i in range(29)]
    (path / "index.jsonl").write_text("\n".join(entries))
    with pytest.raises(UserError, match=r"index\.jsonl: its entries do not have the 30 images"):
        split_pack(path, tmp_path / "out", at=0.5)
    assert [p.name for p in tmp_path.iterdir()] == ["pack"]
