"""How a model is, in figures: how far apart its samples lie, and how many of its latent values say anything."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from gen_dist.data.pack import Pack
from gen_dist.data.stream import Stream
from gen_dist.draws import Draws
from gen_dist.objectives.base import Objective
from gen_dist.showing import MOST_AT_ONCE, SHOWN_PHASE, eval_mode, to_pixel_range

ENCODED_IMAGES = 256
LEAST_COMPARED = 16  # a few samples may be alike by chance
ACTIVE_VARIANCE = 0.01  # of a posterior mean over the images, as in Burda et al. 2015
_PIXELS_AT_ONCE = 1 << 16


class VitalSigns:
    """Measures against the first images of the run's stream, so that the same weights give the same figures."""

    def __init__(self, pack: Pack, stream: Stream) -> None:
        self.pack = pack
        self.indices = stream.indices(np.arange(min(ENCODED_IMAGES, len(pack)), dtype=np.int64))
        self.real: tuple[float, float] | None = None

    def measure(
        self, objective: Objective, modules: Mapping[str, nn.Module], samples: np.ndarray, device: torch.device
    ) -> dict[str, float]:
        """The figures of `modules`, whose `samples` are uint8 (n, H, W, C); those that have no meaning are left out.

        `sample_distance` and `nearest_sample`: how far apart two samples lie, and a sample and its nearest neighbour,
        on average, as a multiple of the same among as many real images. `active_units`: how many latent values vary
        from image to image (Burda et al. 2015).
        """
        figures = {}
        if self.real is None:
            self.real = distances(self.pack.read(self.indices[: len(samples)]))
        made = distances(samples[: len(self.indices)])
        for name, value, real in zip(("sample_distance", "nearest_sample"), made, self.real, strict=True):
            if real > 0 and len(self.indices) >= LEAST_COMPARED:
                figures[name] = value / real
        if (active := self.active_units(objective, modules, device)) is not None:
            figures["active_units"] = float(active)
        return figures

    def active_units(self, objective: Objective, modules: Mapping[str, nn.Module], device: torch.device) -> int | None:
        """How many latent values have a posterior mean that varies over the images; None without an encoder."""
        draws, means = Draws(0), []
        with eval_mode(modules):
            for start in range(0, len(self.indices), MOST_AT_ONCE):
                images = self.pack.read(self.indices[start : start + MOST_AT_ONCE])
                positions = np.arange(start, start + len(images), dtype=np.int64)
                x_NCHW = to_pixel_range(images, objective.pixel_range, device)
                mean_NZ = objective.posterior_means(modules, x_NCHW, draws.at(0, SHOWN_PHASE, positions, device))
                if mean_NZ is None:
                    return None
                means.append(mean_NZ.float().cpu())
        return count_active(torch.cat(means))


def count_active(mean_NZ: Tensor) -> int:
    """Latent values whose posterior mean has a variance above 0.01 over the images."""
    return int((mean_NZ.double().var(dim=0, correction=0) > ACTIVE_VARIANCE).sum())


def distances(images: np.ndarray) -> tuple[float, float]:
    """Mean Euclidean distance between two of `images`, uint8 (n, H, W, C), and to the nearest other one; 0 for one.

    In grey levels of 0 to 255. Sums of whole numbers below 2^53, so exact whatever the order and the threads.
    """
    count = len(images)
    if count < 2:
        return 0.0, 0.0
    flat = torch.from_numpy(images.reshape(count, -1))
    product = torch.zeros(count, count, dtype=torch.float64)
    for part in flat.split(_PIXELS_AT_ONCE, dim=1):
        part_f64 = part.double()
        product += part_f64 @ part_f64.T
    lengths = product.diagonal()
    apart = (lengths[:, None] + lengths[None, :] - 2 * product).sqrt().fill_diagonal_(torch.inf)
    others = apart[~torch.eye(count, dtype=torch.bool)]
    return float(others.mean()), float(apart.min(dim=1).values.mean())
