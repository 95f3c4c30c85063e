"""How far real images are from other real images: what a distance of generated ones is to be read against.

Distances between finite sets grow as the sets shrink, so both are taken with the same numbers of images.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gen_dist.draws import Draws
from gen_dist.scores.inputs import check_alike, choose

Distance = Callable[[np.ndarray, np.ndarray], float]  # of two sets: images (n, H, W, C), or features (n, D)


@dataclass(frozen=True)
class AboveFloor:
    """`distance` of generated, `floor` of training items to the same held-out ones; `items` of each of the two."""

    distance: float
    floor: float
    items: int

    @property
    def above(self) -> float:
        """What the generator is to answer for; below 0 where it comes closer than training items do."""
        return self.distance - self.floor


def above_floor(
    distance: Distance, generated: np.ndarray, train: np.ndarray, held_out: np.ndarray, draws: Draws
) -> AboveFloor:
    """The distance of generated items to held-out ones, beside that of training items.

    Where there are more generated than training items or the other way round, as many are chosen of each, from `draws`.

    Raises ValueError for empty sets and items of different shapes, and what `distance` raises.
    """
    for name, items in (("generated", generated), ("train", train), ("held_out", held_out)):
        if len(items) == 0:
            raise ValueError(f"{name}: no items; give at least 1")
        check_alike(name, items, "held_out", held_out)
    count = min(len(generated), len(train))
    ours, real = (_some(part, count, f"scores/floor/{i}", draws) for i, part in enumerate((generated, train)))
    return AboveFloor(distance(ours, held_out), distance(real, held_out), count)


def real_floor(distance: Distance, real: np.ndarray, draws: Draws) -> float:
    """The distance between two random halves of one real set, for where nothing was held out.

    The halves are disjoint and of the same size; of an odd number, one item is left out. Images that come in groups
    (people, scenes) need a split by group instead: halves that share groups are closer than new images are.

    Raises ValueError for fewer than 2 items, and what `distance` raises.
    """
    half = len(real) // 2
    if half == 0:
        raise ValueError(f"real: {len(real)} items; give at least 2")
    order = choose(draws, "scores/floor/halves", len(real), 2 * half)
    return distance(real[np.sort(order[:half])], real[np.sort(order[half:])])


def _some(items: np.ndarray, count: int, purpose: str, draws: Draws) -> np.ndarray:
    return items if len(items) == count else items[np.sort(choose(draws, purpose, len(items), count))]
