"""Torch on whole batches, one thread."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.peers.inputs import SIDE, Inputs, Run, batches, buffer
from benchmarks.peers.with_numpy import NUMBERS

torch.set_num_threads(1)


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array.copy())  # it is mapped read-only, of which torch would warn


def gather(inputs: Inputs) -> Run:
    images, order, flips = (_tensor(inputs[name]) for name in ("images", "order", "flips"))

    def run() -> Iterator[np.ndarray]:
        for part in batches(len(order)):
            chosen, mirrored = images[order[part]], flips[part]
            chosen[mirrored] = chosen[mirrored].flip(2)
            yield chosen.float().mul_(2 / 255).sub_(1).numpy()

    return run


def gather_into(inputs: Inputs) -> Run:
    """Without new memory for a batch, which costs a third of `gather`'s time."""
    images, order, flips = (_tensor(inputs[name]) for name in ("images", "order", "flips"))
    chosen, out = torch.from_numpy(buffer()).to(torch.uint8), torch.from_numpy(buffer())

    def run() -> Iterator[np.ndarray]:
        for part in batches(len(order)):
            torch.index_select(images, 0, order[part], out=chosen)
            mirrored = flips[part].nonzero()[:, 0]
            chosen.index_copy_(0, mirrored, chosen[mirrored].flip(2))
            yield out.copy_(chosen).mul_(2 / 255).sub_(1).numpy()

    return run


def affine(inputs: Inputs) -> Run:
    flips = _tensor(inputs["flips"])
    unflipped = np.zeros(len(flips), bool)

    def flip(moved: torch.Tensor, part: slice) -> torch.Tensor:
        return torch.where(flips[part, None, None, None], moved.flip(3), moved)

    return _affine(inputs, unflipped, flip)


def affine_folded(inputs: Inputs) -> Run:
    """The flip is part of the map, which costs nothing."""
    return _affine(inputs, inputs["flips"], lambda moved, part: moved)


def _affine(inputs: Inputs, flips: np.ndarray, after: Callable[[torch.Tensor, slice], torch.Tensor]) -> Run:
    images, theta = _tensor(inputs["images"]), torch.from_numpy(to_theta(inputs["matrices"], flips))

    def run() -> Iterator[np.ndarray]:
        for part in batches(len(images)):
            pixels = images[part].permute(0, 3, 1, 2).float().mul_(2 / 255).sub_(1)
            grid = F.affine_grid(theta[part], list(pixels.shape), align_corners=True)
            moved = F.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=True)
            yield after(moved, part).permute(0, 2, 3, 1).numpy()

    return run


def to_theta(matrices: np.ndarray, flips: np.ndarray) -> np.ndarray:
    """Maps of (row, column) in pixels, output to input (n x 2 x 3), as affine_grid wants them: (x, y) in [-1, 1]."""
    half = (SIDE - 1) / 2
    swapped = matrices[:, ::-1][:, :, [1, 0, 2]]  # of (x, y)
    linear = swapped[:, :, :2]
    offset = (linear @ np.full(2, half) + swapped[:, :, 2] - half) / half
    sign = np.where(flips[:, None], [-1.0, 1.0], [1.0, 1.0])
    return np.concatenate([linear * sign[:, None, :], offset[:, :, None]], axis=2).astype(np.float32)


def uniform(inputs: Inputs) -> Run:
    generator, out = torch.Generator().manual_seed(0), torch.empty(NUMBERS)

    def run() -> Iterator[np.ndarray]:
        yield out.uniform_(generator=generator).numpy()

    return run


def normal(inputs: Inputs) -> Run:
    generator, out = torch.Generator().manual_seed(0), torch.empty(NUMBERS)

    def run() -> Iterator[np.ndarray]:
        yield out.normal_(generator=generator).numpy()

    return run
