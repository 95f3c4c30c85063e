"""The two passes of a separable resize, and the order in which they are taken."""

import numpy as np

from gen_dist.kernels.blending import blend_rows
from gen_dist.kernels.jit import kernel
from gen_dist.kernels.taps import BITS, FEW_BITS, HEADER, HIGH, LOW, MOST_BITS, SIGNED, SIZE, TAPS
from gen_dist.kernels.transposing import transpose

_BAND = 64  # rows that are transposed at a time
_GAP = 32  # elements between rows in scratch, so that a column of them does not fall into few sets of the cache
_MOST_FRACTION = 7


@kernel(fastmath=False)
def resample_scratch(channels: int, width: int, height: int, out_width: int) -> int:
    """Bytes of scratch that `resample` needs for a source of width × height pixels, whatever the tables say."""
    row, out_row, line = width * channels + _GAP, out_width * channels + _GAP, _BAND * channels
    rows_first = 2 * _BAND * row + 2 * width * line + out_width * line
    columns_first = 2 * height * out_row + 2 * out_width * line + width * line
    return 4 * max(row, out_row, line) + max(rows_first, columns_first)


@kernel(fastmath=False)
def resample(
    out: np.ndarray,
    out_start: int,
    out_stride: int,
    source: np.ndarray,
    start: int,
    stride: int,
    channels: int,
    columns: np.ndarray,
    rows: np.ndarray,
    scratch: np.ndarray,
) -> None:
    """Resize one image of uint8. Nothing is checked; nothing but the rows' pixels is read or written.

    Filters with negative weights run along the columns' axis first and round to uint8 in between, as Pillow does:
    what is clipped there must be. The others run along the rows' axis first, which needs the shorter transposition,
    and keep up to seven more bits in between.

    Args:
        out, source: flat; row y begins at start + y * stride. They may not overlap.
        channels: 1 to 4.
        columns, rows: tables of taps along x and y.
        scratch: uint8, at least `resample_scratch`, of the whole source or of the part that the tables reach.
    """
    if columns[TAPS] == 1 and rows[TAPS] == 1:
        _pick(out, out_start, out_stride, source, start, stride, channels, columns, rows)
    elif columns[SIGNED] or rows[SIGNED] or max(columns[BITS], rows[BITS]) > FEW_BITS:
        _columns_first(out, out_start, out_stride, source, start, stride, channels, columns, rows, scratch)
    else:
        _rows_first(out, out_start, out_stride, source, start, stride, channels, columns, rows, scratch)


@kernel(fastmath=False)
def resample_planes(
    out: np.ndarray,
    out_start: int,
    out_stride: int,
    source: np.ndarray,
    starts: np.ndarray,
    strides: np.ndarray,
    columns: np.ndarray,
    rows: np.ndarray,
    scratch: np.ndarray,
) -> None:
    """Resize several planes of one size alike, as `resample` does each; longer rows cost less an element.

    Args:
        out: rows of the planes lie one behind the other in a row of it.
        starts, strides: of each plane.
        scratch: as `resample` needs for as many channels.
    """
    count, width = starts.size, columns[SIZE]
    if count == 1 or not columns[SIGNED]:
        for p in range(count):
            into = out_start + p * width
            resample(out, into, out_stride, source, starts[p], strides[p], 1, columns, rows, scratch)
    else:
        _columns_first_planes(out, out_start, out_stride, source, starts, strides, columns, rows, scratch)


@kernel(fastmath=False)
def _pick(
    out: np.ndarray,
    out_start: int,
    out_stride: int,
    source: np.ndarray,
    start: int,
    stride: int,
    channels: int,
    columns: np.ndarray,
    rows: np.ndarray,
) -> None:
    width, first, last = columns[SIZE], columns[HEADER], columns[HEADER + columns[SIZE] - 1]
    for y in range(rows[SIZE]):
        into, at = out_start + y * out_stride, start + rows[HEADER + y] * stride
        if last - first == width - 1:  # a crop
            at += first * channels
            out[into : into + width * channels] = source[at : at + width * channels]
        else:
            line = out[into : into + width * channels]
            row = source[at : at + (last + 1) * channels]
            for x in range(width):
                for c in range(channels):
                    line[x * channels + c] = row[columns[HEADER + x] * channels + c]


