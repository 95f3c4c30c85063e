"""A batch, image by image, with NumPy's own float32 arithmetic."""

import numpy as np


def gather(images, indices, flips, low, high):
    """Float32, len(indices) x H x W x C."""
    low, high = np.float32(low), np.float32(high)
    batch = []
    for index, (horizontal, vertical) in zip(indices, flips, strict=True):
        image = images[index]
        image = image[:, ::-1] if horizontal else image
        image = image[::-1] if vertical else image
        batch.append(image.astype(np.float32) / np.float32(255) * (high - low) + low)
    return np.stack(batch)
