"""Numbers about packs, against NumPy over all images at once."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from gen_dist.data import statistics
from gen_dist.data.duplicate_reason import duplicate_of, duplicate_reason
from gen_dist.data.pack import Pack
from gen_dist.data.pack_index import Entry
from gen_dist.data.statistics import Reason, Sides, pack_statistics, pixel_statistics
from gen_dist.errors import UserError
from tests.packs import noise, pack_of


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("chunk_bytes", [1, 500, 1 << 20])
def test_pixels(tmp_path: Path, monkeypatch, channels: int, chunk_bytes: int) -> None:
    monkeypatch.setattr(statistics, "_CHUNK_BYTES", chunk_bytes)
    images = noise(11, (6, 5, channels)) // 2 + 20
    calls: list[tuple[int, int]] = []
    path = pack_of(tmp_path / "pack", images, part_bytes=400)
    found = pack_statistics(Pack.open(path), lambda done, total: calls.append((done, total)))
    pixels = images.reshape(-1, channels).astype(np.float64)
    np.testing.assert_allclose(found.pixels.mean, pixels.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(found.pixels.std, pixels.std(axis=0), rtol=1e-12)
    assert found.pixels.min == pixels.min(axis=0).tolist()
    assert found.pixels.max == pixels.max(axis=0).tolist()
    assert (found.images, found.height, found.width, found.channels) == (11, 6, 5, channels)
    assert (found.parts, found.bytes, found.kept) == (-(-11 // (400 // (30 * channels))), images.nbytes, "pixels")
    assert calls[-1] == (11, 11)
    json.dumps(dataclasses.asdict(found))


def test_sums_are_exact() -> None:
    """More pixels than a double counts in steps of one: 2 to the 62 of value 255 and one of 254."""
    histogram = np.zeros((1, 256), np.int64)
    histogram[0, 255], histogram[0, 254] = 1 << 62, 1
    found = pixel_statistics(histogram)
    assert found.mean == [255.0]
    assert found.std[0] == pytest.approx(2.0**-31)


def test_items(tmp_path: Path) -> None:
    sizes = [(640, 480), (64, 48), (640, 480), (100, 900)]
    entries = [Entry(f"{i}.png", "", width=width, height=height) for i, (width, height) in enumerate(sizes)]
    entries += [Entry(f"dup{i}", "", 0, reason=duplicate_reason("exact", f"{i % 2}.png")) for i in range(3)]
    entries += [Entry("alike", "", 0, width=7, height=7, reason=duplicate_reason("near", "0.png"))]
    entries += [Entry(f"bad{i}", "", 0, reason="damaged") for i in range(5)]
    rejected = [(f"bad{i}", "damaged") for i in range(5)] + [("locked", "no permission")]
    path = pack_of(tmp_path / "pack", noise(4), entries, ["a", "b", "c"], [0, 2, 2, 2], rejected, **{"data.size": 64})
    found = pack_statistics(Pack.open(path))
    assert found.classes == {"a": 1, "b": 0, "c": 3}
    assert found.widths == Sides(64, 370.0, 640)
    assert found.heights == Sides(48, 480.0, 900)
    assert found.common_sizes == [(640, 480, 2), (64, 48, 1), (100, 900, 1)]
    assert found.rejected == [
        Reason("damaged", 5, ["bad0", "bad1", "bad2"]),
        Reason("no permission", 1, ["locked"]),
    ]
    assert found.left_out == {"exact": 3, "near": 1}
    assert found.duplicate_groups == [("0.png", 3), ("1.png", 1)]
    assert found.settings == {"data.size": 64}


def test_of_little_there_is_little_to_say(tmp_path: Path) -> None:
    found = pack_statistics(Pack.open(pack_of(tmp_path / "pack", noise(1), [Entry("a", "")])))
    assert (found.classes, found.widths, found.heights, found.common_sizes) == (None, None, None, [])
    assert (found.rejected, found.duplicates, found.left_out) == ([], {}, {"exact": 0, "near": 0})


def test_a_damaged_index(tmp_path: Path) -> None:
    path = pack_of(tmp_path / "pack", noise(1))
    (path / "index.jsonl").write_text("[]\n")
    with pytest.raises(UserError, match=r"index\.jsonl: line 1 is not an entry"):
        pack_statistics(Pack.open(path))


@pytest.mark.parametrize("name", ["a.png", "exact duplicate of b", "two\nlines", ""])
def test_reasons_of_duplicates(name: str) -> None:
    assert duplicate_of(duplicate_reason("near", name)) == ("near", name)
    assert duplicate_of(f"not an image of {name}") is None
