"""Keras' ImageDataGenerator, image by image."""

from collections.abc import Iterator

import numpy as np
import scipy.ndimage
from keras_preprocessing.image import ImageDataGenerator, affine_transformations

from benchmarks.peers.inputs import Inputs, Run, batches, buffer

# Version 1.1.2 turns about size / 2 + 0.5, which every later Keras has as size / 2 - 0.5, and finds SciPy's function
# through a namespace that warns at every use. Both are set right, so that outputs and times can be compared.
affine_transformations.ndimage = type("ndimage", (), {"interpolation": scipy.ndimage})


def _about_the_centre(matrix: np.ndarray, height: float, width: float) -> np.ndarray:
    row, column = height / 2 - 0.5, width / 2 - 0.5
    there = np.array([[1, 0, row], [0, 1, column], [0, 0, 1]])
    back = np.array([[1, 0, -row], [0, 1, -column], [0, 0, 1]])
    return np.dot(np.dot(there, matrix), back)


affine_transformations.transform_matrix_offset_center = _about_the_centre


def affine(inputs: Inputs) -> Run:
    images, flips, out = inputs["images"], inputs["flips"], buffer()
    names = ("theta", "tx", "ty", "shear", "zx", "zy")
    drawn = [
        dict(zip(names, map(float, numbers), strict=True)) | {"flip_horizontal": bool(flip)}
        for numbers, flip in zip(inputs["numbers"], flips, strict=True)
    ]
    generator = ImageDataGenerator(fill_mode="nearest", data_format="channels_last", preprocessing_function=_normalise)

    def run() -> Iterator[np.ndarray]:
        for part in batches(len(images)):
            for i, index in enumerate(range(part.start, part.stop)):
                moved = generator.apply_transform(images[index].astype(np.float32), drawn[index])
                out[i] = generator.standardize(moved)
            yield out[: part.stop - part.start]

    return run


def _normalise(image: np.ndarray) -> np.ndarray:
    return image * np.float32(2 / 255) - np.float32(1)
