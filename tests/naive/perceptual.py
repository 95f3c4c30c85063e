"""The perceptual hash and thumbnail, a cell at a time, in whole numbers and fractions of them."""

import math
from fractions import Fraction

import numpy as np

CELLS = 32


def overlap(cell, pixel, length):
    """How much of a pixel, in pixels, lies in one of 32 cells that share an axis of `length` pixels."""
    low = max(Fraction(cell * length, CELLS), Fraction(pixel))
    return max(Fraction(0), min(Fraction((cell + 1) * length, CELLS), Fraction(pixel + 1)) - low)


def cells(image):
    """Mean of each cell: 32 x 32 lists of C fractions."""
    height, width, channels = image.shape
    area = Fraction(height * width, CELLS * CELLS)
    columns = [[(x, w) for x in range(width) if (w := overlap(i, x, width))] for i in range(CELLS)]
    rows = [[(y, w) for y in range(height) if (w := overlap(j, y, height))] for j in range(CELLS)]
    return [
        [
            [sum(wy * wx * int(image[y, x, c]) for y, wy in row for x, wx in column) / area for c in range(channels)]
            for column in columns
        ]
        for row in rows
    ]


def grey(mean):
    """In 256ths of a level, a whole number."""
    if len(mean) == 1:
        return math.floor(256 * mean[0])
    return math.floor(77 * mean[0] + 150 * mean[1] + 29 * mean[2])


def cosine(u, x):
    return round(4095 * math.cos(math.pi * u * (2 * x + 1) / 64))


def perceptual_hash(greys):
    frequencies = [
        sum(cosine(v, y) * sum(cosine(u, x) * greys[y][x] for x in range(CELLS)) for y in range(CELLS))
        for v in range(8)
        for u in range(8)
    ]
    ordered = sorted(frequencies)
    median = Fraction(ordered[31] + ordered[32], 2)
    return sum(1 << k for k, frequency in enumerate(frequencies) if frequency > median)


def field(values, fields, k):
    """Of a 32 x 32 list, the values in field k of fields x fields."""
    side = CELLS // fields
    top, left = side * (k // fields), side * (k % fields)
    return [values[y][x] for y in range(top, top + side) for x in range(left, left + side)]


def perceive(image):
    """(hash, thumbnail: uint8, 24) of uint8, H x W x 1 or 3."""
    means = cells(image)
    greys = [[grey(mean) for mean in row] for row in means]
    thumbnail = [sum(field(greys, 4, k)) // 64 // 256 for k in range(16)]
    for channel in (0, 2):
        for k in range(4):
            if image.shape[2] == 1:
                thumbnail.append(128)
                continue
            shade = sum(field(greys, 2, k)) // 256
            colour = math.floor(sum(mean[channel] for mean in field(means, 2, k)))
            thumbnail.append(128 + (colour - shade) // 512)
    return perceptual_hash(greys), np.array(thumbnail, np.uint8)
