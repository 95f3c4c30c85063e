"""JPEGs to decode, made as the tests need them."""

import io
import struct

import numpy as np
import simplejpeg
from PIL import Image

FACTORS = {"4:4:4": (1, 1), "4:2:2": (2, 1), "4:2:0": (2, 2), "4:4:0": (1, 2)}


def picture(width, height, seed=0, noise=12.0):
    """Something like a photograph: smooth, with edges and some noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / rng.uniform(2, 20) + rng.uniform(0, 6)) * np.cos(y / rng.uniform(2, 20)) for _ in range(3)]
    edges = ((x + 2 * y) // 17 % 2) * 60
    return np.clip(128 + 70 * np.stack(waves, -1) + edges[..., None] + rng.normal(0, noise, (height, width, 3)), 0, 255)


def encoded(width, height, sampling="4:2:0", quality=80, seed=0, **options):
    pixels = picture(width, height, seed).astype(np.uint8)
    if sampling == "4:4:0":
        return simplejpeg.encode_jpeg(pixels, quality, "RGB", "440")
    stored, image = io.BytesIO(), Image.fromarray(pixels)
    if sampling == "grey":
        image.convert("L").save(stored, "JPEG", quality=quality, **options)
    else:
        image.save(stored, "JPEG", quality=quality, subsampling=sampling, **options)
    return stored.getvalue()


def segment(marker, content):
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


WHOLE = encoded(40, 24, restart_marker_blocks=2)
PLAIN = encoded(40, 24)
