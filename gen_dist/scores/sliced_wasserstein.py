"""Sliced Wasserstein distance between two sets of images, on their Laplacian pyramids.

Karras, Aila, Laine, Lehtinen: "Progressive growing of GANs for improved quality, stability, and variation" (2017),
section 5. Patches of each level are normalised by the mean and standard deviation of each channel over their own set,
as in the paper: a set that differs from another only in brightness or contrast of a level has distance 0 there. What is
left is shape: large levels tell of detail, small ones of layout.

The distance between finite sets is above 0 even for images of one kind, the more so the fewer there are. So read it
beside the distance of two real sets of the same sizes: see floor.py.

Shapes: n images of H x W x C; P patches an image; K directions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from gen_dist.draws import Draws
from gen_dist.scores.inputs import blocks, check_alike, check_images
from gen_dist.scores.pyramid import pyramid_level, pyramid_sizes

PATCH = 7  # pixels a side

_SCALE = 1000.0  # the paper's unit
_BLOCK_BYTES = 64 << 20
_IMAGE_BYTES = 16 << 20  # of a block of images, whose pyramids take several times as much


@dataclass(frozen=True)
class SlicedWasserstein:
    """`levels`: the distance x 1000 by the level's shorter side in pixels, the full size first."""

    levels: dict[int, float]

    @property
    def mean(self) -> float:
        """Over the levels; the figure to quote."""
        return sum(self.levels.values()) / len(self.levels)


def sliced_wasserstein(
    images: np.ndarray, others: np.ndarray, draws: Draws, *, patches: int = 128, directions: int = 512
) -> SlicedWasserstein:
    """How far two sets of images are apart; symmetric, and 0 for a set and itself.

    Args:
        images, others: uint8 (n, H, W, C), C 1 or 3, at least 7 pixels a side; n may differ. All patches of both
            sets count: the distance is the exact one between the two empirical distributions, without resampling.
        draws: where patches lie, and the directions. Images with the same index have their patches at the same
            places in both sets.
        patches, directions: an image, and a level; the defaults are the paper's.

    Memory: about 200 P C bytes an image, and some 200 MB. Time: sorting K rows of n P numbers a level and set.

    Raises ValueError for other arrays, empty sets, images of different or too small shapes, and counts below 1.
    """
    check_images("others", others)
    check_images("images", images)
    check_alike("images", images, "others", others)
    return sliced_wasserstein_to(others, [images], draws, patches=patches, directions=directions)[0]


def sliced_wasserstein_to(
    reference: np.ndarray, sets: Sequence[np.ndarray], draws: Draws, *, patches: int = 128, directions: int = 512
) -> list[SlicedWasserstein]:
    """How far each of several sets is from one, for little more than half of what they cost one by one.

    Arguments and errors as of `sliced_wasserstein`.
    """
    check_images("reference", reference)
    for number, images in enumerate(sets):
        check_images(f"set {number}", images)
        check_alike(f"set {number}", images, "reference", reference)
    height, width, channels = reference.shape[1:]
    if min(height, width) < PATCH:
        raise ValueError(f"images of {height} x {width} pixels: no patch fits; give at least {PATCH} x {PATCH}")
    if patches < 1 or directions < 1:
        raise ValueError(f"patches {patches}, directions {directions}: give at least 1 of each")
    sizes = pyramid_sizes(height, width)
    levels: list[dict[int, float]] = [{} for _ in sets]
    for level, size in enumerate(sizes):
        where = _Level(level, last=level == len(sizes) - 1, patches=patches)
        towards = _directions(draws, level, directions, channels)
        patches_of = [_descriptors(images, where, draws) for images in (reference, *sets)]
        for found, distance in zip(levels, _sliced(patches_of[0], patches_of[1:], towards), strict=True):
            found[min(size)] = _SCALE * distance
    return [SlicedWasserstein(found) for found in levels]


@dataclass(frozen=True)
class _Level:
    number: int
    last: bool
    patches: int


