"""Distances between two sets of features: the kernel distance and the Fréchet distance.

On Inception's features they are known as KID and FID. On those of our own classifier they are KD-lenet and FD-lenet,
and no figure of the literature compares with them.

torch computes them, in float64 and on as many threads as its caller gave it.

Shapes: features n x D.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gen_dist.draws import Draws
from gen_dist.scores.inputs import check_alike, check_features, choose


@dataclass(frozen=True)
class KernelDistance:
    """`value` is the mean over blocks, `spread` their standard deviation (0 for one block), `size` items a block."""

    value: float
    spread: float
    blocks: int
    size: int


def kernel_distance(
    features: np.ndarray, others: np.ndarray, draws: Draws, *, blocks: int = 100, size: int = 1000
) -> KernelDistance:
    """The squared maximum mean discrepancy under the kernel (x y / D + 1)^3, estimated without bias.

    Bińkowski, Sutherland, Arbel, Gretton: "Demystifying MMD GANs" (2018), section 4. Averaged over blocks, each of so
    many items of either set, drawn without repetition. Unbiased, hence around 0 for sets of one kind, and often below.

    Args:
        features, others: (n, D) numbers; n may differ.
        draws: which items make a block.
        blocks, size: the paper's for 10,000 images and more. Of smaller sets a block takes all of the smaller one;
            where that is all of both, one block says everything.

    Raises ValueError for other arrays, sets of fewer than 2 items or of different D, and settings below 1 and 2.
    """
    for name, rows in (("features", features), ("others", others)):
        check_features(name, rows, least=2)
    check_alike("features", features, "others", others)
    if blocks < 1 or size < 2:
        raise ValueError(f"blocks {blocks} of size {size}: give at least 1 block of at least 2 items")
    size = min(size, len(features), len(others))
    if size == len(features) == len(others):
        blocks = 1
    a, b = features.astype(np.float64), others.astype(np.float64)
    found = [squared_mmd(_block(a, "a", i, size, draws), _block(b, "b", i, size, draws)) for i in range(blocks)]
    return KernelDistance(float(np.mean(found)), float(np.std(found)), blocks, size)


def _block(rows: np.ndarray, which: str, number: int, size: int, draws: Draws) -> np.ndarray:
    return rows[choose(draws, f"scores/block/{which}/{number}", len(rows), size)]


def squared_mmd(a: np.ndarray, b: np.ndarray) -> float:
    """The unbiased estimate of float64 rows (n, D) and (m, D), n and m at least 2 (Gretton et al. 2012, lemma 6)."""
    n, m = len(a), len(b)
    x, y = torch.from_numpy(a), torch.from_numpy(b)
    within_x, within_y = _kernel(x, x), _kernel(y, y)
    among_x = (within_x.sum() - within_x.trace()) / (n * (n - 1))
    among_y = (within_y.sum() - within_y.trace()) / (m * (m - 1))
    return float(among_x + among_y - 2 * _kernel(x, y).mean())


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    base = x @ y.T / x.shape[1] + 1
    return base * base * base


def frechet_distance(features: np.ndarray, others: np.ndarray) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of the sets' means m and covariances C.

    Heusel, Ramsauer, Unterthiner, Nessler, Hochreiter: "GANs trained by a two time-scale update rule" (2017); the
    squared Wasserstein-2 distance of two Gaussians (Dowson and Landau 1982). Biased upwards for few items, so compare
    at equal numbers of them only.

    Args:
        features, others: (n, D) numbers; n may differ.

    Raises ValueError for other arrays, and sets of fewer than 2 items or of different D.
    """
    for name, rows in (("features", features), ("others", others)):
        check_features(name, rows, least=2)
    check_alike("features", features, "others", others)
    (mean_a, factor_a), (mean_b, factor_b) = _moments(features), _moments(others)
    # With C1 = A'A and C2 = B'B, the eigenvalues of C1 C2 are the squares of the singular values of AB'.
    cross = torch.linalg.svdvals(factor_a @ factor_b.T).sum()
    distance = (mean_a - mean_b).square().sum() + factor_a.square().sum() + factor_b.square().sum() - 2 * cross
    return max(0.0, float(distance))


def _moments(features: np.ndarray) -> tuple[Tensor, Tensor]:
    """The mean (D,) and a factor A (at most D rows, D) of the covariance A'A."""
    rows = torch.from_numpy(features.astype(np.float64))
    mean = rows.mean(dim=0)
    rows.sub_(mean).div_(math.sqrt(len(rows) - 1))
    return mean, rows if len(rows) <= rows.shape[1] else torch.linalg.qr(rows, mode="r").R
