"""Partial sums added up in a prescribed order."""

import numpy as np

from gen_dist.kernels.jit import kernel

_COLUMNS = 4096  # a tile of a few rows stays in the cache


@kernel(fastmath=False)
def sum_rows(rows: np.ndarray, sums: np.ndarray) -> None:
    """Add rows to rows in place: for every (i, j) of `sums`, in order, rows[i] += rows[j].

    Tile by tile, so that each row is read from memory once, whatever the number of additions. An element's value
    depends on its column and the order of `sums` only, because float additions are never reordered.

    Args:
        rows: float32 or float64, n x columns; changed. Rows that were added to another hold partial sums afterwards.
        sums: int64, k x 2, row numbers in range (not checked).
    """
    columns = rows.shape[1]
    for start in range(0, columns, _COLUMNS):
        end = min(start + _COLUMNS, columns)
        for k in range(sums.shape[0]):
            # Slices that begin at 0: the loop then needs no check for negative indices, and becomes vector code.
            into, added = rows[sums[k, 0], start:end], rows[sums[k, 1], start:end]
            for c in range(into.size):
                into[c] += added[c]
