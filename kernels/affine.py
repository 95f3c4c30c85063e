"""The affine map of Keras' ImageDataGenerator: matrices, the places a row of output is read from, bilinear sampling.

An output pixel (i, j) is read at (row, column) = M (i, j, 1). Coordinates are 64-bit fixed-point numbers with 32 bits
behind the point: exact sums, so that a row can be cut anywhere, mirrored or vectorised without changing a bit.

Sampling reads from a table of cells: one uint32 a pixel and channel holds the pixel, its right neighbour, the one below
and the one below to the right, so one load fetches all four taps. At the last column and row the neighbour is the pixel
itself; it only ever has weight zero. One more cell stands at the end, four times the fill value.
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
_BYTE = np.uint32(255)
_INDEX = np.uint32(0x7FFFFFFF)
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


@kernel(fastmath=False)
def fill_table(cells: np.ndarray, rows: np.ndarray, begin: int, end: int, channels: int, fill: np.uint8) -> None:
    """Write the cells of the image in columns [begin, end) of `rows` (uint8, h x any): uint32, (h * w + 1) * C."""
    height, size = rows.shape[0], end - begin
    for y in range(height):
        upper, lower = rows[y, begin:end], rows[min(y + 1, height - 1), begin:end]
        _fill_cells(cells[y * size : (y + 1) * size], upper, lower, channels)
    for e in range(height * size, cells.size):
        cells[e] = np.uint32(fill) * np.uint32(0x1010101)


@kernel(fastmath=False, noalias=True)
def _fill_cells(cells: np.ndarray, upper: np.ndarray, lower: np.ndarray, channels: int) -> None:
    """Write one row of cells, uint32, w * C, from two rows of bytes, the second the one below."""
    inner = upper.size - channels
    head, up, up_right = cells[:inner], upper[:inner], upper[channels:]
    low, low_right = lower[:inner], lower[channels:]
    for e in range(head.size):
        head[e] = (
            np.uint32(up[e]) | np.uint32(up_right[e]) << 8 | np.uint32(low[e]) << 16 | np.uint32(low_right[e]) << 24
        )
    for e in range(inner, upper.size):
        cells[e] = np.uint32(upper[e]) * np.uint32(0x101) + np.uint32(lower[e]) * np.uint32(0x1010000)


@kernel(fastmath=False)
def locate(
    places: np.ndarray,
    down: np.ndarray,
    right: np.ndarray,
    matrix: np.ndarray,
    row: int,
    mirror: bool,
    height: int,
    width: int,
    mode: int,
) -> None:
    """Find where an output row is read: numbers of cells (uint32) and how far the place lies below and right (float32).

    The inside of the row is found by straight code, only the two ends go through the fill mode.
    """
    r, r_step = _fixed(matrix[0, 0] * row + matrix[0, 2]), _fixed(matrix[0, 1])
    c, c_step = _fixed(matrix[1, 0] * row + matrix[1, 2]), _fixed(matrix[1, 1])
    if mirror:
        r, r_step = r + (width - 1) * r_step, -r_step
        c, c_step = c + (width - 1) * c_step, -c_step
    r_first, r_end = _inside(r, r_step, (height - 1) << _POINT, width)
    c_first, c_end = _inside(c, c_step, (width - 1) << _POINT, width)
    first = max(r_first, c_first)
    end = max(min(r_end, c_end), first)
    for a, b in ((0, first), (end, width)):
        r0, c0 = r + a * r_step, c + a * c_step
        _find_outside(places[a:b], down[a:b], right[a:b], r0, r_step, c0, c_step, height, width, mode)
    r, c = r + first * r_step, c + first * c_step
    _find_inside(places[first:end], down[first:end], right[first:end], r, r_step, c, c_step, width)


@kernel(fastmath=False)
def _fixed(value: float) -> int:
    """The nearest fixed-point number."""
    return np.int64(math.floor(value * _ONE + 0.5))


@kernel(fastmath=False)
def _inside(start: int, step: int, last: int, width: int) -> tuple[int, int]:
    """The span [first, end) of j in [0, width) with start + j * step in [0, last], fixed-point numbers."""
    if step == 0:
        return (0, width) if 0 <= start <= last else (0, 0)
    if step < 0:  # mirror the axis
        start, step = last - start, -step
    first = min(max(-(start // step), 0), width)
    end = min(max((last - start) // step + 1, first), width)
    return first, end


@kernel(fastmath=False, noalias=True)
def _find_inside(
    places: np.ndarray, down: np.ndarray, right: np.ndarray, r: int, r_step: int, c: int, c_step: int, width: int
) -> None:
    """Split coordinates known to lie in the image into cell numbers (uint32) and fractions (float32), all of length m.

    Pixel j is read at row r + j * r_step and column c + j * c_step.
    """
    for j in range(places.size):
        row, column = r + j * r_step, c + j * c_step
        places[j] = np.uint32(np.int32(row >> _POINT) * np.int32(width) + np.int32(column >> _POINT))
        down[j] = np.float32(np.int32(row >> 8) & np.int32(0xFFFFFF)) * _TO_FRACTION
        right[j] = np.float32(np.int32(column >> 8) & np.int32(0xFFFFFF)) * _TO_FRACTION


@kernel(fastmath=False)
def _find_outside(
    places: np.ndarray,
    down: np.ndarray,
    right: np.ndarray,
    r: int,
    r_step: int,
    c: int,
    c_step: int,
    height: int,
    width: int,
    mode: int,
) -> None:
    """The same for any coordinates, by the fill mode; the number of the fill value's cell is height * width."""
    for j in range(places.size):
        row, column = r + j * r_step, c + j * c_step
        if mode == CONSTANT and not (0 <= row <= (height - 1) << _POINT and 0 <= column <= (width - 1) << _POINT):
            places[j], down[j], right[j] = np.uint32(height * width), 0, 0
            continue
        row, column = _fold(row, height, mode), _fold(column, width, mode)
        places[j] = np.uint32((row >> _POINT) * width + (column >> _POINT))
        down[j] = np.float32((row >> 8) & 0xFFFFFF) * _TO_FRACTION
        right[j] = np.float32((column >> 8) & 0xFFFFFF) * _TO_FRACTION


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


