"""Contact sheets: the right images, whole, at the right places, whatever the pack holds."""

from pathlib import Path

import numpy as np
import pytest

from gen_dist.data.contact_sheet import _PAPER, contact_sheet, spread
from gen_dist.data.pack import Pack
from tests.packs import noise, pack_of


def flat(colours: np.ndarray, height: int, width: int) -> np.ndarray:
    """An image of each colour: uint8, n x height x width x 3."""
    return np.broadcast_to(colours[:, None, None, :], (len(colours), height, width, 3)).copy()


def colours(count: int) -> np.ndarray:
    """All different, and none the paper's."""
    numbers = np.arange(count)
    return np.stack([numbers % 16 * 10, numbers // 16 * 10, np.full(count, 90)], axis=1).astype(np.uint8)


def boxes(page: np.ndarray, wanted: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Of each colour that the page shows: top, left, height, width; it must fill that rectangle."""
    found = []
    for colour in wanted:
        y, x = np.nonzero((page == colour).all(axis=2))
        if len(y):
            top, left, height, width = y.min(), x.min(), np.ptp(y) + 1, np.ptp(x) + 1
            assert len(y) == height * width
            found.append((int(top), int(left), int(height), int(width)))
    return found


@pytest.mark.parametrize(
    ("side", "drawn"), [((32, 32), (96, 96)), ((64, 64), (128, 128)), ((20, 40), (40, 80)), ((300, 300), (128, 128))]
)
def test_images_keep_their_shape(tmp_path: Path, side: tuple[int, int], drawn: tuple[int, int]) -> None:
    wanted = colours(12)
    page = contact_sheet(Pack.open(pack_of(tmp_path / "pack", flat(wanted, *side))), "twelve")
    found = boxes(page, wanted)
    assert {(height, width) for _, _, height, width in found} == {drawn}
    assert len({top for top, *_ in found}) == 2
    assert found == sorted(found)
    assert len(found) == 12


def test_pixels_stay_sharp(tmp_path: Path) -> None:
    images = noise(1, (8, 8, 3))
    page = contact_sheet(Pack.open(pack_of(tmp_path / "pack", images)), "")
    want = images[0].repeat(12, axis=0).repeat(12, axis=1)
    views = np.lib.stride_tricks.sliding_window_view(page, want.shape)[:, :, 0]
    assert any((view == want).all() for row in views for view in row)


def test_a_row_for_each_class(tmp_path: Path) -> None:
    wanted = colours(60)
    labels = [0] * 30 + [1] * 2 + [3] * 28
    names = ["first", "second", "without images", "a name so long that it does not fit beside its images at all"]
    pack = Pack.open(pack_of(tmp_path / "pack", flat(wanted, 16, 16), classes=names, labels=labels))
    found = boxes(contact_sheet(pack, "classes"), wanted)
    rows = [[box for box in found if box[0] == top] for top in sorted({top for top, *_ in found})]
    assert [len(row) for row in rows] == [10, 2, 10]
    assert all({box[1] for box in row} <= {box[1] for box in rows[0]} for row in rows)


def test_more_classes_than_there_is_room_for(tmp_path: Path) -> None:
    wanted = colours(25)
    path = pack_of(tmp_path / "pack", flat(wanted, 8, 8), classes=[f"c{i}" for i in range(25)], labels=range(25))
    assert len(boxes(contact_sheet(Pack.open(path), "many"), wanted)) == 20


@pytest.mark.parametrize("title", ["", "Blässhühner", "日本語", "a\nb\x1b", "x" * 400, "\udcff"])
def test_any_text(tmp_path: Path, title: str) -> None:
    """Nothing comes nearer to the edge than the margin, so nothing is cut."""
    path = pack_of(tmp_path / "pack", noise(2), classes=[title.replace("\udcff", "?") or "x"], labels=[0, 0])
    page = contact_sheet(Pack.open(path), title)
    edge = np.ones(page.shape[:2], bool)
    edge[20:-20, 20:-20] = False
    assert (page[edge] == _PAPER).all()
    assert (page[~edge] != _PAPER).any()


def test_grey(tmp_path: Path) -> None:
    page = contact_sheet(Pack.open(pack_of(tmp_path / "pack", np.full((1, 8, 8, 1), 77, np.uint8))), "grey")
    assert boxes(page, np.array([[77, 77, 77]]))[0][2:] == (96, 96)


def test_spread() -> None:
    assert spread(3, 10).tolist() == [0, 1, 2]
    assert spread(100, 4).tolist() == [12, 37, 62, 87]
    assert spread(0, 4).tolist() == []
    for count in (5, 101, 12345):
        chosen = spread(count, 100)
        assert len(chosen) == min(count, 100)
        assert len(set(chosen.tolist())) == len(chosen)
        assert 0 <= chosen[0] <= chosen[-1] < count
