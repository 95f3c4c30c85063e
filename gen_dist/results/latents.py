"""Latents worth looking at: drawn, truncated, between two others, on a grid, along the data's main directions. Pure.

Shapes: N latents of Z values, float32.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from gen_dist.draws import Draws
from gen_dist.objectives.latent import Latent
from gen_dist.showing import SHOWN_PHASE

NEARLY_PARALLEL = 1e-4  # of the sine of the angle between two latents


def draw_latents(latent: Latent, seed: int, positions: np.ndarray, truncation: float | None = None) -> np.ndarray:
    """What new images are made from, float32 (n, Z): the i-th depends on the seed and `positions[i]` only.

    Args:
        truncation: normal values beyond it are replaced by ones within (Brock et al. 2019), by drawing from the normal
            distribution that is cut off there; uniform ones are scaled by it. None: as they are.
    """
    draws = Draws(seed).at(0, SHOWN_PHASE, positions)
    if truncation is None:
        return latent.draw(draws).numpy()
    if latent.prior == "uniform":
        return latent.draw(draws).numpy() * np.float32(min(1.0, truncation))
    share_NZ = draws.uniform("truncated latent", latent.size).double()
    below, above = torch.special.ndtr(torch.tensor([-truncation, truncation], dtype=torch.float64))
    return torch.special.ndtri(below + share_NZ * (above - below)).float().numpy()


def interpolate(a_Z: np.ndarray, b_Z: np.ndarray, steps: int, spherical: bool) -> np.ndarray:
    """Latents from a to b, both included, float32 (steps, Z).

    Args:
        spherical: along the arc between them (White 2016), where normal latents have the length that they usually have;
            else along the line.
    """
    t = np.linspace(0, 1, steps)[:, None]
    a, b = a_Z.astype(np.float64), b_Z.astype(np.float64)
    lengths = np.linalg.norm(a), np.linalg.norm(b)
    if spherical and min(lengths) > 0:
        angle = np.arccos(np.clip(a @ b / (lengths[0] * lengths[1]), -1, 1))
        if np.sin(angle) > NEARLY_PARALLEL:
            return ((np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)).astype(np.float32)
    return ((1 - t) * a + t * b).astype(np.float32)


def through(points_NZ: Sequence[np.ndarray], steps: int, spherical: bool) -> np.ndarray:
    """A way through all points and back to the first, `steps` latents from each to the next: float32 (N * steps, Z)."""
    following = [*points_NZ[1:], points_NZ[0]]
    parts = [interpolate(a, b, steps + 1, spherical)[:-1] for a, b in zip(points_NZ, following, strict=True)]
    return np.concatenate(parts)


def quantiles(count: int) -> np.ndarray:
    """`count` values that divide the normal distribution evenly, ascending: float64."""
    shares = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    return torch.special.ndtri(shares).numpy()


@dataclass(frozen=True)
class Plane:
    """Two directions through `center` along which latents of data vary most, and by how much."""

    center_Z: np.ndarray
    directions_2Z: np.ndarray  # of length 1
    deviations_2: np.ndarray

    def at(self, x: float, y: float) -> np.ndarray:
        """The latent at so many standard deviations along each: float32 (Z,)."""
        return (self.center_Z + (np.array([x, y]) * self.deviations_2) @ self.directions_2Z).astype(np.float32)

    def grid(self, side: int) -> np.ndarray:
        """side x side latents, evenly through the normal distribution; y falls from row to row. Float32 (side^2, Z)."""
        values = quantiles(side)
        return np.stack([self.at(x, y) for y in values[::-1] for x in values])


def prior_plane(latent: Latent) -> Plane:
    """Of the first two latent values, each from N(0, 1)."""
    return Plane(np.zeros(latent.size), np.eye(2, latent.size), np.ones(2))


def principal_components(z_NZ: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean (Z,), directions (count, Z) and standard deviations (count,) of latents, the largest first.

    A direction's largest part is positive, so that the same latents give the same picture.
    """
    center = z_NZ.mean(axis=0, dtype=np.float64)
    _, values, directions = np.linalg.svd(z_NZ - center, full_matrices=False)
    directions = directions[:count]
    largest = np.abs(directions).argmax(axis=1)
    signs = np.sign(directions[np.arange(len(directions)), largest])
    return center, directions * signs[:, None], values[:count] / np.sqrt(max(1, len(z_NZ) - 1))
