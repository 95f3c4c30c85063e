"""A latent space as a person can look at it: where images lie in it, and what lies where there are none.

Shapes: N images, Z latent values.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gen_dist.objectives.latent import Latent
from gen_dist.results.latents import Plane, principal_components, prior_plane

# Okabe and Ito's colours, then darker ones: classes can be told apart by colour-blind people as far as that goes.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#f0e442", "#7a7a7a", "#004266", "#6b2f00")
NO_CLASS = "images"


@dataclass(frozen=True)
class Cloud:
    """Means of the latents of images (N, Z), and their classes: numbers, -1 for none, and names."""

    z_NZ: np.ndarray
    labels_N: np.ndarray
    class_names: Sequence[str]

    def classes(self) -> list[tuple[str, np.ndarray]]:
        """Each class that has images, and which they are."""
        named = [(name, self.labels_N == number) for number, name in enumerate(self.class_names)]
        found = [*named, (NO_CLASS, self.labels_N < 0)]
        return [(name, chosen) for name, chosen in found if chosen.any()]


@dataclass(frozen=True)
class View:
    """The cloud along so many directions: `points` (N, dimensions) in units of latents, and a name for each axis."""

    points: np.ndarray
    axes: list[str]


def view(cloud: Cloud, dimensions: int) -> View:
    """The latent values themselves where there are no more, else the cloud's principal components, with their shares of
    its variance."""
    if cloud.z_NZ.shape[1] <= dimensions:
        return View(cloud.z_NZ, [f"z{number}" for number in range(cloud.z_NZ.shape[1])])
    center, directions, _ = principal_components(cloud.z_NZ, dimensions)
    variance = np.var(cloud.z_NZ, axis=0, dtype=np.float64).sum()
    points = (cloud.z_NZ - center) @ directions.T
    shares = points.var(axis=0) / variance if variance else np.zeros(dimensions)
    return View(points, [f"component {n} ({share:.0%})" for n, share in enumerate(shares, 1)])


def plane_of(latent: Latent, cloud: Cloud) -> Plane:
    """Where the grid of decoded images lies: the prior's where z has two values, else along the cloud's directions."""
    if latent.size <= 2:
        return prior_plane(latent)
    center, directions, deviations = principal_components(cloud.z_NZ, 2)
    return Plane(center, directions, deviations)


def scatter(shown: View, cloud: Cloud, names: Sequence[str], title: str) -> dict[str, Any]:
    """A plotly figure as plain values: a point for each image, a colour for each class."""
    flat = len(shown.axes) < 3
    points = shown.points if len(shown.axes) > 1 else np.c_[shown.points, np.zeros(len(shown.points))]
    traces = []
    for number, (name, chosen) in enumerate(cloud.classes()):
        places = dict(zip("xyz", points[chosen].T.round(4).tolist(), strict=False))
        color = COLORS[number % len(COLORS)]
        traces.append({
            "type": "scattergl" if flat else "scatter3d", "mode": "markers", "name": name, **places,
            "text": [names[i] for i in np.flatnonzero(chosen).tolist()],
            "hovertemplate": "%{text}<extra>%{fullData.name}</extra>",
            "marker": {"size": 5 if flat else 2, "color": color, "opacity": 0.75},
        })  # fmt: skip
    axes = [*shown.axes, ""][: 2 if flat else 3]
    titles = {f"{letter}axis": {"title": {"text": axis}} for letter, axis in zip("xyz", axes, strict=False)}
    layout = titles if flat else {"scene": titles}
    return {"data": traces, "layout": {"title": {"text": title}, "template": "plotly_white", **layout}}