@kernel(fastmath=False, noalias=True)
def sample(
    values: np.ndarray, cells: np.ndarray, places: np.ndarray, down: np.ndarray, right: np.ndarray, channels: int
) -> None:
    """Interpolate a row, float32, w * C, in [0, 255], from the cells at `places`."""
    if channels == 3:
        for j in range(places.size):
            e = np.int64(places[j] & _INDEX) * 3
            values[3 * j] = _bilinear(cells[e], down[j], right[j])
            values[3 * j + 1] = _bilinear(cells[e + 1], down[j], right[j])
            values[3 * j + 2] = _bilinear(cells[e + 2], down[j], right[j])
    elif channels == 1:
        for j in range(places.size):
            values[j] = _bilinear(cells[np.int64(places[j] & _INDEX)], down[j], right[j])
    else:
        for j in range(places.size):
            e = np.int64(places[j] & _INDEX) * 4
            values[4 * j] = _bilinear(cells[e], down[j], right[j])
            values[4 * j + 1] = _bilinear(cells[e + 1], down[j], right[j])
            values[4 * j + 2] = _bilinear(cells[e + 2], down[j], right[j])
            values[4 * j + 3] = _bilinear(cells[e + 3], down[j], right[j])


@kernel(fastmath=False)
def _bilinear(cell: np.uint32, down: np.float32, right: np.float32) -> np.float32:
    a = np.float32(np.int32(cell & _BYTE))
    b = np.float32(np.int32(cell >> np.uint32(8) & _BYTE))
    c = np.float32(np.int32(cell >> np.uint32(16) & _BYTE))
    d = np.float32(np.int32(cell >> np.uint32(24)))
    upper = a + (b - a) * right
    lower = c + (d - c) * right
    return upper + (lower - upper) * down
