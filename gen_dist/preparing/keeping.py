"""Pixels into the JPEG files that are kept for training."""

import numpy as np

QUALITY = 95


def encode(image: np.ndarray, channels: int) -> bytes:
    """A baseline JPEG: of grey pixels (uint8, H x W x 1), or if `channels` is 1, of the luma alone; else 4:4:4."""
    import simplejpeg  # type: ignore[import-untyped]

    grey = image.shape[2] == 1 or channels == 1 or _is_grey(image)
    if grey and image.shape[2] == 3:
        from PIL import Image

        image = np.asarray(Image.fromarray(image).convert("L"))[..., None]
    kind, sampling = ("GRAY", "Gray") if grey else ("RGB", "444")
    return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(image), QUALITY, kind, sampling, fastdct=False))


def _is_grey(image: np.ndarray) -> bool:
    return bool((image[..., 0] == image[..., 1]).all() and (image[..., 1] == image[..., 2]).all())