@kernel(fastmath=False)
def _rows_first(
    out: np.ndarray,
    out_start: int,
    out_stride: int,
    source: np.ndarray,
    start: int,
    stride: int,
    channels: int,
    columns: np.ndarray,
    rows: np.ndarray,
    scratch: np.ndarray,
) -> None:
    low, width, out_width, out_height = columns[LOW], columns[HIGH] - columns[LOW], columns[SIZE], rows[SIZE]
    row, band = width * channels, min(_BAND, out_height)
    line, stored = band * channels, row + _GAP
    sums, used = scratch[: 4 * max(row, line)].view(np.int32), 4 * max(row, line)
    squeezed, used = scratch[used : used + 2 * band * stored].view(np.int16), used + 2 * band * stored
    turned, used = scratch[used : used + 2 * width * line].view(np.int16), used + 2 * width * line
    done = scratch[used : used + out_width * line]
    at = start + low * channels
    fraction = min(_MOST_FRACTION, MOST_BITS - columns[BITS])
    shift = rows[BITS] - fraction
    for begin in range(0, out_height, band):
        end = min(begin + band, out_height)
        n = (end - begin) * channels
        blend_rows(squeezed, 0, stored, source, at, stride, rows, begin, end, shift, 32767, row, sums)
        transpose(turned, 0, n, squeezed, 0, stored, end - begin, width, channels)
        blend_rows(done, 0, n, turned, -low * n, n, columns, 0, out_width, columns[BITS] + fraction, 255, n, sums)
        transpose(out, out_start + begin * out_stride, out_stride, done, 0, n, out_width, end - begin, channels)


@kernel(fastmath=False)
def _columns_first(
    out: np.ndarray,
    out_start: int,
    out_stride: int,
    source: np.ndarray,
    start: int,
    stride: int,
    channels: int,
    columns: np.ndarray,
    rows: np.ndarray,
    scratch: np.ndarray,
) -> None:
    low, width, out_width = columns[LOW], columns[HIGH] - columns[LOW], columns[SIZE]
    top, height, out_height = rows[LOW], rows[HIGH] - rows[LOW], rows[SIZE]
    row, band = out_width * channels, min(_BAND, height)
    line, stored = band * channels, row + _GAP
    sums, used = scratch[: 4 * max(row, line)].view(np.int32), 4 * max(row, line)
    squeezed, used = scratch[used : used + 2 * height * stored].view(np.int16), used + 2 * height * stored
    done, used = scratch[used : used + 2 * out_width * line].view(np.int16), used + 2 * out_width * line
    turned = scratch[used : used + width * line]
    at = start + top * stride + low * channels
    for begin in range(0, height, band):
        end = min(begin + band, height)
        n = (end - begin) * channels
        transpose(turned, 0, n, source, at + begin * stride, stride, end - begin, width, channels)
        blend_rows(done, 0, n, turned, -low * n, n, columns, 0, out_width, columns[BITS], 255, n, sums)
        transpose(squeezed, begin * stored, stored, done, 0, n, out_width, end - begin, channels)
    blend_rows(
        out, out_start, out_stride, squeezed, -top * stored, stored, rows, 0, out_height, rows[BITS], 255, row, sums
    )


@kernel(fastmath=False)
def _columns_first_planes(
    out: np.ndarray,
    out_start: int,
    out_stride: int,
    source: np.ndarray,
    starts: np.ndarray,
    strides: np.ndarray,
    columns: np.ndarray,
    rows: np.ndarray,
    scratch: np.ndarray,
) -> None:
    count = starts.size
    low, width, out_width = columns[LOW], columns[HIGH] - columns[LOW], columns[SIZE]
    top, height, out_height = rows[LOW], rows[HIGH] - rows[LOW], rows[SIZE]
    row, band = out_width * count, min(_BAND, height)
    line, stored = band * count, row + _GAP
    sums, used = scratch[: 4 * max(row, line)].view(np.int32), 4 * max(row, line)
    squeezed, used = scratch[used : used + 2 * height * stored].view(np.int16), used + 2 * height * stored
    done, used = scratch[used : used + 2 * out_width * line].view(np.int16), used + 2 * out_width * line
    turned = scratch[used : used + width * line]
    for begin in range(0, height, band):
        high = min(begin + band, height) - begin
        n = high * count
        for p in range(count):
            at = starts[p] + (top + begin) * strides[p] + low
            transpose(turned, p * high, n, source, at, strides[p], high, width, 1)
        blend_rows(done, 0, n, turned, -low * n, n, columns, 0, out_width, columns[BITS], 255, n, sums)
        for p in range(count):
            transpose(squeezed, begin * stored + p * out_width, stored, done, p * high, n, out_width, high, 1)
    blend_rows(
        out, out_start, out_stride, squeezed, -top * stored, stored, rows, 0, out_height, rows[BITS], 255, row, sums
    )
