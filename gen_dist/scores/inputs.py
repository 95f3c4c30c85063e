"""What scores are given: checked, chosen from, and cut into blocks."""

from collections.abc import Iterator

import numpy as np

from gen_dist.draws import Draws, subkey
from gen_dist.kernels.permutation import permute


def check_images(name: str, images: np.ndarray, least: int = 1) -> None:
    """Raises ValueError unless `images` are uint8 (n, H, W, C) with C 1 or 3, and at least `least` of them."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3):
        raise ValueError(
            f"{name}: {images.dtype} {images.shape}; give images as uint8 (n, H, W, C) with 1 or 3 channels"
        )
    _check_count(name, "images", len(images), least)


def check_features(name: str, features: np.ndarray, least: int = 1) -> None:
    """Raises ValueError unless `features` are finite numbers (n, D) with D > 0, and at least `least` rows."""
    if features.ndim != 2 or features.shape[1] == 0 or features.dtype.kind not in "fiu":
        raise ValueError(f"{name}: {features.dtype} {features.shape}; give features as numbers (n, D)")
    _check_count(name, "rows", len(features), least)
    if not np.isfinite(features).all():
        raise ValueError(f"{name}: some features are not finite; leave out what made them")


def check_alike(name_a: str, a: np.ndarray, name_b: str, b: np.ndarray) -> None:
    """Raises ValueError where the items of two sets differ in shape."""
    if a.shape[1:] != b.shape[1:]:
        raise ValueError(f"{name_a} {a.shape[1:]} and {name_b} {b.shape[1:]}: shapes differ; prepare both alike")


def choose(draws: Draws, purpose: str, n: int, k: int) -> np.ndarray:
    """k different indices (int64) of [0, n), k at most n, in random order: the first k of a keyed permutation.

    They depend on the seed, the purpose, n and k only, and the first ones do not depend on k.
    """
    chosen = np.empty(k, np.int64)
    permute(chosen, np.arange(k, dtype=np.int64), n, *subkey(draws.seed, purpose))
    return chosen


def blocks(n: int, size: int) -> Iterator[slice]:
    """[0, n) in order, `size` at a time (at least one)."""
    size = max(1, size)
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def _check_count(name: str, things: str, count: int, least: int) -> None:
    if count < least:
        raise ValueError(f"{name}: {count} {things}; give at least {least}")
