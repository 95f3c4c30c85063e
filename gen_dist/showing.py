"""Pictures of what a model has learnt: samples of a fixed latent, and reconstructions."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from gen_dist.draws import Draws
from gen_dist.objectives.base import Objective

SHOWN_PHASE = 2**32 - 1  # no training phase has this number, so pictures never share draws with training
COLUMNS = 8
MOST_AT_ONCE = 64


@contextmanager
def eval_mode(modules: Mapping[str, nn.Module]) -> Iterator[None]:
    """Modules in eval mode, without gradients; their mode as before afterwards."""
    before = {name: module.training for name, module in modules.items()}
    try:
        with torch.no_grad():
            for module in modules.values():
                module.eval()
            yield
    finally:
        for name, module in modules.items():
            module.train(before[name])


def sample_images(
    objective: Objective, modules: Mapping[str, nn.Module], seed: int, count: int, device: torch.device
) -> np.ndarray:
    """`count` images of the latents that `seed` gives: uint8 (count, H, W, C). Image i depends on seed and i only."""
    draws = Draws(seed)
    made = []
    with eval_mode(modules):
        for start in range(0, count, MOST_AT_ONCE):
            positions = np.arange(start, min(start + MOST_AT_ONCE, count), dtype=np.int64)
            latents = objective.latent.draw(draws.at(0, SHOWN_PHASE, positions, device))
            made.append(objective.decode(modules, latents))
    return to_uint8(torch.cat(made), objective.pixel_range)


def reconstruct_images(
    objective: Objective, modules: Mapping[str, nn.Module], images: np.ndarray, device: torch.device
) -> np.ndarray | None:
    """uint8 (n, H, W, C) to rows of originals, each followed by the row of their reconstructions; None without."""
    x_NCHW = to_pixel_range(images, objective.pixel_range, device)
    draws = Draws(0).at(0, SHOWN_PHASE, np.arange(len(images), dtype=np.int64), device)
    with eval_mode(modules):
        means_NZ = objective.posterior_means(modules, x_NCHW, draws)
        if means_NZ is None:
            return None
        made = objective.decode(modules, means_NZ)
    pairs = np.stack((images, to_uint8(made, objective.pixel_range)))
    rows = len(images) // COLUMNS
    shape = images.shape[1:]
    return pairs.reshape(2, rows, COLUMNS, *shape).swapaxes(0, 1).reshape(2 * rows * COLUMNS, *shape)


def to_pixel_range(images: np.ndarray, pixel_range: tuple[float, float], device: torch.device) -> Tensor:
    """uint8 (N, H, W, C) to float32 (N, C, H, W) in `pixel_range`, on `device`."""
    low, high = pixel_range
    return torch.from_numpy(images).permute(0, 3, 1, 2).to(device).float() / 255 * (high - low) + low


def to_uint8(images: Tensor, pixel_range: tuple[float, float]) -> np.ndarray:
    """Float (N, C, H, W) in `pixel_range` to uint8 (N, H, W, C), rounded, clipped."""
    low, high = pixel_range
    scaled = ((images.float() - low) / (high - low) * 255).round().clamp(0, 255)
    return scaled.permute(0, 2, 3, 1).to(torch.uint8).cpu().contiguous().numpy()
