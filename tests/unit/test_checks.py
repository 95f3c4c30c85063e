"""What entry points say of arrays that do not fit."""

import numpy as np
import pytest

from gen_dist.kernels.checks import check_array

GOOD = np.zeros((2, 3), np.float32)


def test_what_fits_passes():
    check_array("out", GOOD, np.float32, (2, 3), written=True)
    check_array("out", GOOD, np.float32, (None, 3))
    check_array("out", np.zeros((0, 3), np.float32), np.float32, (None, 3))
    check_array("out", np.broadcast_to(GOOD, (2, 3)), np.float32, (2, None))


def read_only():
    array = GOOD.copy()
    array.setflags(write=False)
    return array


@pytest.mark.parametrize(
    ("array", "got"),
    [
        (GOOD.astype(np.float64), "got float64, 2 × 3"),
        (GOOD[:1], "got float32, 1 × 3"),
        (GOOD.ravel(), "got float32, 6"),
        (np.zeros((3, 2), np.float32).T, r"got float32, 2 × 3 \(not contiguous\)"),
        (read_only(), r"got float32, 2 × 3 \(read-only\)"),
        ([[0.0]], "got list"),
        (None, "got NoneType"),
    ],
)
def test_a_misfit_is_named_beside_what_is_wanted(array, got):
    with pytest.raises(ValueError, match=f"out: wants a contiguous writeable array of float32, 2 × any; {got}$"):
        check_array("out", array, np.float32, (2, None), written=True)
