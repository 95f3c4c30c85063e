"""Partial sums added up in a prescribed order."""

from collections.abc import Sequence

import numpy as np

from gen_dist.kernels.checks import check_array, check_numbers
from gen_dist.kernels.jit import kernel
from gen_dist.kernels.pointers import vector_at

_COLUMNS = 4096  # a tile of a few vectors stays in the cache


def sum_vectors(out: np.ndarray, vectors: Sequence[np.ndarray], sums: np.ndarray) -> None:
    """Add vectors to vectors: for every (i, j) of `sums`, in order, the i-th is what it was and the j-th; the 0-th is
    then in `out`, and the vectors are as they were.

    Tile by tile, so that each vector is read from memory once, whatever the number of additions. An element's value
    depends on the order of `sums` only, because float additions are never reordered.

    Args:
        out: float32 or float64, n; changed. May be one of the vectors, but not a part of one that begins elsewhere.
        vectors: at least one; as `out`.
        sums: int64, k x 2, numbers of vectors.

    Raises ValueError for other types and shapes, and for numbers that name no vector.
    """
    dtype = np.float64 if getattr(out, "dtype", None) == np.float64 else np.float32
    check_array("out", out, dtype, (None,), written=True)
    if not vectors:
        raise ValueError("vectors: wants at least one")
    for vector in vectors:
        check_array("vectors", vector, dtype, out.shape)
    check_array("sums", sums, np.int64, (None, 2))
    check_numbers("sums", sums, len(vectors))
    addresses = np.array([vector.__array_interface__["data"][0] for vector in vectors], np.uint64)
    _sum_vectors(out, addresses, sums, np.empty((len(vectors), min(_COLUMNS, len(out))), dtype))


@kernel(fastmath=False)
def _sum_vectors(out: np.ndarray, addresses: np.ndarray, sums: np.ndarray, tile: np.ndarray) -> None:
    columns = out.size
    for start in range(0, columns, _COLUMNS):
        width = min(_COLUMNS, columns - start)
        for k in range(addresses.size):
            # Slices that begin at 0: the loops then need no check for negative indices, and become vector code.
            source, row = vector_at(addresses[k], columns, out)[start : start + width], tile[k, :width]
            for c in range(row.size):
                row[c] = source[c]
        for k in range(sums.shape[0]):
            into, added = tile[sums[k, 0], :width], tile[sums[k, 1], :width]
            for c in range(into.size):
                into[c] += added[c]
        result, row = out[start : start + width], tile[0, :width]
        for c in range(result.size):
            result[c] = row[c]
