import errno
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gen_dist.errors import UserError
from gen_dist.record.pictures import image_grid, save_png


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("count", "columns", "gap", "scale"), [(6, 3, 2, 1), (5, 3, 1, 2), (1, 4, 0, 3)])
def test_every_image_is_in_its_place(channels: int, count: int, columns: int, gap: int, scale: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (count, 4, 6, channels), dtype=np.uint8)
    grid = image_grid(images, columns, gap=gap, scale=scale)
    rows = -(-count // columns)
    assert grid.shape == (rows * (4 * scale + gap) + gap, columns * (6 * scale + gap) + gap, channels)
    seen = np.zeros(grid.shape, bool)
    for index in range(count):
        for y in range(4 * scale):
            for x in range(6 * scale):
                place = gap + index // columns * (4 * scale + gap) + y, gap + index % columns * (6 * scale + gap) + x
                assert (grid[place] == images[index, y // scale, x // scale]).all()
                seen[place] = True
    assert (grid[~seen] == 128).all()


@pytest.mark.parametrize(("side", "factor"), [(28, 3), (32, 3), (64, 1), (96, 1), (200, 1)])
def test_small_images_are_enlarged(side: int, factor: int) -> None:
    assert image_grid(np.zeros((1, side, side, 3), np.uint8), 1, gap=0).shape == (side * factor, side * factor, 3)


@pytest.mark.parametrize("shape", [(0, 4, 4, 3), (4, 4, 3), (1, 4, 4, 2)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="uint8 of shape"):
        image_grid(np.zeros(shape, np.uint8), 2)
    with pytest.raises(ValueError, match="uint8 of shape"):
        image_grid(np.zeros((1, 4, 4, 3), np.float32), 2)


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3)])
def test_png_round_trip(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    save_png(tmp_path / "a.png", array)
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "PNG"
        assert np.array_equal(np.asarray(image).reshape(shape), array)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_full_disk_leaves_the_old_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_png(tmp_path / "a.png", np.zeros((4, 4), np.uint8))
    old = (tmp_path / "a.png").read_bytes()
    fired = []

    def full(descriptor: int) -> None:
        fired.append(descriptor)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left"):
        save_png(tmp_path / "a.png", np.ones((4, 4), np.uint8))
    assert fired
    assert (tmp_path / "a.png").read_bytes() == old
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
