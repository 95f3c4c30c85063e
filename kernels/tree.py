"""Partial sums added up in a prescribed order."""

import numpy as np

from gen_dist.kernels.checks import check_array, check_numbers
from gen_dist.kernels.jit import kernel

_COLUMNS = 4096  # a tile of a few rows stays in the cache


def sum_rows(rows: np.ndarray, sums: np.ndarray) -> None:
    """Add rows to rows in place: for every (i, j) of `sums`, in order, rows[i] += rows[j].

    Tile by tile, so that each row is read from memory once, whatever the number of additions. An element's value
    depends on its column and the order of `sums` only, because float additions are never reordered.

    Args:
        rows: float32 or float64, n x columns; changed. Rows that were added to another hold partial sums afterwards.
        sums: int64, k x 2, numbers of rows.

    Raises ValueError for other types and shapes, and for numbers that name no row.
    """
    check_array("rows", rows, _float_type(rows), (None, None), written=True)
    check_array("sums", sums, np.int64, (None, 2))
    check_numbers("sums", sums, len(rows))
    _sum_rows(rows, sums)


def _float_type(rows: np.ndarray) -> type[np.generic]:
    return np.float64 if getattr(rows, "dtype", None) == np.float64 else np.float32


@kernel(fastmath=False)
def _sum_rows(rows: np.ndarray, sums: np.ndarray) -> None:
    columns = rows.shape[1]
    for start in range(0, columns, _COLUMNS):
        end = min(start + _COLUMNS, columns)
        for k in range(sums.shape[0]):
            # Slices that begin at 0: the loop then needs no check for negative indices, and becomes vector code.
            into, added = rows[sums[k, 0], start:end], rows[sums[k, 1], start:end]
            for c in range(into.size):
                into[c] += added[c]
