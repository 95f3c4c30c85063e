"""The affine map of Keras' ImageDataGenerator: its matrices, and the places that a row of output is read from.

An output pixel (i, j) is read at (row, column) = M (i, j, 1). Coordinates are 64-bit fixed-point numbers with 32 bits
behind the point: exact sums, so that a row can be mirrored, cut anywhere or vectorised without changing a bit.
"""

import math

import numpy as np

from gen_dist.kernels.checks import check_array
from gen_dist.kernels.jit import kernel
from gen_dist.kernels.trigonometry import sin_cos

NEAREST, REFLECT, WRAP, CONSTANT = 0, 1, 2, 3
FILL_MODES = {"nearest": NEAREST, "reflect": REFLECT, "wrap": WRAP, "constant": CONSTANT}

# How far from the image a place may lie, in pixels: sums of coordinates then stay far from the ends of an int64.
FARTHEST = 2.0**28

_RADIANS = math.pi / 180
_ONE = 2.0**32
_POINT = 32
_TO_FRACTION = np.float32(2.0**-24)


def matrices(
    theta: np.ndarray,
    row_shift: np.ndarray,
    column_shift: np.ndarray,
    shear: np.ndarray,
    zoom_rows: np.ndarray,
    zoom_columns: np.ndarray,
    height: int,
    width: int,
) -> np.ndarray:
    """Output-to-input maps R T S Z about the centre, size / 2 - 0.5: float64, n x 2 x 3.

    Row 0 gives the input row, row 1 the input column of (output row, output column, 1). Zoom above 1 zooms out.

    Args:
        theta, shear: float64, n; degrees, magnitude below 10**6.
        row_shift, column_shift: float64, n; fractions of the height and of the width.
        zoom_rows, zoom_columns: float64, n; factors.
        height, width: of the image.

    Raises ValueError for other arrays.
    """
    check_array("theta", theta, np.float64, (None,))
    n = len(theta)
    named = {"row_shift": row_shift, "column_shift": column_shift, "shear": shear}
    named |= {"zoom_rows": zoom_rows, "zoom_columns": zoom_columns}
    for name, values in named.items():
        check_array(name, values, np.float64, (n,))
    for name, values in (("theta", theta), ("shear", shear)):
        if not (np.abs(values) < 1e6).all():
            raise ValueError(
                f"{name}: wants degrees of magnitude below 10**6; got {values[~(np.abs(values) < 1e6)][0]}"
            )
    for name, values in named.items():
        if not np.isfinite(values).all():
            raise ValueError(f"{name}: wants finite numbers; got {values[~np.isfinite(values)][0]}")
    out = np.empty((n, 2, 3))
    _fill_matrices(out, theta, row_shift, column_shift, shear, zoom_rows, zoom_columns, float(height), float(width))
    return out


@kernel(fastmath=False)
def _fill_matrices(
    out: np.ndarray,
    theta: np.ndarray,
    row_shift: np.ndarray,
    column_shift: np.ndarray,
    shear: np.ndarray,
    zoom_rows: np.ndarray,
    zoom_columns: np.ndarray,
    height: float,
    width: float,
) -> None:
    y, x = 0.5 * height - 0.5, 0.5 * width - 0.5
    for i in range(out.shape[0]):
        sine, cosine = sin_cos(theta[i] * _RADIANS)
        shear_sine, shear_cosine = sin_cos(shear[i] * _RADIANS)
        down, right = row_shift[i] * height, column_shift[i] * width
        m = out[i]
        m[0, 0] = cosine * zoom_rows[i]
        m[1, 0] = sine * zoom_rows[i]
        m[0, 1] = (-cosine * shear_sine - sine * shear_cosine) * zoom_columns[i]
        m[1, 1] = (-sine * shear_sine + cosine * shear_cosine) * zoom_columns[i]
        m[0, 2] = y + (cosine * down - sine * right) - (m[0, 0] * y + m[0, 1] * x)
        m[1, 2] = x + (sine * down + cosine * right) - (m[1, 0] * y + m[1, 1] * x)


@kernel(fastmath=False, noalias=True)
def locate(
    places: np.ndarray,
    down: np.ndarray,
    right: np.ndarray,
    matrix: np.ndarray,
    row: int,
    mirror: bool,
    height: int,
    width: int,
    channels: int,
    mode: int,
) -> None:
    """Find where an output row is read: where the pixel begins in the image (uint32), how far below and right of it.

    places, down and right (float32, in [0, 1)) are for `sampling.sample`; mode CONSTANT uses the place past the image.

    Only the two ends of a row go through the fill mode, pixel by pixel; nearest is vector code for the whole row.
    """
    r, r_step = _fixed(matrix[0, 0] * row + matrix[0, 2]), _fixed(matrix[0, 1])
    c, c_step = _fixed(matrix[1, 0] * row + matrix[1, 2]), _fixed(matrix[1, 1])
    if mirror:
        r, r_step = r + (width - 1) * r_step, -r_step
        c, c_step = c + (width - 1) * c_step, -c_step
    rows, columns = (r, r_step, height), (c, c_step, width)
    r_last, c_last = (height - 1) << _POINT, (width - 1) << _POINT
    r_end, c_end = r + (width - 1) * r_step, c + (width - 1) * c_step
    whole = min(r, r_end) >= 0 and max(r, r_end) <= r_last and min(c, c_end) >= 0 and max(c, c_end) <= c_last
    if mode == NEAREST and not whole:
        _find_nearest(places, down, right, rows, columns, channels)
        return
    _find_inside(places, down, right, rows, columns, channels)  # outside it gives nonsense, which is written over
    if not whole:
        r_first, r_end = _inside(r, r_step, r_last, width)
        c_first, c_end = _inside(c, c_step, c_last, width)
        first = max(r_first, c_first)
        _find_outside(places, down, right, 0, first, rows, columns, channels, mode)
        _find_outside(places, down, right, max(min(r_end, c_end), first), width, rows, columns, channels, mode)


