"""DiffAugment of one image (float64, H x W x C), said as plainly as possible; the steps are the paper's."""

import numpy as np


def color(image, brightness, saturation, contrast):
    image = image + brightness
    if image.shape[2] == 3:
        grey = image.mean(axis=2, keepdims=True)
        image = (image - grey) * saturation + grey
    return (image - image.mean()) * contrast + image.mean()


def translation(image, down, right):
    height, width, _ = image.shape
    out = np.zeros_like(image)
    for i, j in np.ndindex(height, width):
        if 0 <= i - down < height and 0 <= j - right < width:
            out[i, j] = image[i - down, j - right]
    return out


def cutout(image, centre_row, centre_column):
    """The centre of an even side is the pixel right of or below the middle."""
    height, width, _ = image.shape
    top, left = centre_row - half(height) // 2, centre_column - half(width) // 2
    out = image.copy()
    for i, j in np.ndindex(height, width):
        if top <= i < top + half(height) and left <= j < left + half(width):
            out[i, j] = 0
    return out


def half(size):
    return int(size / 2 + 0.5)


def eighth(size):
    return int(size / 8 + 0.5)


def parameters(shape, color_u, translation_u, cutout_u):
    """From uniform numbers in [0, 1): what the three functions above take."""
    height, width = shape[:2]
    ranges = ((translation_u[0], eighth(height)), (translation_u[1], eighth(width)))
    return {
        "color": (color_u[0] - 0.5, 2 * color_u[1], color_u[2] + 0.5),
        "translation": tuple(int(np.floor(u * (2 * most + 1))) - most for u, most in ranges),
        "cutout": tuple(
            int(np.floor(u * (size if half(size) % 2 else size + 1)))
            for u, size in zip(cutout_u, (height, width), strict=True)
        ),
    }
