"""Weights for Inception that nobody has trained: seeded noise, scaled so that what goes through keeps its size."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from gen_dist.draws import Draws
from gen_dist.scores.inception import Inception, expected_shapes


def noise_weights(seed: int = 0) -> dict[str, Tensor]:
    with torch.device("meta"):
        shapes = expected_shapes(Inception())
    tensors = {}
    for name, shape in shapes.items():
        drawn = torch.from_numpy(Draws(seed).uniform_array(name, tuple(shape)).astype(np.float32))
        if name.endswith("conv.weight"):
            tensors[name] = (drawn - 0.5) * (24 / float(np.prod(shape[1:]))) ** 0.5
        else:  # around what leaves as it is: 1 for factors and variances, 0 for what is added
            tensors[name] = (drawn - 0.5) / 5 + (not name.endswith(("bias", "mean")))
    return tensors


def write_noise_weights(path: Path, seed: int = 0) -> Path:
    save_file(noise_weights(seed), path)
    return path
