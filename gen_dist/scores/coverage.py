"""Precision and recall of generated items: how many look real, and how much of the real is there.

As Kynkäänniemi et al. 2019 have it: where items lie is told by balls around each of a set, as large as the distance to
its k-th nearest neighbour in the set. Precision is the share of generated items in a ball of the real ones; recall the
share of real items in a ball of the generated ones.

Shapes: n items of D numbers.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from gen_dist.scores.inputs import blocks, check_alike, check_features

_BLOCK_BYTES = 64 << 20


@dataclass(frozen=True)
class Coverage:
    """Shares, 0 to 1."""

    precision: float
    recall: float


def precision_recall(generated: np.ndarray, real: np.ndarray, *, neighbours: int = 3) -> Coverage:
    """Of features (finite numbers, (n, D)); take as many of either, since both numbers depend on how many there are.

    Raises ValueError for other arrays, and sets of no more than `neighbours` items.
    """
    if neighbours < 1:
        raise ValueError(f"neighbours {neighbours}: must be at least 1")
    check_features("generated", generated, neighbours + 1)
    check_features("real", real, neighbours + 1)
    check_alike("generated", generated, "real", real)
    fake, true = (torch.from_numpy(items.astype(np.float64)) for items in (generated, real))
    return Coverage(_within(fake, true, _radii(true, neighbours)), _within(true, fake, _radii(fake, neighbours)))


def _radii(items: torch.Tensor, neighbours: int) -> torch.Tensor:
    """Of each item's ball, float64 (n,): the item itself is the nearest and does not count."""
    parts = [_distances(items[some], items).kthvalue(neighbours + 1, dim=1).values for some in _rows(items, items)]
    return torch.cat(parts)


def _within(items: torch.Tensor, centers: torch.Tensor, radii: torch.Tensor) -> float:
    """The share of items that are in some ball."""
    inside = [(_distances(items[some], centers) <= radii).any(dim=1) for some in _rows(items, centers)]
    return float(torch.cat(inside).double().mean())


def _rows(items: torch.Tensor, among: torch.Tensor) -> Iterator[slice]:
    return blocks(len(items), _BLOCK_BYTES // (8 * len(among)))


def _distances(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """float64 (n, m), from differences: an item is at distance 0 of itself."""
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")
