"""Random parts of images to be brought to one size: Inception's crops (Szegedy et al. 2014), from given numbers."""

import math

import numpy as np

from gen_dist.kernels.checks import check_array, read_only
from gen_dist.kernels.jit import kernel

TRIES = 10
NUMBERS = 2 * TRIES + 2  # a size and an aspect for each try; row and column
_BITS = 24  # of a uniform number in float32


def draw_crops(boxes: np.ndarray, numbers: np.ndarray, regions: np.ndarray, least: float, ratio: float) -> None:
    """Draw a part of each region, the same on every machine: only +, -, *, / and square roots are used.

    The rule is that of torchvision's RandomResizedCrop. With uniform numbers u in [0, 1), for a region of W x H pixels:

        try k = 0 … 9 has the area  W * H * (least + u[2k] * (1 - least))
        and the aspect              ratio ** (2 * u[2k + 1] - 1), width to height,
        so w and h are              sqrt(area * aspect) and sqrt(area / aspect), rounded, halves to even;
        the first try with 1 <= w <= W and 1 <= h <= H is taken,
        at column                   floor(u[21] * (W - w + 1))
        and row                     floor(u[20] * (H - h + 1)).

    Without such a try it is the largest central part whose aspect is within 1 / ratio … ratio: all of a region of such
    an aspect; of a wider one w = round(H * ratio) by H, of a narrower one W by round(W * ratio).

    Args:
        boxes: float64, m x 4, written: left, top, right, bottom in whole pixels.
        numbers: float32, m x NUMBERS, uniform in [0, 1), of 24 bits.
        regions: float64, m x 4: left, top, right, bottom in whole pixels, at least one each way.
        least: in (0, 1], the least share of the area.
        ratio: at least 1.

    Raises ValueError for other arguments.
    """
    check_array("boxes", boxes, np.float64, (None, 4), written=True)
    count = len(boxes)
    check_array("numbers", numbers, np.float32, (count, NUMBERS))
    check_array("regions", regions, np.float64, (count, 4))
    if count and not (numbers.min() >= 0 and numbers.max() < 1):
        raise ValueError(f"numbers: wants them in [0, 1); got {numbers.min()} to {numbers.max()}")
    if not (np.isfinite(regions).all() and (regions[:, 2:] - regions[:, :2] >= 1).all()):
        raise ValueError("regions: wants at least one pixel each way")
    if not (0 < least <= 1 and 1 <= ratio < math.inf):
        raise ValueError(f"least, ratio: want 0 < least <= 1 and ratio >= 1; got {least} and {ratio}")
    _draw(boxes, read_only(numbers), read_only(regions), float(least), float(ratio), read_only(_roots(ratio)))


def _roots(ratio: float) -> np.ndarray:
    """ratio ** 2**-k for k = 0 … 24, to which only correctly rounded roots are needed."""
    roots = [float(ratio)]
    for _ in range(_BITS):
        roots.append(math.sqrt(roots[-1]))
    return np.array(roots)


@kernel(fastmath=False)
def _draw(
    boxes: np.ndarray, numbers: np.ndarray, regions: np.ndarray, least: float, ratio: float, roots: np.ndarray
) -> None:
    for i in range(boxes.shape[0]):
        left, top = regions[i, 0], regions[i, 1]
        width, height = regions[i, 2] - left, regions[i, 3] - top
        taken_width, taken_height = 0.0, 0.0
        for k in range(TRIES):
            area = width * height * (least + float(numbers[i, 2 * k]) * (1.0 - least))
            aspect = _aspect(float(numbers[i, 2 * k + 1]), roots)
            w, h = np.rint(math.sqrt(area * aspect)), np.rint(math.sqrt(area / aspect))
            if 1.0 <= w <= width and 1.0 <= h <= height:
                taken_width, taken_height = w, h
                break
        if taken_width > 0.0:
            left += math.floor(float(numbers[i, 2 * TRIES + 1]) * (width - taken_width + 1.0))
            top += math.floor(float(numbers[i, 2 * TRIES]) * (height - taken_height + 1.0))
        else:
            taken_width, taken_height = width, height
            if width > height * ratio:
                taken_width = np.rint(height * ratio)
            elif height > width * ratio:
                taken_height = np.rint(width * ratio)
            left += math.floor((width - taken_width) / 2.0)
            top += math.floor((height - taken_height) / 2.0)
        boxes[i, 0], boxes[i, 1] = left, top
        boxes[i, 2], boxes[i, 3] = left + taken_width, top + taken_height


@kernel(fastmath=False)
def _aspect(number: float, roots: np.ndarray) -> float:
    """ratio ** (2 * number - 1): the product of the roots that the exponent's bits name."""
    exponent = int(number * 2.0 ** (_BITS + 1)) - (1 << _BITS)
    bits, power = abs(exponent), 1.0
    for k in range(_BITS + 1):
        if bits >> (_BITS - k) & 1:
            power *= roots[k]
    return power if exponent >= 0 else 1.0 / power
