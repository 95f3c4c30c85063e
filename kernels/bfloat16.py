"""Numbers of type bfloat16, the upper halves of float32's: added to such without a float32 copy of them on the way."""

import numpy as np

from gen_dist.kernels.checks import check_array
from gen_dist.kernels.jit import kernel

_COLUMNS = 4096  # a tile stays in the cache


def add(into: np.ndarray, numbers: np.ndarray) -> None:
    """`into` += `numbers`, each rounded once, as where they were made float32 before.

    Args:
        into: float32, n; changed.
        numbers: uint16, n: the bits of bfloat16.

    Raises ValueError for other types and shapes.
    """
    check_array("into", into, np.float32, (None,), written=True)
    check_array("numbers", numbers, np.uint16, into.shape)
    _add(into, numbers, np.empty(min(_COLUMNS, into.size), np.uint32))


@kernel(fastmath=False, noalias=True)
def _add(into: np.ndarray, numbers: np.ndarray, bits: np.ndarray) -> None:
    tile = bits.view(np.float32)
    for start in range(0, into.size, _COLUMNS):
        width = min(_COLUMNS, into.size - start)
        # Slices that begin at 0: the loops then need no check for negative indices, and become vector code.
        sums, added = into[start : start + width], numbers[start : start + width]
        for c in range(added.size):
            bits[c] = np.uint32(added[c]) << np.uint32(16)
        for c in range(sums.size):
            sums[c] += tile[c]
