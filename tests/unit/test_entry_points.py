"""Kernels' entry points given arrays that do not fit: one line that names what is wanted and what came."""

import numpy as np
import pytest

from gen_dist.kernels.permutation import permute
from gen_dist.kernels.philox import fill_normal, fill_uniform
from gen_dist.kernels.tree import sum_rows

POSITIONS = np.arange(3, dtype=np.int64)
ROWS = np.zeros((4, 5), np.float32)
SUMS = np.array([[0, 1], [2, 3]])


def floats(*shape):
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fill_uniform(floats(2, 4), 1, 2, POSITIONS), "out: wants .* 3 × any; got float32, 2 × 4"),
        (lambda: fill_uniform(np.zeros((3, 4)), 1, 2, POSITIONS), "out: wants .* float32, .*; got float64, 3 × 4"),
        (lambda: fill_normal(floats(3, 8)[:, ::2], 1, 2, POSITIONS), "got float32, 3 × 4 .not contiguous"),
        (lambda: fill_normal(floats(3, 4), 1, 2, POSITIONS.astype(np.int32)), "positions: wants .* int64.* got int32"),
        (lambda: fill_normal(floats(3, 4), 1, 2**32, POSITIONS), "key words: want .*; got 1, 4294967296"),
        (lambda: permute(np.zeros(2, np.int64), POSITIONS, 5, 1, 2), "out: wants .* int64, 3; got int64, 2"),
        (lambda: permute(POSITIONS.copy(), POSITIONS, 2, 1, 2), r"indices: wants integers in \[0, 2\); got 0 to 2"),
        (lambda: permute(POSITIONS.copy(), POSITIONS, 0, 1, 2), r"n in \[1, 2\*\*62\].*; got 0, 1, 2"),
        (lambda: sum_rows(ROWS.astype(np.float16), SUMS), "rows: wants .* float32, .*; got float16, 4 × 5"),
        (lambda: sum_rows(ROWS.copy(), SUMS + 1), r"sums: wants integers in \[0, 4\); got 1 to 4"),
        (lambda: sum_rows(ROWS.copy(), SUMS.ravel()), "sums: wants .* int64, any × 2; got int64, 4"),
    ],
)
def test_misfits_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
