"""The runs that are explored, and what is asked of them. Nothing here knows of HTTP.

Shapes: Z latent values.
"""

import io
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gen_dist.errors import UserError
from gen_dist.preparing.decoding import Decoder
from gen_dist.preparing.few import decode_one, recipe_for, without_video
from gen_dist.results.latent_space import COLORS, Cloud, plane_of, view
from gen_dist.results.latents import Plane, draw_latents, interpolate, prior_plane
from gen_dist.results.trained import Trained

REACH = 3  # standard deviations from a map's middle to its edge
FARTHEST = 1000.0  # a latent value: beyond it there is nothing to see


class BadRequestError(ValueError):
    """What was asked cannot be done: the message says why."""


@dataclass(frozen=True)
class Map:
    """A plane through the latent space, and where images lie in it: in standard deviations along its directions."""

    plane: Plane
    points: np.ndarray  # (n, 2)
    classes: list[tuple[str, str, list[int]]]  # name, colour, which points
    axes: list[str]

    @classmethod
    def of(cls, trained: Trained, cloud: Cloud | None) -> "Map":
        if cloud is None:
            names = [f"z{number}" for number in range(min(2, trained.latent.size))]
            return cls(prior_plane(trained.latent), np.empty((0, 2)), [], names)
        plane = plane_of(trained.latent, cloud)
        points = (cloud.z_NZ - plane.center_Z) @ plane.directions_2Z.T / np.maximum(plane.deviations_2, 1e-9)
        classes = [
            (name, COLORS[number % len(COLORS)], np.flatnonzero(chosen).tolist())
            for number, (name, chosen) in enumerate(cloud.classes())
        ]
        return cls(plane, points, classes, view(cloud, 2).axes)


class Model:
    """One run; its methods may be called by several threads."""

    def __init__(self, trained: Trained, name: str, cloud: Cloud | None) -> None:
        self.trained, self.name, self.map = trained, name, Map.of(trained, cloud)
        self._decoding = threading.Lock()  # the decoder of images is for one thread at a time

    def about(self) -> dict[str, Any]:
        """What the page shows of it: plain values."""
        trained = self.trained
        return {
            "name": self.name, "kind": trained.config.objective.kind, "step": trained.step, "size": trained.size,
            "latent": trained.latent.size, "prior": trained.latent.prior, "encodes": trained.encodes,
            "map": {
                "points": self.map.points.round(3).tolist(), "axes": self.map.axes,
                "reach": 1 if trained.latent.prior == "uniform" else REACH,
                "classes": [{"name": name, "color": color, "points": which} for name, color, which in self.map.classes],
            },
        }  # fmt: skip

    def latent(self, values: object) -> np.ndarray:
        """Raises BadRequestError for anything but this model's number of finite values."""
        size = self.trained.latent.size
        if not isinstance(values, list) or len(values) != size or not all(type(one) in (int, float) for one in values):
            raise BadRequestError(f"z: give {size} numbers")
        found = np.array([max(-2 * FARTHEST, min(2 * FARTHEST, one)) for one in values], np.float64)
        if not np.isfinite(found).all() or np.abs(found).max() > FARTHEST:
            raise BadRequestError(f"z: give numbers between -{FARTHEST:g} and {FARTHEST:g}")
        return found.astype(np.float32)

    def draw(self, seed: int, number: int = 0) -> np.ndarray:
        """The latent of `gen-dist generate`'s image of this number and seed."""
        return draw_latents(self.trained.latent, seed, np.array([number]))[0]

    def between(self, a_Z: np.ndarray, b_Z: np.ndarray, share: float) -> np.ndarray:
        """On the way from a to b: an arc where latents are drawn from a normal distribution and nothing encodes."""
        spherical = self.trained.latent.prior == "normal" and not self.trained.encodes
        return interpolate(a_Z, b_Z, 1001, spherical)[round(share * 1000)]

    def picture(self, z_Z: np.ndarray) -> bytes:
        """A PNG of the latent's image."""
        [pixels] = self.trained.decode(z_Z[None])
        buffer = io.BytesIO()
        Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).save(buffer, "PNG")
        return buffer.getvalue()

    def encode(self, content: bytes) -> np.ndarray:
        """The latent of an image file. Raises BadRequestError for what is no image that can be read."""
        if not self.trained.encodes:
            raise BadRequestError(f"{self.name}: a {self.trained.config.objective.kind}, which cannot encode images")
        data = without_video(self.trained.config.data)
        with self._decoding, Decoder(recipe_for(data, self.trained.channels), ()) as decoder:
            try:
                image = decode_one("file", content, decoder)
            except UserError as error:
                raise BadRequestError(str(error)) from None
        return self.trained.encode(image[None])[0]


def names_of(runs: Sequence[Path]) -> list[str]:
    """The folders' names, numbered where they are the same."""
    names = [run.resolve().name for run in runs]
    return [name if names.count(name) == 1 else f"{name} {number}" for number, name in enumerate(names, 1)]
