"""How alike two images are: PSNR, SSIM (Wang, Bovik, Sheikh, Simoncelli 2004), MS-SSIM (Wang, Simoncelli, Bovik 2003).

Of reconstructions, high is good; between different samples, a high MS-SSIM tells that they hardly vary (Odena, Olah,
Shlens 2017).

Shapes: N pairs of images of C x H x W, float32 in [0, 1]; each pair has one figure, float64 (N,).
"""

import torch
from torch import Tensor
from torch.nn import functional as F

MOST_DECIBELS = 100.0  # of equal images, whose ratio is infinite
WINDOW, SIGMA = 11, 1.5  # pixels
LUMINANCE, CONTRAST = 0.01**2, 0.03**2
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, the finest first


def psnr(x_NCHW: Tensor, y_NCHW: Tensor) -> Tensor:
    """The peak signal-to-noise ratio in dB, at most 100. Raises ValueError for images of different shapes."""
    _check(x_NCHW, y_NCHW, 1)
    mse_N = (x_NCHW - y_NCHW).double().square().mean(dim=(1, 2, 3))
    return -10 * torch.log10(mse_N.clamp(min=10 ** (-MOST_DECIBELS / 10)))


def ssim(x_NCHW: Tensor, y_NCHW: Tensor) -> Tensor:
    """At most 1; with a Gaussian window, where it is whole inside the image, over all channels.

    Raises ValueError for images of different shapes, or of less than 11 pixels a side.
    """
    _check(x_NCHW, y_NCHW, WINDOW)
    return _similarity(x_NCHW, y_NCHW)[0]


def ms_ssim(x_NCHW: Tensor, y_NCHW: Tensor) -> Tensor:
    """0 to 1, over as many of the paper's five scales as the images have room for (see `scales`).

    A scale on which two images are opposites counts as 0. Raises ValueError as `ssim`.
    """
    _check(x_NCHW, y_NCHW, WINDOW)
    count = scales(*x_NCHW.shape[2:])
    total = sum(WEIGHTS[:count])
    product_N = torch.ones(len(x_NCHW), dtype=torch.float64)
    for scale, weight in enumerate(WEIGHTS[:count]):
        whole_N, structure_N = _similarity(x_NCHW, y_NCHW)
        last = scale == count - 1
        product_N = product_N * (whole_N if last else structure_N).clamp(min=0) ** (weight / total)
        if not last:
            x_NCHW, y_NCHW = F.avg_pool2d(x_NCHW, 2), F.avg_pool2d(y_NCHW, 2)
    return product_N


def scales(height: int, width: int) -> int:
    """How many scales of MS-SSIM, each half the size of the one before, the window fits into: 3 for 64 pixels."""
    side, count = min(height, width), 0
    while side >= WINDOW and count < len(WEIGHTS):
        side, count = side // 2, count + 1
    return count


def _similarity(x_NCHW: Tensor, y_NCHW: Tensor) -> tuple[Tensor, Tensor]:
    """SSIM, and its part for contrast and structure, (N,) each."""
    mean_x, mean_y = _blur(x_NCHW), _blur(y_NCHW)
    # Of deviations from the image's mean: of bright, flat images the squares would cancel to noise.
    about_x, about_y = x_NCHW.mean(dim=(2, 3), keepdim=True), y_NCHW.mean(dim=(2, 3), keepdim=True)
    x, y = x_NCHW - about_x, y_NCHW - about_y
    local_x, local_y = mean_x - about_x, mean_y - about_y
    variance_x = _blur(x * x) - local_x**2
    variance_y = _blur(y * y) - local_y**2
    covariance = _blur(x * y) - local_x * local_y
    structure = (2 * covariance + CONTRAST) / (variance_x + variance_y + CONTRAST)
    luminance = (2 * mean_x * mean_y + LUMINANCE) / (mean_x**2 + mean_y**2 + LUMINANCE)
    return tuple(part.double().mean(dim=(1, 2, 3)) for part in (luminance * structure, structure))  # type: ignore[return-value]


def _blur(x_NCHW: Tensor) -> Tensor:
    """By the window, which is separable."""
    offsets = torch.arange(WINDOW, dtype=torch.float32) - WINDOW // 2
    taps = torch.exp(-(offsets**2) / (2 * SIGMA**2))
    taps = taps / taps.sum()
    channels = x_NCHW.shape[1]
    down = taps.view(1, 1, WINDOW, 1).expand(channels, 1, WINDOW, 1)
    across = taps.view(1, 1, 1, WINDOW).expand(channels, 1, 1, WINDOW)
    return F.conv2d(F.conv2d(x_NCHW, down, groups=channels), across, groups=channels)


def _check(x_NCHW: Tensor, y_NCHW: Tensor, least: int) -> None:
    if x_NCHW.shape != y_NCHW.shape or x_NCHW.ndim != 4:
        raise ValueError(f"images {tuple(x_NCHW.shape)} and {tuple(y_NCHW.shape)}: give (N, C, H, W), both alike")
    if min(x_NCHW.shape[2:]) < least:
        raise ValueError(f"images of {tuple(x_NCHW.shape[2:])} pixels: give at least {least} a side")
