"""Our own sine and cosine beside libm's."""

import math

from hypothesis import example, given
from hypothesis import strategies as st

from gen_dist.kernels.trigonometry import sin_cos


@given(st.floats(-1e6, 1e6))
@example(0.0)
@example(math.pi / 4)
@example(math.pi / 2)
@example(-math.pi)
@example(1e6)
def test_within_rounding_of_libm(angle):
    sine, cosine = sin_cos(angle)
    assert abs(sine - math.sin(angle)) <= 2.3e-16
    assert abs(cosine - math.cos(angle)) <= 2.3e-16
