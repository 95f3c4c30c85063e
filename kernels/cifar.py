"""The binary files of CIFAR-10 and CIFAR-100: records of one or two labels and a planar image of 32 x 32 pixels.

Krizhevsky, "Learning multiple layers of features from tiny images", 2009; the layout is described at
https://www.cs.toronto.edu/~kriz/cifar.html.
"""

import numpy as np

from gen_dist.kernels.jit import kernel
from gen_dist.kernels.limits import DecodeError, Limits

SIDE, CHANNELS = 32, 3
_PIXELS = SIDE * SIDE
_LABELS = {10: 1, 100: 2}  # bytes; CIFAR-100 has the coarse label first


def read(
    data: bytes | bytearray | memoryview, classes: int, limits: Limits | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The records of one file.

    Args:
        data: the file, `data_batch_1.bin` or another.
        classes: 10 or 100; nothing in the file says which.
        limits: of the file's bytes; defaults to `Limits()`.

    Returns:
        Images, uint8, n x 32 x 32 x 3, and labels (of CIFAR-100 the fine ones), int64, n.

    Raises:
        ValueError: another number of classes.
        DecodeError: too long, not a whole number of records, or a label that is none: a file of the other kind.
    """
    if classes not in _LABELS:
        raise ValueError(f"classes: wants 10 or 100; got {classes}")
    view = memoryview(data).cast("B")
    (limits or Limits()).check_bytes(len(view))
    record = _LABELS[classes] + CHANNELS * _PIXELS
    if len(view) % record or not len(view):
        raise DecodeError(f"{len(view)} bytes: not a multiple of the {record} of a CIFAR-{classes} record")
    records = np.frombuffer(view, np.uint8).reshape(-1, record)
    labels = records[:, _LABELS[classes] - 1].astype(np.int64)
    if labels.max() >= classes:
        raise DecodeError(f"label {labels.max()} in a file of {classes} classes")
    images = np.empty((len(records), SIDE, SIDE, CHANNELS), np.uint8)
    interleave(images, records)
    return images, labels


@kernel(fastmath=False)
def interleave(images: np.ndarray, records: np.ndarray) -> None:
    """Write the planes at the end of each record as pixels.

    Args:
        images: uint8, n x 32 x 32 x 3.
        records: uint8, n x at least 3072; red, green and blue plane are the last.
    """
    start = records.shape[1] - CHANNELS * _PIXELS
    for n in range(records.shape[0]):
        planes = records[n, start:]
        red, green, blue = planes[:_PIXELS], planes[_PIXELS : 2 * _PIXELS], planes[2 * _PIXELS :]
        pixels = images[n].reshape(CHANNELS * _PIXELS)
        for i in range(_PIXELS):
            pixels[3 * i] = red[i]
            pixels[3 * i + 1] = green[i]
            pixels[3 * i + 2] = blue[i]
