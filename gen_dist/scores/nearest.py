"""Nearest neighbours of generated images among training and held-out ones: does the generator repeat its training set?

Distances are L2, of flattened images with pixels in [0, 1], or of any features. A low distance to training images alone
proves nothing: a blurred image is close to everything. What counts is whether it is lower than real, new images have.

Shapes: n items of D numbers, flattened.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from gen_dist.scores.inputs import blocks, check_alike, check_features, check_images

_BLOCK_BYTES, _MOST_ROWS = 64 << 20, 1024
_MOST_PIXELS = (2**31 - 1) // 128**2  # whose products, summed, are 32-bit integers


@dataclass(frozen=True)
class Neighbours:
    """Medians of distances to the nearest neighbour, and how much closer generated items are to training ones.

    Args:
        to_train, to_held_out: of generated items.
        held_out_to_train: what new real items have.
        closer: how often a generated item is closer to the training set than a held-out one is, over all pairs of the
            two, ties as half. Near 0.5 if the generator makes new items, 1 if it repeats training items.
        close: the share of generated items that are closer to the training set than the closest `expected` of the
            held-out ones; repeats among new items show here first.
    """

    to_train: float
    to_held_out: float
    held_out_to_train: float
    closer: float
    close: float
    expected: float


def neighbours(generated: np.ndarray, train: np.ndarray, held_out: np.ndarray, *, expected: float = 0.05) -> Neighbours:
    """`closer` is the test statistic of Meehan, Chaudhuri, Dasgupta: "A non-parametric test to detect data-copying in
    generative models" (2020), for the whole space as one cell.

    Args:
        generated, train, held_out: images, uint8 (n, H, W, C), or features, finite numbers (n, D); n may differ.
        expected: the share of held-out items that count as close to the training set, above 0 and below 1.

    Raises ValueError for other arrays, empty sets, items of different shapes, and another share.
    """
    if not 0 < expected < 1:
        raise ValueError(f"expected {expected}: give a share above 0 and below 1")
    _check(generated=generated, train=train, held_out=held_out)
    to_train = nearest_distances(generated, train)
    to_held_out = nearest_distances(generated, held_out)
    real = np.sort(nearest_distances(held_out, train))
    below = np.searchsorted(real, to_train, "left")
    not_above = np.searchsorted(real, to_train, "right")
    closer = 1 - float(np.mean(below + not_above)) / (2 * len(real))
    return Neighbours(
        to_train=float(np.median(to_train)),
        to_held_out=float(np.median(to_held_out)),
        held_out_to_train=float(np.median(real)),
        closer=closer,
        close=float(np.mean(to_train < np.quantile(real, expected))),
        expected=expected,
    )


def nearest_distances(items: np.ndarray, among: np.ndarray) -> np.ndarray:
    """From each of `items` to the nearest of `among`, its own double included: float64 (n,); see `nearest`."""
    return nearest(items, among)[0]


def nearest(items: np.ndarray, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance (float64) and index in `among` (int64), (n,) each, of what is nearest to each of `items`.

    Of equals, the first.
    Both sets are images or both are features, see `neighbours`. Exact for images: their squared distances are whole
    numbers. In blocks: memory is some 64 MB, whatever the sizes of the sets.

    Raises ValueError for other arrays, empty sets and items of different shapes.
    """
    scale = _check(items=items, among=among)
    items, among = items.reshape(len(items), -1), among.reshape(len(among), -1)
    prepare = _pixels if items.dtype == np.uint8 and items.shape[1] <= _MOST_PIXELS else _numbers
    rows = min(_MOST_ROWS, _BLOCK_BYTES // ((3 if prepare is _pixels else 24) * max(items.shape[1], 1024)))
    squared = np.full(len(items), np.inf)
    indices = np.zeros(len(items), np.int64)
    for a in blocks(len(items), rows):
        left = prepare(items[a])
        for b in blocks(len(among), rows):
            best, found = _squared_distances(left, prepare(among[b])).min(dim=1)
            better = best.numpy() < squared[a]
            squared[a] = np.where(better, best.numpy(), squared[a])
            indices[a] = np.where(better, found.numpy() + b.start, indices[a])
    return np.sqrt(squared) * scale, indices


def _check(**named: np.ndarray) -> float:
    """What distances are to be multiplied by. Raises ValueError."""
    first, *_ = named
    images = named[first].ndim == 4
    for name, items in named.items():
        (check_images if images else check_features)(name, items)
        check_alike(first, named[first], name, items)
    return 1 / 255 if images else 1.0


class _Rows(NamedTuple):
    matrix: torch.Tensor
    squares: torch.Tensor  # of each row's length


def _numbers(rows: np.ndarray) -> _Rows:
    matrix = torch.from_numpy(rows.astype(np.float64))
    return _Rows(matrix, matrix.square().sum(dim=1))


def _pixels(rows: np.ndarray) -> _Rows:
    """Of uint8 (n, D): as int8, which processors multiply faster. Less 128, which changes no distance."""
    centered = (rows - np.uint8(128)).view(np.int8)
    squares = np.square(centered, dtype=np.int16).sum(axis=1, dtype=np.int64)
    return _Rows(torch.from_numpy(centered), torch.from_numpy(squares))


def _squared_distances(a: _Rows, b: _Rows) -> torch.Tensor:
    """float64 or int64 (n, m)."""
    whole = a.matrix.dtype == torch.int8
    products = torch._int_mm(a.matrix, b.matrix.T).to(torch.int64) if whole else a.matrix @ b.matrix.T
    return (a.squares[:, None] + b.squares[None, :] - 2 * products).clamp_(min=0)
