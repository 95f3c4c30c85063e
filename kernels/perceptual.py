"""Perceptual hashes (pHash) and thumbnails of images: alike for images that look alike.

The hash is that of C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010): the image in
grey at 32 x 32, its discrete cosine transform, and for each of the 8 x 8 lowest frequencies whether it is above their
median. All arithmetic is on whole numbers, most of them held in doubles that hold them exactly, so the bits are the
same on every machine.
"""

import functools

import numpy as np

from gen_dist.kernels.checks import check_array
from gen_dist.kernels.jit import kernel

CELLS = 32  # the side that images are reduced to
LOW = 8  # frequencies along each axis
THUMBNAIL = 24  # bytes
_ONE = 4095  # of the table of cosines: 16 bits of grey, twice 12 bits of cosine, twice 32 addends: 50 of 53 bits


def perceptual_hashes(hashes: np.ndarray, thumbnails: np.ndarray, images: np.ndarray) -> None:
    """The perceptual hash and a thumbnail of each image; a flat image has the hash 1, a black one 0.

    Args:
        hashes: uint64, n, contiguous. Bit 8 v + u is for frequency v down and u across; bit 0 is the mean's.
        thumbnails: uint8, n x 24, contiguous. Means of a grid of 4 x 4 fields in grey, then of 2 x 2 fields
            128 + (red - grey) / 2, then the same of blue.
        images: uint8, n x H x W x C, contiguous; C is 1 or 3, sides are 1 to 65535.

    Grey is 0.301 red + 0.586 green + 0.113 blue. Raises ValueError naming what is wanted for arrays that are not so.
    """
    check_array("images", images, np.uint8, (None, None, None, None))
    count, height, width, channels = images.shape
    if channels not in (1, 3) or not 1 <= height <= 65535 or not 1 <= width <= 65535:
        raise ValueError(f"images: wants n x H x W x 1 or 3, sides of 1 to 65535; got {images.shape}")
    check_array("hashes", hashes, np.uint64, (count,), written=True)
    check_array("thumbnails", thumbnails, np.uint8, (count, THUMBNAIL), written=True)
    pixels = images.reshape(-1)
    pixels.flags.writeable = False  # as memory maps are: one compiled version for both
    if count:
        _hash_all(hashes, thumbnails, pixels, height, width, channels, _cosines())


@functools.cache
def _cosines() -> np.ndarray:
    """Float64, 8 x 32: whole numbers; a row adds up to 0, but for the first. Not to be written to."""
    angles = np.outer(np.arange(LOW), 2 * np.arange(CELLS) + 1) * (np.pi / (2 * CELLS))
    return np.rint(_ONE * np.cos(angles))


@kernel(fastmath=False)
def _hash_all(
    hashes: np.ndarray,
    thumbnails: np.ndarray,
    pixels: np.ndarray,
    height: int,
    width: int,
    channels: int,
    cosines: np.ndarray,
) -> None:
    rows = np.empty(width * channels, np.int32)
    cells = np.empty((channels, CELLS, CELLS), np.int64)
    grey = np.empty((CELLS, CELLS), np.float64)
    length = height * width * channels
    for index in range(len(hashes)):
        _reduce(cells, rows, pixels[index * length : (index + 1) * length], height, width, channels)
        area = np.float64(height * width)
        for y in range(CELLS):
            for x in range(CELLS):
                total = 256 * cells[0, y, x]
                if channels == 3:
                    total = 77 * cells[0, y, x] + 150 * cells[1, y, x] + 29 * cells[2, y, x]
                grey[y, x] = np.floor(np.float64(total) / area)
        hashes[index] = _hash(grey, cosines)
        _shrink(thumbnails[index], grey, cells, height * width)


@kernel(fastmath=False)
def _reduce(cells: np.ndarray, rows: np.ndarray, pixels: np.ndarray, height: int, width: int, channels: int) -> None:
    """Sums over 32 x 32 fields, in units in which a field has height x width pixels and a pixel counts 32 x 32."""
    stride = width * channels
    for j in range(CELLS):
        first, last = (j * height) // CELLS, ((j + 1) * height - 1) // CELLS
        rows[:] = 0
        for y in range(first, last + 1):
            weight = np.int32(min(CELLS * (y + 1), (j + 1) * height) - max(CELLS * y, j * height))
            row = pixels[y * stride : (y + 1) * stride]
            for x in range(stride):
                rows[x] += weight * np.int32(row[x])
        for i in range(CELLS):
            start, stop = i * width, (i + 1) * width
            left, right = start // CELLS, (stop - 1) // CELLS
            for c in range(channels):
                if left == right:
                    total = np.int64(width) * rows[left * channels + c]
                else:
                    total = np.int64(CELLS * (left + 1) - start) * rows[left * channels + c]
                    total += np.int64(stop - CELLS * right) * rows[right * channels + c]
                    for x in range(left + 1, right):
                        total += np.int64(CELLS) * rows[x * channels + c]
                cells[c, j, i] = total


@kernel(fastmath=False)
def _hash(grey: np.ndarray, cosines: np.ndarray) -> np.uint64:
    down = np.zeros((LOW, CELLS), np.float64)
    for v in range(LOW):
        for y in range(CELLS):
            for x in range(CELLS):
                down[v, x] += cosines[v, y] * grey[y, x]
    frequencies = np.zeros(LOW * LOW, np.float64)
    for v in range(LOW):
        for u in range(LOW):
            total = 0.0
            for x in range(CELLS):
                total += cosines[u, x] * down[v, x]
            frequencies[LOW * v + u] = total
    twice_median = _twice_median(frequencies.copy())
    bits = np.uint64(0)
    for k in range(LOW * LOW):
        if 2.0 * frequencies[k] > twice_median:
            bits |= np.uint64(1) << np.uint64(k)
    return bits


@kernel(fastmath=False)
def _twice_median(numbers: np.ndarray) -> float:
    """Sorts them by insertion: np.sort takes longer to compile than all else here."""
    for i in range(1, len(numbers)):
        number, j = numbers[i], i
        while j > 0 and numbers[j - 1] > number:
            numbers[j] = numbers[j - 1]
            j -= 1
        numbers[j] = number
    return numbers[len(numbers) // 2 - 1] + numbers[len(numbers) // 2]


@kernel(fastmath=False)
def _shrink(thumbnail: np.ndarray, grey: np.ndarray, cells: np.ndarray, area: int) -> None:
    for k in range(16):
        total = 0.0
        for y in range(8 * (k // 4), 8 * (k // 4) + 8):
            for x in range(8 * (k % 4), 8 * (k % 4) + 8):
                total += grey[y, x]
        thumbnail[k] = np.uint8(np.int64(total) >> 14)  # 64 cells, 8 bits of fraction
    thumbnail[16:] = 128
    if len(cells) == 1:
        return
    for k in range(8):
        channel, top, left = 2 * (k // 4), 16 * (k // 2 % 2), 16 * (k % 2)
        total, colour = 0.0, np.int64(0)
        for y in range(top, top + 16):
            for x in range(left, left + 16):
                total += grey[y, x]
                colour += cells[channel, y, x]
        mean = np.int64(total) >> 8  # 256 cells
        thumbnail[16 + k] = np.uint8(128 + ((colour // area - mean) >> 9))
