"""Brightness, contrast and saturation of one image, as torchvision and PIL's ImageEnhance define them.

Each blends the image with another: black, its mean grey, each pixel's own grey. Values are float32 in [0, 255] and are
clamped to it after each. Grey is that of Rec. 601; a fourth channel is opacity and stays as it is.
"""

import numpy as np

from gen_dist.kernels.jit import kernel

_RED, _GREEN, _BLUE = np.float32(0.299), np.float32(0.587), np.float32(0.114)
_ZERO, _ONE, _LARGEST = np.float32(0), np.float32(1), np.float32(255)
_GREY_STEPS = np.float32(65536)  # the mean is taken over integers, whose sum is the same in any order


@kernel(fastmath=False)
def adjust(
    values: np.ndarray, channels: int, brightness: np.float32, contrast: np.float32, saturation: np.float32
) -> None:
    """Change an image in place: float32, H * W * C, C = 1, 3 or 4; a factor of 1 changes nothing."""
    if brightness != _ONE:
        _blend(values, channels, brightness, _ZERO)
    if contrast != _ONE:
        mean = np.float32(_sum_grey(values, channels) / (float(values.size // channels) * 65536.0))
        _blend(values, channels, contrast, (_ONE - contrast) * mean)
    if saturation != _ONE and channels > 1:
        _saturate(values, channels, saturation)


@kernel(fastmath=False)
def _clamp(value: np.float32) -> np.float32:
    value = value if value > _ZERO else _ZERO
    return value if value < _LARGEST else _LARGEST


@kernel(fastmath=False)
def _blend(values: np.ndarray, channels: int, factor: np.float32, addend: np.float32) -> None:
    if channels < 4:
        for e in range(values.size):
            values[e] = _clamp(values[e] * factor + addend)
    else:
        for p in range(values.size // 4):
            for c in range(3):
                values[4 * p + c] = _clamp(values[4 * p + c] * factor + addend)


@kernel(fastmath=False)
def _grey(red: np.float32, green: np.float32, blue: np.float32) -> np.float32:
    return red * _RED + green * _GREEN + blue * _BLUE


@kernel(fastmath=False)
def _sum_grey(values: np.ndarray, channels: int) -> float:
    """65536 times the sum of the pixels' grey, each rounded down to an integer."""
    total = np.int64(0)
    if channels == 1:
        for p in range(values.size):
            total += np.int32(values[p] * _GREY_STEPS)
    elif channels == 3:
        for p in range(values.size // 3):
            total += np.int32(_grey(values[3 * p], values[3 * p + 1], values[3 * p + 2]) * _GREY_STEPS)
    else:
        for p in range(values.size // 4):
            total += np.int32(_grey(values[4 * p], values[4 * p + 1], values[4 * p + 2]) * _GREY_STEPS)
    return float(total)


@kernel(fastmath=False)
def _saturate(values: np.ndarray, channels: int, factor: np.float32) -> None:
    rest = _ONE - factor
    if channels == 3:
        for p in range(values.size // 3):
            red, green, blue = values[3 * p], values[3 * p + 1], values[3 * p + 2]
            addend = _grey(red, green, blue) * rest
            values[3 * p] = _clamp(red * factor + addend)
            values[3 * p + 1] = _clamp(green * factor + addend)
            values[3 * p + 2] = _clamp(blue * factor + addend)
    else:
        for p in range(values.size // 4):
            red, green, blue = values[4 * p], values[4 * p + 1], values[4 * p + 2]
            addend = _grey(red, green, blue) * rest
            values[4 * p] = _clamp(red * factor + addend)
            values[4 * p + 1] = _clamp(green * factor + addend)
            values[4 * p + 2] = _clamp(blue * factor + addend)
