"""OpenCV, image by image, and simplejpeg before it. One thread."""

from collections.abc import Iterator

import cv2
import numpy as np
import simplejpeg

from benchmarks.peers.inputs import SIDE, Inputs, Run, batches, buffer

cv2.setNumThreads(1)

NORMALISED = (np.arange(256) * 2 / 255 - 1).astype(np.float32)  # a table is OpenCV's fastest way


def affine(inputs: Inputs) -> Run:
    """The flip is part of the map, which costs nothing."""
    images, out, pixels = inputs["images"], buffer(), np.zeros((SIDE, SIDE, 3), np.uint8)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    maps = list(to_maps(inputs["matrices"], inputs["flips"]))

    def run() -> Iterator[np.ndarray]:
        for part in batches(len(images)):
            for i, index in enumerate(range(part.start, part.stop)):
                cv2.warpAffine(images[index], maps[index], (SIDE, SIDE), pixels, flags, cv2.BORDER_REPLICATE)
                cv2.LUT(pixels, NORMALISED, out[i])
            yield out[: part.stop - part.start]

    return run


def to_maps(matrices: np.ndarray, flips: np.ndarray) -> np.ndarray:
    """Maps of (row, column), output to input (n x 2 x 3), as OpenCV wants them: of (x, y), after the flip."""
    swapped = matrices[:, ::-1][:, :, [1, 0, 2]].astype(np.float64)
    mirror = np.array([[-1.0, 0.0, SIDE - 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    return np.where(flips[:, None, None], swapped @ mirror, swapped)


def jpeg(inputs: Inputs) -> Run:
    """Decoded at full size, then the mean of each area."""
    files, out, pixels = inputs.files(), buffer(), np.zeros((SIDE, SIDE, 3), np.uint8)

    def run() -> Iterator[np.ndarray]:
        for part in batches(len(files)):
            for i, data in enumerate(files[part]):
                cv2.resize(simplejpeg.decode_jpeg(data), (SIDE, SIDE), pixels, interpolation=cv2.INTER_AREA)
                cv2.LUT(pixels, NORMALISED, out[i])
            yield out[: part.stop - part.start]

    return run
