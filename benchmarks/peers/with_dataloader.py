"""Torch's DataLoader with Pillow over a folder of JPEG files."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from benchmarks.peers.inputs import BATCH, SIDE, Inputs, Run

EPOCH = 4  # times the folder: the pause between epochs weighs less


class _Folder(Dataset[tuple[torch.Tensor, int]]):
    def __init__(self, folder: Path) -> None:
        self.paths = sorted(folder.iterdir()) * EPOCH

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image = Image.open(self.paths[index]).convert("RGB")
        if image.size != (SIDE, SIDE):
            image = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        if torch.rand(()) < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        pixels = torch.from_numpy(np.array(image))
        return pixels.permute(2, 0, 1).float().mul_(2 / 255).sub_(1), index


def shuffled(inputs: Inputs) -> Run:
    return _run(inputs, True)


def in_order(inputs: Inputs) -> Run:
    """What the comparison looks at."""
    return _run(inputs, False)


def _run(inputs: Inputs, shuffle: bool) -> Run:
    data = _Folder(inputs.folder / "files")
    loader = DataLoader(data, BATCH, shuffle, num_workers=inputs.threads, persistent_workers=True)

    def run() -> Iterator[np.ndarray]:
        for images, _ in loader:
            yield images.permute(0, 2, 3, 1).numpy()

    return run
