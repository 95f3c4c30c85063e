"""FFCV's loader over a .beton of raw pixels."""

from collections.abc import Iterator

import numpy as np
from ffcv.fields import IntField, RGBImageField
from ffcv.fields.basics import IntDecoder
from ffcv.fields.rgb_image import SimpleRGBImageDecoder
from ffcv.loader import Loader, OrderOption
from ffcv.transforms import NormalizeImage, RandomHorizontalFlip, ToTensor, ToTorchImage
from ffcv.writer import DatasetWriter

from benchmarks.peers.inputs import BATCH, Inputs, Run

HALF = np.full(3, 127.5)


class _Dataset:
    def __init__(self, images: np.ndarray) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return self.images[index], index


def write(inputs: Inputs) -> Run:
    """Makes the .beton that the ways read."""

    def run() -> Iterator[np.ndarray]:
        fields = {"image": RGBImageField("raw"), "index": IntField()}
        images = inputs["images"]
        DatasetWriter(str(inputs.folder / "images.beton"), fields, num_workers=1).from_indexed_dataset(_Dataset(images))
        yield np.zeros(len(images))

    return run


def shuffled(inputs: Inputs) -> Run:
    loader = _loader(inputs, OrderOption.RANDOM)

    def run() -> Iterator[np.ndarray]:
        for images, _ in loader:
            yield images

    return run


def in_order(inputs: Inputs) -> Run:
    """What the comparison looks at."""
    loader = _loader(inputs, OrderOption.SEQUENTIAL)

    def run() -> Iterator[np.ndarray]:
        for images, _ in loader:
            yield images.permute(0, 2, 3, 1).numpy()

    return run


def _loader(inputs: Inputs, order: OrderOption) -> Loader:
    changes = [SimpleRGBImageDecoder(), RandomHorizontalFlip(), NormalizeImage(HALF, HALF, np.float32), ToTensor(),
               ToTorchImage()]  # fmt: skip
    return Loader(
        str(inputs.folder / "images.beton"), batch_size=BATCH, num_workers=inputs.threads, order=order, seed=0,
        os_cache=True, pipelines={"image": changes, "index": [IntDecoder(), ToTensor()]},
    )  # fmt: skip
