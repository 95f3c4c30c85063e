"""From stored uint8 images to a float32 batch: gather, flip and normalise in one pass over the pixels."""

import numpy as np

from gen_dist.kernels.jit import kernel

_LARGEST = np.float32(255.0)


@kernel(fastmath=False)
def gather(
    out: np.ndarray,
    images: np.ndarray,
    indices: np.ndarray,
    rows: np.ndarray,
    flips: np.ndarray,
    low: float | np.float32,
    high: float | np.float32,
) -> None:
    """Write images[indices[i]] into out[rows[i]], each pixel as (pixel / 255) * (high - low) + low.

    One read of a uint8 and one write of a float32 a pixel, no copy between. The float32 arithmetic is in that
    order and is never contracted or approximated, so equal pixels give equal bits in every batch.

    Args:
        out: float32, batch x H x W x C, contiguous; rows not named are left alone.
        images: uint8, n x H x W x C, contiguous, usually a memory map.
        indices: int64, m; each in [0, n), which is not checked.
        rows: int64, m; each in [0, batch), which is not checked; all different.
        flips: bool, m x 2; mirror horizontally (along W), vertically (along H).
        low, high: floats, taken as float32; what pixels 0 and 255 become.
    """
    height, width, channels = images.shape[1:]
    offset = np.float32(low)
    scale = np.float32(high) - offset
    for i in range(indices.shape[0]):
        source, target = images[indices[i]], out[rows[i]]
        mirror, upturn = flips[i, 0], flips[i, 1]
        for y in range(height):
            line = source[height - 1 - y if upturn else y].reshape(width * channels)
            written = target[y].reshape(width * channels)
            if mirror:
                for x in range(width):
                    for c in range(channels):
                        pixel = line[(width - 1 - x) * channels + c]
                        written[x * channels + c] = np.float32(pixel) / _LARGEST * scale + offset
            else:
                for e in range(width * channels):
                    written[e] = np.float32(line[e]) / _LARGEST * scale + offset
