"""Our loader over a pack. A run is an epoch."""

from collections.abc import Iterator

import numpy as np

from benchmarks.peers.inputs import BATCH, SIDE, Inputs, Run
from gen_dist.config import AugmentSettings
from gen_dist.data.loader import Loader, Microbatch
from gen_dist.data.pack import Pack
from gen_dist.data.stream import Batching

FLIP = AugmentSettings(horizontal_flip=True)
# As ImageDataGenerator takes them, see kernel_inputs.
AFFINE = {"rotation": 10.0, "width_shift": 0.1, "height_shift": 0.1, "shear": 0.15, "zoom": 0.1}


def flipped(inputs: Inputs) -> Run:
    return _shuffled(_Epochs(inputs, FLIP))


def flipped_in_order(inputs: Inputs) -> Run:
    return _in_order(_Epochs(inputs, FLIP))


def affine(inputs: Inputs) -> Run:
    return _shuffled(_Epochs(inputs, AugmentSettings(horizontal_flip=True, **AFFINE)))


def affine_in_order(inputs: Inputs) -> Run:
    return _in_order(_Epochs(inputs, AugmentSettings(horizontal_flip=True, **AFFINE)))


class _Epochs:
    """Iterating goes once through the pack, and the next time on from there; a batch is void when the next comes."""

    def __init__(self, inputs: Inputs, augment: AugmentSettings) -> None:
        pack = Pack.open(inputs.folder / "pack")
        self.images, self.step = len(pack), 0
        self.loader = Loader(
            pack, 0, Batching(BATCH, BATCH, 1), augment=augment, pixel_range=(-1.0, 1.0), threads=inputs.threads,
            prefetch=2,
        )  # fmt: skip

    def __iter__(self) -> Iterator[Microbatch]:
        for _ in range(self.images // BATCH):
            [microbatch] = self.loader.get(self.step, 0, [0])
            yield microbatch
            self.loader.release(self.step)
            self.step += 1


def _shuffled(epochs: _Epochs) -> Run:
    def run() -> Iterator[np.ndarray]:
        for microbatch in epochs:
            yield microbatch.images  # type: ignore[misc]

    return run


def _in_order(epochs: _Epochs) -> Run:
    """What the comparison looks at: the images in the order of the pack."""

    def run() -> Iterator[np.ndarray]:
        found = np.empty((epochs.images, SIDE, SIDE, 3), np.float32)
        for microbatch in epochs:
            found[microbatch.samples] = microbatch.images.permute(0, 2, 3, 1).numpy()
        yield found

    return run