def _descriptors(images: np.ndarray, level: _Level, draws: Draws) -> np.ndarray:
    """Normalised patches of a level, float32 (n P, C 49)."""
    n, height, width, channels = images.shape
    patches = np.empty((n, level.patches, channels, PATCH, PATCH), np.float32)
    for block in blocks(n, _IMAGE_BYTES // max(patches[0].nbytes, 4 * height * width * channels)):
        x_NCHW = torch.from_numpy(images[block].astype(np.float32)).permute(0, 3, 1, 2)
        band_NCHW = pyramid_level(x_NCHW, level.number, level.last).numpy()
        windows = np.lib.stride_tricks.sliding_window_view(band_NCHW, (PATCH, PATCH), axis=(2, 3))
        drawn = draws.at(0, 0, np.arange(block.start, block.stop))
        rows = _places(drawn.uniform(f"scores/rows/{level.number}", level.patches), windows.shape[2])
        columns = _places(drawn.uniform(f"scores/columns/{level.number}", level.patches), windows.shape[3])
        patches[block] = windows[np.arange(len(band_NCHW))[:, None], :, rows, columns]
    rows_by_channel = patches.reshape(n * level.patches, channels, PATCH * PATCH)
    _normalise(rows_by_channel)
    return rows_by_channel.reshape(n * level.patches, -1)


def _places(uniform: torch.Tensor, count: int) -> np.ndarray:
    """Whole numbers in [0, count) from uniform numbers in [0, 1)."""
    return (uniform.numpy().astype(np.float64) * count).astype(np.int64)


def _normalise(patches: np.ndarray) -> None:
    """Mean 0 and standard deviation 1 of each channel of (N, C, 49), in place; what does not vary becomes 0."""
    patches -= patches.mean(axis=(0, 2), keepdims=True, dtype=np.float64).astype(np.float32)
    squares = np.zeros((patches.shape[1], 1))
    for block in blocks(len(patches), _BLOCK_BYTES // patches[0].nbytes):
        squares += np.square(patches[block]).sum(axis=(0, 2), dtype=np.float64)[:, None]
    variance = squares / (len(patches) * patches.shape[2])
    patches /= np.sqrt(np.where(variance > 0, variance, 1.0)).astype(np.float32)


def _directions(draws: Draws, level: int, count: int, channels: int) -> np.ndarray:
    """Unit vectors, uniform on the sphere: float32 (K, C 49)."""
    normal = draws.array(f"scores/directions/{level}", (count, channels * PATCH * PATCH))
    return normal / np.linalg.norm(normal, axis=1, keepdims=True)


def _sliced(reference: np.ndarray, sets: Sequence[np.ndarray], directions: np.ndarray) -> np.ndarray:
    """The mean over `directions` (K, D) of the Wasserstein-1 distance of rows (n, D) of each set to (m, D) along each:
    float64 (sets,)."""
    totals = np.zeros(len(sets))
    most = max(map(len, sets))
    for block in blocks(len(directions), _BLOCK_BYTES // (8 * (len(reference) + most))):
        along = torch.from_numpy(directions[block])
        ordered = _ordered(along, reference)
        totals += [float(wasserstein_1(_ordered(along, rows), ordered).sum()) for rows in sets]
    return totals / len(directions)


def _ordered(along: torch.Tensor, rows: np.ndarray) -> np.ndarray:
    """Each direction's projections, ascending: float32 (k, n)."""
    # torch multiplies, on as many threads as the caller gave it; NumPy sorts, several times as fast.
    return np.sort((along @ torch.from_numpy(rows).T).numpy(), axis=1)


def wasserstein_1(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Wasserstein-1 distance of the numbers in each row: float64 (k,), of sorted rows (k, n) and (k, m).

    The integral over q of |the q-quantile of a - that of b|, exactly, for any n and m.
    """
    n, m = a.shape[1], b.shape[1]
    if n == m:
        return np.abs(a - b).mean(axis=1, dtype=np.float64)
    # Quantiles are steps that end at multiples of 1 / n and of 1 / m: whole numbers in units of 1 / (n m).
    ends = np.unique(np.concatenate((np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)))
    shares = np.diff(ends, prepend=0) / (n * m)
    return (np.abs(a[:, (ends - 1) // m] - b[:, (ends - 1) // n]) * shares).sum(axis=1)
