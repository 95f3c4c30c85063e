"""Pillow or Pillow-SIMD, whichever the environment has."""

import io
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from benchmarks.peers.inputs import SIDE, Inputs, Run, batches, buffer, normalise


def jpeg(inputs: Inputs) -> Run:
    return _jpeg(inputs, lambda data: Image.open(io.BytesIO(data)))


def jpeg_draft(inputs: Inputs) -> Run:
    """libjpeg gives the smallest of 1, 1/2, 1/4, 1/8 that is not below the wanted size."""

    def load(data: bytes) -> Image.Image:
        image = Image.open(io.BytesIO(data))
        image.draft("RGB", (SIDE, SIDE))
        return image

    return _jpeg(inputs, load)


def jpeg_simplejpeg(inputs: Inputs) -> Run:
    """simplejpeg's own scaling: the smallest eighth of the size that is not below the wanted one."""
    import simplejpeg  # not in every environment with Pillow

    def load(data: bytes) -> Image.Image:
        return Image.fromarray(simplejpeg.decode_jpeg(data, min_height=SIDE, min_width=SIDE))

    return _jpeg(inputs, load)


def _jpeg(inputs: Inputs, load: Callable[[bytes], Image.Image]) -> Run:
    files, out, pixels = inputs.files(), buffer(), np.zeros(buffer().shape, np.uint8)

    def run() -> Iterator[np.ndarray]:
        for part in batches(len(files)):
            for i, data in enumerate(files[part]):
                pixels[i] = load(data).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            count = len(files[part])
            normalise(pixels[:count], out[:count])
            yield out[:count]

    return run


def resize(inputs: Inputs) -> Run:
    """From Pillow's own image to Pillow's own image: no copy from or into arrays is timed."""
    images = [Image.fromarray(image) for image in inputs["images"]]

    def run() -> Iterator[np.ndarray]:
        yield _Images([image.resize((SIDE, SIDE), Image.Resampling.BILINEAR) for image in images])  # type: ignore[misc]

    return run


class _Images(list[Image.Image]):
    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        return np.stack([np.asarray(image) for image in self])


def png(inputs: Inputs) -> Run:
    files = inputs.files()
    first = np.asarray(Image.open(io.BytesIO(files[0])))
    shape = (*first.shape[:2], -1)

    def run() -> Iterator[np.ndarray]:
        for data in files:
            yield np.asarray(Image.open(io.BytesIO(data))).reshape(1, *shape)

    return run