@kernel(fastmath=False, inline=True)
def _fixed(value: float) -> int:
    """The nearest fixed-point number."""
    return math.floor(value * _ONE + 0.5)


@kernel(fastmath=False, inline=True)
def _inside(start: int, step: int, last: int, width: int) -> tuple[int, int]:
    """The span [first, end) of j in [0, width) with start + j * step in [0, last], fixed-point numbers.

    Floating-point quotients, then steps of one until the integers agree: several times as fast as their division.
    """
    if step == 0:
        return (0, width) if 0 <= start <= last else (0, 0)
    if step < 0:  # mirror the axis
        start, step = last - start, -step
    inverse = 1.0 / step
    first = int(min(max(-start * inverse, 0.0), float(width)))
    while first < width and start + first * step < 0:
        first += 1
    while first > 0 and start + (first - 1) * step >= 0:
        first -= 1
    end = int(min(max((last - start) * inverse, 0.0), float(width)))
    while end < width and start + end * step <= last:
        end += 1
    while end > 0 and start + (end - 1) * step > last:
        end -= 1
    return first, max(end, first)


# Three loops over the pixels of a row. `rows` and `columns` are (start, step, size): pixel j is read at
# start + j * step, and size is the image's.


@kernel(fastmath=False, inline=True)
def _find_inside(
    places: np.ndarray,
    down: np.ndarray,
    right: np.ndarray,
    rows: tuple[int, int, int],
    columns: tuple[int, int, int],
    channels: int,
) -> None:
    """For places in the image."""
    (r, r_step, _), (c, c_step, width) = rows, columns
    for j in range(places.size):
        row, column = r + j * r_step, c + j * c_step
        places[j] = np.uint32(((row >> _POINT) * width + (column >> _POINT)) * channels & 0xFFFFFFFF)
        down[j], right[j] = _fraction(row), _fraction(column)


@kernel(fastmath=False, inline=True)
def _find_nearest(
    places: np.ndarray,
    down: np.ndarray,
    right: np.ndarray,
    rows: tuple[int, int, int],
    columns: tuple[int, int, int],
    channels: int,
) -> None:
    """For any places, with fill mode nearest."""
    (r, r_step, height), (c, c_step, width) = rows, columns
    r_last, c_last = (height - 1) << _POINT, (width - 1) << _POINT
    for j in range(places.size):
        row, column = min(max(r + j * r_step, 0), r_last), min(max(c + j * c_step, 0), c_last)
        places[j] = np.uint32(((row >> _POINT) * width + (column >> _POINT)) * channels & 0xFFFFFFFF)
        down[j], right[j] = _fraction(row), _fraction(column)


@kernel(fastmath=False)
def _find_outside(
    places: np.ndarray,
    down: np.ndarray,
    right: np.ndarray,
    first: int,
    end: int,
    rows: tuple[int, int, int],
    columns: tuple[int, int, int],
    channels: int,
    mode: int,
) -> None:
    """For any places of the pixels [first, end), with any fill mode; the fill value's cell is number height * width."""
    (r, r_step, height), (c, c_step, width) = rows, columns
    for j in range(first, end):
        row, column = r + j * r_step, c + j * c_step
        if mode == CONSTANT and not (0 <= row <= (height - 1) << _POINT and 0 <= column <= (width - 1) << _POINT):
            places[j], down[j], right[j] = np.uint32(height * width * channels), 0, 0
            continue
        row, column = _fold(row, height, mode), _fold(column, width, mode)
        places[j] = np.uint32(((row >> _POINT) * width + (column >> _POINT)) * channels)
        down[j], right[j] = _fraction(row), _fraction(column)


@kernel(fastmath=False, inline=True)
def _fraction(coordinate: int) -> np.float32:
    """What stands behind the point, to 24 bits."""
    return np.float32(np.int32(coordinate >> 8 & 0xFFFFFF)) * _TO_FRACTION


@kernel(fastmath=False)
def _fold(coordinate: int, size: int, mode: int) -> int:
    """A coordinate brought into [0, size - 1], as scipy.ndimage does it."""
    last = (size - 1) << _POINT
    if 0 <= coordinate <= last:
        return coordinate
    if mode == WRAP:  # the first and the last pixel count as one
        if last == 0:
            return 0
        folded = coordinate % last
        return last if folded == 0 and coordinate < 0 else folded
    if mode == REFLECT:  # about the outer edge of the border pixel, so border pixels stand twice
        half = 1 << (_POINT - 1)
        folded = (coordinate + half) % (2 * size << _POINT)
        folded = min(folded, (2 * size << _POINT) - folded)
        coordinate = folded - half
    return min(max(coordinate, 0), last)
