"""Albumentations, image by image, with draws of its own: the same work, other pictures."""

from collections.abc import Iterator

import albumentations as A
import cv2
import numpy as np

from benchmarks.peers.inputs import Inputs, Run, batches, buffer

cv2.setNumThreads(1)


def affine(inputs: Inputs) -> Run:
    images, out = inputs["images"], buffer()
    change = A.Compose([
        A.Affine(rotate=(-10, 10), translate_percent=(-0.1, 0.1), shear=(-0.15, 0.15), scale=(0.9, 1.1),
                 keep_ratio=False, border_mode=cv2.BORDER_REPLICATE, p=1.0),
        A.HorizontalFlip(p=0.5),
        A.Normalize(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
    ], seed=0)  # fmt: skip

    def run() -> Iterator[np.ndarray]:
        for part in batches(len(images)):
            for i, index in enumerate(range(part.start, part.stop)):
                out[i] = change(image=images[index])["image"]
            yield out[: part.stop - part.start]

    return run
