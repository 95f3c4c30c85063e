"""Kernels' entry points given arrays that do not fit: one line that names what is wanted and what came."""

import numpy as np
import pytest

from gen_dist.kernels import affine, augment, jpeg, mailbox, png, rmsprop
from gen_dist.kernels.permutation import permute
from gen_dist.kernels.philox import fill_normal, fill_uniform
from gen_dist.kernels.tree import sum_vectors

POSITIONS = np.arange(3, dtype=np.int64)
ROWS = np.zeros((4, 5), np.float32)
SUMS = np.array([[0, 1], [2, 3]])


IMAGES, ZERO, EIGHT = np.zeros((2, 4, 4, 3), np.uint8), np.zeros(1, np.int64), np.zeros(8, np.int64)


def augmented(out=None, images=IMAGES, **changes):
    augment.augment(np.empty((1, 4, 4, 3), np.float32) if out is None else out, images, ZERO, ZERO, **changes)


def floats(*shape):
    return np.zeros(shape, np.float32)


def optimised(*lengths, dtype=np.float32):
    rmsprop.step(*(np.zeros(length, dtype) for length in lengths), rate=0.1, decay=0.9, epsilon=1e-7)


def summed(out=None, vectors=None, sums=SUMS):
    sum_vectors(floats(3) if out is None else out, [floats(3)] * 4 if vectors is None else vectors, sums)


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
        (lambda: optimised(3, 3, 3, dtype=np.float64), "weights: wants .* float32, any; got float64, 3"),
        (lambda: optimised(3, 2, 3), "gradient: wants .* float32, 3; got float32, 2"),
        (lambda: optimised(3, 3, 4), "squares: wants .* float32, 3; got float32, 4"),
        (lambda: optimised(3, 3, 3, 1), "velocity: wants .* float32, 3; got float32, 1"),
        (lambda: summed(floats(3).astype(np.float16)), "out: wants .* float32, any; got float16, 3"),
        (lambda: summed(floats(3)[::-1]), "out: wants .*; got float32, 3 .not contiguous"),
        (lambda: summed(vectors=[]), "vectors: wants at least one"),
        (lambda: summed(vectors=[floats(3), floats(4)]), "vectors: wants .* float32, 3; got float32, 4"),
        (lambda: summed(vectors=[floats(3), np.zeros(3)]), "vectors: wants .* float32, 3; got float64, 3"),
        (lambda: summed(sums=SUMS + 1), r"sums: wants integers in \[0, 4\); got 1 to 4"),
        (lambda: summed(sums=SUMS.ravel()), "sums: wants .* int64, any × 2; got int64, 4"),
        (lambda: mailbox.post(np.zeros(7, np.int64), ZERO, 1), "row: wants .* int64, 8; got int64, 7"),
        (lambda: mailbox.post(EIGHT.copy(), np.zeros(1), 1), "numbers: wants .* int64, any; got float64, 1"),
        (lambda: mailbox.post(EIGHT.copy(), EIGHT, 1), "numbers: wants at most 7; got 8"),
        (lambda: mailbox.has_come(np.zeros(8), 1, 1), "row: wants .* int64, 8; got float64, 8"),
        (lambda: augmented(out=IMAGES.copy()[:1], images=IMAGES, low=np.nan), "want finite numbers; got nan and 1.0"),
        (lambda: augmented(out=IMAGES, images=IMAGES), "out: wants memory of its own"),
        (lambda: augmented(scratch=(3, 4)), "scratch: wants one from make_scratch; got tuple"),
        (lambda: augmented(scratch=augment.make_scratch(4, 5, 3)), r"wants one for \(4, 4, 3\); got .* \(4, 5, 3\)"),
        (lambda: affine.matrices(*[np.full(1, np.nan)] * 6, 4, 4), "theta: wants degrees"),
        (lambda: affine.matrices(*[np.zeros(1)] * 5, np.full(1, np.inf), 4, 4), "zoom_columns: wants finite.* got inf"),
        (lambda: png.decode_chunks(png.Png(1, 1, 0, [], b"", None, False), png.Limits(), (7,)), r"three .* got \(7,\)"),
        (lambda: jpeg.decode(b"", scratch=np.zeros(3)), "scratch: wants one from make_scratch; got ndarray"),
        (lambda: jpeg.decode_resized(floats(4, 4, 3), b"", high=np.inf), "want finite numbers; got 0.0 and inf"),
    ],
)
def test_misfits_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
