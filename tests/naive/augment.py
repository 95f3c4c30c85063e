"""Augmentation of one image as plain NumPy: numpy.pad for crops, scipy.ndimage's rules for the affine map."""

import numpy as np

PAD_MODES = {"nearest": "edge", "reflect": "symmetric", "wrap": "wrap", "constant": "constant"}


def matrix(theta, row_shift, column_shift, shear, zoom_rows, zoom_columns, height, width):
    """Float64, 2 x 3, as a product of homogeneous matrices with libm's sine and cosine."""
    theta, shear = np.deg2rad(theta), np.deg2rad(shear)
    rotation = [[np.cos(theta), -np.sin(theta), 0], [np.sin(theta), np.cos(theta), 0], [0, 0, 1]]
    shift = [[1, 0, row_shift * height], [0, 1, column_shift * width], [0, 0, 1]]
    shearing = [[1, -np.sin(shear), 0], [0, np.cos(shear), 0], [0, 0, 1]]
    zoom = np.diag([zoom_rows, zoom_columns, 1])
    y, x = height / 2 - 0.5, width / 2 - 0.5
    to_centre, back = np.array([[[1, 0, y], [0, 1, x], [0, 0, 1]], [[1, 0, -y], [0, 1, -x], [0, 0, 1]]])
    return (to_centre @ rotation @ shift @ shearing @ zoom @ back)[:2]


def crop(image, top, left, height, width, fill_mode, fill_value):
    stored_height, stored_width, _ = image.shape
    above, before = max(-top, 0), max(-left, 0)
    below, after = max(top + height - stored_height, 0), max(left + width - stored_width, 0)
    options = {"constant_values": fill_value} if fill_mode == "constant" else {}
    padded = np.pad(image, [(above, below), (before, after), (0, 0)], PAD_MODES[fill_mode], **options)
    top, left = top + above, left + before
    return padded[top : top + height, left : left + width]


def affine(image, matrix, fill_mode, fill_value):
    """Float64, H x W x C: each pixel read at matrix @ (row, column, 1), bilinear."""
    height, width, _ = image.shape
    out = np.empty(image.shape)
    for i, j in np.ndindex(height, width):
        y, x = matrix @ (i, j, 1)
        if fill_mode == "constant" and not (0 <= y <= height - 1 and 0 <= x <= width - 1):
            out[i, j] = fill_value
            continue
        y, x = fold(y, height, fill_mode), fold(x, width, fill_mode)
        y0, x0 = int(np.floor(y)), int(np.floor(x))
        out[i, j] = 0
        for row, column in np.ndindex(2, 2):
            weight = (y - y0 if row else 1 - y + y0) * (x - x0 if column else 1 - x + x0)
            out[i, j] += weight * image[min(y0 + row, height - 1), min(x0 + column, width - 1)]
    return out


def fold(x, size, fill_mode):
    """A coordinate moved into [0, size - 1]."""
    if 0 <= x <= size - 1:
        return x
    if size == 1:
        return 0
    if fill_mode == "wrap":
        period = size - 1
        return x + period * (int(-x / period) + 1) if x < 0 else x - period * int(x / period)
    if fill_mode == "reflect":
        x = (x + 0.5) % (2 * size)
        x = min(x, 2 * size - x) - 0.5
    return min(max(x, 0), size - 1)


def color(image, brightness, contrast, saturation):
    """Float64, H x W x C in [0, 255]."""
    image = image.astype(np.float64)
    channels = min(image.shape[2], 3)
    seen = image[:, :, :channels]
    seen = np.clip(seen * brightness, 0, 255)
    seen = np.clip(seen * contrast + grey(seen).mean() * (1 - contrast), 0, 255)
    image[:, :, :channels] = np.clip(seen * saturation + grey(seen) * (1 - saturation), 0, 255)
    return image


def grey(image):
    return (image @ [0.299, 0.587, 0.114])[:, :, None] if image.shape[2] == 3 else image


def augment(
    image, height, width, *, top_left=(0, 0), flips=(False, False), matrix=None, factors=None, fill_mode, fill_value
):
    """One image, float64, h x w x C in [0, 255]."""
    image = crop(image, *top_left, height, width, fill_mode, fill_value)
    if matrix is not None:
        image = affine(image, matrix, fill_mode, fill_value)
    image = image[:, ::-1] if flips[0] else image
    image = image[::-1] if flips[1] else image
    return image if factors is None else color(image, *factors)


def normalise(image, low, high):
    """Float32, in the kernel's order."""
    low, high = np.float32(low), np.float32(high)
    return image.astype(np.float32) * np.float32(1 / 255) * (high - low) + low


def crop_box(left, top, width, height, numbers, least, ratio):
    """torchvision's RandomResizedCrop with given numbers: (left, top, right, bottom)."""
    for k in range(10):
        area = width * height * (least + numbers[2 * k] * (1 - least))
        aspect = np.exp(np.log(ratio) * (2 * numbers[2 * k + 1] - 1))
        w, h = round(np.sqrt(area * aspect)), round(np.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            x, y = left + int(numbers[21] * (width - w + 1)), top + int(numbers[20] * (height - h + 1))
            return x, y, x + w, y + h
    w, h = min(width, round(height * ratio)), min(height, round(width * ratio))
    x, y = left + (width - w) // 2, top + (height - h) // 2
    return x, y, x + w, y + h
