"""A digest of many images in one call, during which other threads may use Python: tells equal ones from others."""

from typing import Any

import numpy as np

from gen_dist.kernels.checks import check_array, read_only
from gen_dist.kernels.jit import kernel

DIGEST_BYTES = 16


def digests(out: np.ndarray, data: np.ndarray) -> None:
    """128 bits of each row: equal for equal rows, and as good as never for others that nobody made for that.

    Two lanes of 64 bits, each word added, multiplied and folded in. Whoever wants to can make rows that collide.

    Args:
        out: uint8, n x 16; written.
        data: uint8, n x length.

    Raises ValueError for other arrays.
    """
    check_array("data", data, np.uint8, (None, None))
    check_array("out", out, np.uint8, (len(data), DIGEST_BYTES), written=True)
    _digests(out, read_only(data))


@kernel(fastmath=False)
def _digests(out: np.ndarray, data: np.ndarray) -> None:
    length = data.shape[1]
    for n in range(data.shape[0]):
        row, at = data[n], 0
        first, second = np.uint64(0x9E3779B97F4A7C15), np.uint64(length)
        while at + 8 <= length:
            first, second = _mix(first, second, _word(row, at))
            at += 8
        rest = np.uint64(0)
        while at < length:
            rest = (rest << np.uint64(8)) | np.uint64(row[at])
            at += 1
        for _ in range(4):  # so that the last word reaches every bit
            first, second = _mix(first, second, rest)
        for k in range(8):
            out[n, k] = (first >> np.uint64(8 * k)) & np.uint64(255)
            out[n, 8 + k] = (second >> np.uint64(8 * k)) & np.uint64(255)


@kernel(fastmath=False, inline=True)
def _word(row: np.ndarray, at: int) -> Any:
    """Eight bytes from `at` on as a uint64, little-endian; LLVM makes one load of them."""
    word = np.uint64(0)
    for k in range(8):
        word |= np.uint64(row[at + k]) << np.uint64(8 * k)
    return word


@kernel(fastmath=False, inline=True)
def _mix(first: Any, second: Any, word: Any) -> Any:
    """Both lanes (uint64) after a word: a permutation of the lane for a word, and of the word for a lane."""
    first = (first + word) * np.uint64(0xBF58476D1CE4E5B9)
    second = ((second ^ word) << np.uint64(27)) | ((second ^ word) >> np.uint64(37))
    second = second * np.uint64(0x94D049BB133111EB) + np.uint64(0x52DCE729)
    return first ^ (first >> np.uint64(29)), second ^ (second >> np.uint64(31))
