"""Sine and cosine of float64 angles with the same bits on every machine: only +, -, * and integer conversions.

The polynomials are those of fdlibm's kernels on [-pi/4, pi/4]; libm's own differ between versions, CPUs and vector
widths.
"""

import math

from gen_dist.kernels.jit import kernel

_TWO_OVER_PI = 2.0 / math.pi
# pi/2 in three parts; products of the first two with a quadrant number below 2**20 are exact.
_PIO2_1, _PIO2_2, _PIO2_3 = 1.57079632673412561417e00, 6.07710050630396597660e-11, 2.02226624879595063154e-21


@kernel(fastmath=False)
def sin_cos(angle: float) -> tuple[float, float]:
    """(sine, cosine) of an angle in radians, magnitude below 10**6, to within 2 units of the last place near 1."""
    quadrant = math.floor(angle * _TWO_OVER_PI + 0.5)
    q = float(quadrant)
    x = ((angle - q * _PIO2_1) - q * _PIO2_2) - q * _PIO2_3
    s, c = sin_cos_kernel(x)
    turn = quadrant & 3
    if turn == 0:
        return s, c
    if turn == 1:
        return c, -s
    if turn == 2:
        return -s, -c
    return -c, s


@kernel(fastmath=False, inline=True)
def sin_cos_kernel(x: float) -> tuple[float, float]:
    """(sine, cosine) of x in [-pi/4, pi/4]."""
    z = x * x
    s = -2.50507602534068634195e-08 + z * 1.58969099521155010221e-10
    s = -1.98412698298579493134e-04 + z * (2.75573137070700676789e-06 + z * s)
    s = x + x * z * (-1.66666666666666324348e-01 + z * (8.33333333332248946124e-03 + z * s))
    c = 2.08757232129817482790e-09 + z * -1.13596475577881948265e-11
    c = 2.48015872894767294178e-05 + z * (-2.75573143513906633035e-07 + z * c)
    c = 1.0 - z * (0.5 - z * (4.16666666666666019037e-02 + z * (-1.38888888888741095749e-03 + z * c)))
    return s, c
