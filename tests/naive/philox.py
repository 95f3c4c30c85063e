"""Philox4x32-10 and its fills, as the paper has them, in Python's own integers and floats."""

import math

import numpy as np


def philox(counter, key):
    """Counter (four words) and key (two words) to four words."""
    c, k = list(counter), list(key)
    for _ in range(10):
        left, right = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [right >> 32 ^ c[1] ^ k[0], right % 2**32, left >> 32 ^ c[3] ^ k[1], left % 2**32]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return c


def words(element_count, key, position):
    blocks = (philox((b, position % 2**32, position >> 32, 0), key) for b in range(-(-element_count // 4)))
    return [word for block in blocks for word in block]


def uniform(k, key, positions):
    """Float32, n x k."""
    rows = [[(word >> 8) / 2**24 for word in words(k, key, int(p))[:k]] for p in positions]
    return np.array(rows, np.float32).reshape(len(positions), k)


def normal(k, key, positions):
    """Float32, n x k; by libm, so to be compared with a tolerance."""
    rows = []
    for p in positions:
        w, row = words(k, key, int(p)), []
        for a, b in zip(w[::2], w[1::2], strict=True):
            radius, angle = math.sqrt(-2 * math.log((a + 1) / 2**32)), 2 * math.pi * b / 2**32
            row += [radius * math.cos(angle), radius * math.sin(angle)]
        rows.append(row[:k])
    return np.array(rows, np.float32).reshape(len(positions), k)
