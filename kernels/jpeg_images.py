"""A JPEG's bytes to pixels, whole or resized: the compiled code behind `jpeg`."""

import math

import numpy as np

from gen_dist.kernels import huffman, taps, ycc
from gen_dist.kernels import jpeg_geometry as geometry
from gen_dist.kernels import jpeg_header as header
from gen_dist.kernels import jpeg_planes as planes
from gen_dist.kernels import jpeg_status as status
from gen_dist.kernels.jit import kernel
from gen_dist.kernels.jpeg_planes import Scratch
from gen_dist.kernels.jpeg_status import Integer
from gen_dist.kernels.resampling import resample_planes, resample_scratch

# What a table of taps was filled for: sizes, box, filter; and the sample that its first ones are counted from.
_IN, _OUT, _FROM, _TO, _FILTER, _ORIGIN, _KEY = range(7)


@kernel(fastmath=False)
def decode_whole(out: np.ndarray, data: np.ndarray, s: Scratch) -> Integer:
    """Decode to full size; a status. `s` holds the header of `data`. `out`: uint8, height × width × components."""
    record, layout = s.record, s.layout
    geometry.lay_planes(layout, record, 8)
    across, down = geometry.mcu_counts(record)
    samples = np.empty(geometry.keep_mcus(layout, record, 0, across, 0, down), np.uint8)
    clean = np.empty(data.size - record[header.DATA] + huffman.PADDING, np.uint8)
    fault = planes.decode_planes(samples, clean, data, s, 0, across, 0, down)
    if fault != status.OK:
        return fault
    height, width, components = out.shape
    if components == 1:
        for y in range(height):
            out[y, :, 0] = samples[y * layout[0, geometry.STRIDE] :][:width]
        return status.OK
    rows = np.empty((3, width), np.uint8)
    for y in range(height):
        for c in range(3):
            _full_row(rows[c], samples, layout[c], y, record[header.ACROSS], record[header.DOWN], c)
        line = out[y].reshape(3 * width)
        if record[header.COLOUR] == header.YCBCR:
            ycc.mix_rgb(line, rows[0], rows[1], rows[2])
        else:
            ycc.interleave(line, rows[0], rows[1], rows[2])
    return status.OK


@kernel(fastmath=False)
def read_chunk(
    found: np.ndarray,
    statuses: np.ndarray,
    blob: np.ndarray,
    spans: np.ndarray,
    limits: tuple[int, int, int],
    s: Scratch,
) -> None:
    """Read n headers; `found`: int64, n × header.RECORD; the others as of `decode_chunk`."""
    for i in range(statuses.size):
        data = blob[spans[i, 0] : spans[i, 1]]
        statuses[i] = header.parse(found[i], s.quantisations, s.specifications, data, limits)


@kernel(fastmath=False)
def _full_row(
    row: np.ndarray,
    samples: np.ndarray,
    layout: np.ndarray,
    y: Integer,
    across: Integer,
    down: Integer,
    component: Integer,
) -> None:
    """Row y of a component at full size."""
    width, height, stride = layout[geometry.PLANE_WIDTH], layout[geometry.PLANE_HEIGHT], layout[geometry.STRIDE]
    doubled, weighted = component > 0 and across == 2, component > 0 and down == 2
    near = y >> 1 if weighted else y
    far = min(max(near - 1 + 2 * (y & 1), 0), height - 1) if weighted else near
    first, second = layout[geometry.START] + near * stride, layout[geometry.START] + far * stride
    near_row, far_row = samples[first : first + width], samples[second : second + width]
    ycc.widen_row(row, near_row, far_row, doubled, weighted, 1 + (y & 1))


@kernel(fastmath=False)
def decode_chunk(
    bytes_out: np.ndarray,
    floats_out: np.ndarray,
    statuses: np.ndarray,
    blob: np.ndarray,
    spans: np.ndarray,
    boxes: np.ndarray,
    reductions: np.ndarray,
    code: int,
    low: np.float32,
    high: np.float32,
    limits: tuple[int, int, int],
    s: Scratch,
) -> None:
    """Decode and resize n images; arguments as of `jpeg.decode_batch`.

    Args:
        bytes_out, floats_out: one of them is the output, the other has n = 0.
        spans: int64, n × 2: where in the blob each file begins and ends.
        reductions: int64, n: 1, 2, 4, 8, or 0 for the largest that suits.
        code: of the filter, as in `taps`.
        limits: bytes, side, pixels.
    """
    count = spans.shape[0]
    to_floats = bytes_out.shape[0] == 0
    _, height, width, channels = floats_out.shape if to_floats else bytes_out.shape
    longest = 0
    for i in range(count):
        length = spans[i, 1] - spans[i, 0]
        if length <= limits[0]:
            longest = max(longest, length)
    clean = np.empty(longest + huffman.PADDING, np.uint8)
    samples, room = np.empty(0, np.uint8), np.empty(0, np.uint8)
    tables, keys = np.empty((4, 0), np.int32), np.zeros((4, _KEY))
    small = np.empty(height * 3 * width, np.uint8)
    pixels = np.empty(height * width * channels, np.uint8)
    for i in range(count):
        data = blob[spans[i, 0] : spans[i, 1]]
        fault = header.parse(s.record, s.quantisations, s.specifications, data, limits)
        if fault == status.OK:
            box = boxes[i] if boxes.shape[0] else np.array([0.0, 0.0, s.record[header.WIDTH], s.record[header.HEIGHT]])
            fault = _check_box(box, s.record)
            if fault == status.OK:
                geometry.lay_planes(s.layout, s.record, _block(box, width, height, reductions[i]))
                tables = _fill_tables(tables, keys, s, box, width, height, code)
                left, right, top, bottom = _needed(tables, keys, s)
                wanted = geometry.keep_mcus(s.layout, s.record, left, right, top, bottom)
                if samples.size < wanted:
                    samples = np.empty(wanted, np.uint8)
                fault = planes.decode_planes(samples, clean, data, s, left, right, top, bottom)
        if fault == status.OK:
            used = s.record[header.COMPONENTS]
            if channels == 1 and s.record[header.COLOUR] != header.RGB:
                used = 1
            alike = used if used == 1 or _are_alike(keys, s) else 1
            room = _resize_planes(small, samples, room, tables, keys, s, 0, alike, width)
            if alike < used:
                room = _resize_planes(small, samples, room, tables, keys, s, alike, used, width)
            target = pixels if to_floats else bytes_out[i].reshape(height * width * channels)
            _mix(target, small, width, s.record[header.COLOUR], channels)
            if to_floats:
                ycc.normalise(floats_out[i].reshape(height * width * channels), pixels, low, high)
        elif to_floats:
            floats_out[i] = 0
        else:
            bytes_out[i] = 0
        statuses[i] = fault


@kernel(fastmath=False)
def _check_box(box: np.ndarray, record: np.ndarray) -> Integer:
    """OK if it is left < right, top < bottom, within the image; which NaN is not."""
    inside = 0.0 <= box[0] < box[2] <= record[header.WIDTH] and 0.0 <= box[1] < box[3] <= record[header.HEIGHT]
    # Boxes are rounded to float32 later on, and must not become empty then.
    return status.OK if inside and box[2] - box[0] >= 0.01 and box[3] - box[1] >= 0.01 else status.BAD_BOX


@kernel(fastmath=False)
def _block(box: np.ndarray, width: Integer, height: Integer, reduction: Integer) -> Integer:
    """To how many pixels a side a block is reduced."""
    if reduction > 0:
        return 8 // reduction
    block = 1
    while block < 8 and (
        math.ceil((box[2] - box[0]) * block / 8.0) < width or math.ceil((box[3] - box[1]) * block / 8.0) < height
    ):
        block *= 2
    return block


@kernel(fastmath=False)
def _fill_tables(
    tables: np.ndarray, keys: np.ndarray, s: Scratch, box: np.ndarray, width: Integer, height: Integer, code: int
) -> np.ndarray:
    """Tables of taps for the first plane (columns, rows) and the others, unless they are there; `tables`, or larger."""
    record, layout = s.record, s.layout
    kinds = 1 if record[header.COMPONENTS] == 1 else 2
    wants = np.empty((4, _ORIGIN))
    longest = 0
    for t in range(2 * kinds):
        c, vertical = t >> 1, t & 1
        place = header.COMPONENT + c * header.FIELDS
        factor = record[place + header.DOWN_FACTOR] if vertical else record[place + header.ACROSS_FACTOR]
        most = record[header.DOWN] if vertical else record[header.ACROSS]
        scale = layout[c, geometry.BLOCK] * factor / (8.0 * most)
        wants[t, _IN] = layout[c, geometry.PLANE_HEIGHT] if vertical else layout[c, geometry.PLANE_WIDTH]
        wants[t, _OUT] = height if vertical else width
        wants[t, _FROM], wants[t, _TO] = box[vertical] * scale, box[2 + vertical] * scale
        wants[t, _FILTER] = code
        longest = max(
            longest, taps.taps_length(int(wants[t, _IN]), int(wants[t, _OUT]), wants[t, _FROM], wants[t, _TO], code)
        )
    if tables.shape[1] < longest:
        tables = np.empty((4, longest + (longest & 1)), np.int32)  # each begins with a whole float64
        keys[:] = 0.0
    for t in range(2 * kinds):
        want, key = wants[t], keys[t]
        same = True
        for f in range(_ORIGIN):
            same = same and want[f] == key[f]
        if not same:
            taps.fill_taps(tables[t], int(want[_IN]), int(want[_OUT]), want[_FROM], want[_TO], code)
            key[:_ORIGIN] = want
            key[_ORIGIN] = 0.0
    return tables


@kernel(fastmath=False)
def _needed(tables: np.ndarray, keys: np.ndarray, s: Scratch) -> tuple[Integer, Integer, Integer, Integer]:
    """The columns and rows of MCUs, half open, from which the taps read."""
    across, down = geometry.mcu_counts(s.record)
    left, right, top, bottom = across, 0, down, 0
    for c in range(1 if s.record[header.COMPONENTS] == 1 else 2):
        place = header.COMPONENT + c * header.FIELDS
        wide = s.record[place + header.ACROSS_FACTOR] * s.layout[c, geometry.BLOCK]
        high = s.record[place + header.DOWN_FACTOR] * s.layout[c, geometry.BLOCK]
        columns, rows = tables[2 * c], tables[2 * c + 1]
        x, y = int(keys[2 * c, _ORIGIN]), int(keys[2 * c + 1, _ORIGIN])
        left, right = min(left, (columns[taps.LOW] + x) // wide), max(right, (columns[taps.HIGH] + x - 1) // wide + 1)
        top, bottom = min(top, (rows[taps.LOW] + y) // high), max(bottom, (rows[taps.HIGH] + y - 1) // high + 1)
    return left, right, top, bottom


@kernel(fastmath=False)
def _are_alike(keys: np.ndarray, s: Scratch) -> bool:
    """Whether the first plane is as large as the others and resized as they are."""
    same = True
    for axis in range(2):
        for f in range(_ORIGIN):
            same = same and keys[axis, f] == keys[2 + axis, f]
    return same and bool(
        s.layout[0, geometry.LEFT] == s.layout[1, geometry.LEFT]
        and s.layout[0, geometry.TOP] == s.layout[1, geometry.TOP]
    )


@kernel(fastmath=False)
def _resize_planes(
    out: np.ndarray,
    samples: np.ndarray,
    room: np.ndarray,
    tables: np.ndarray,
    keys: np.ndarray,
    s: Scratch,
    first: Integer,
    end: Integer,
    width: int,
) -> np.ndarray:
    """Resize the kept samples of components first to end - 1, which are alike, to `out` (uint8, flat: rows of three
    components one behind the other); `room`, or larger."""
    layout, kind = s.layout[first], 2 * min(first, 1)
    columns, rows = tables[kind], tables[kind + 1]
    _count_from(columns, keys[kind], layout[geometry.LEFT])
    _count_from(rows, keys[kind + 1], layout[geometry.TOP])
    across, down = columns[taps.HIGH] - columns[taps.LOW], rows[taps.HIGH] - rows[taps.LOW]
    wanted = resample_scratch(end - first, across, down, width)
    if room.size < wanted:
        room = np.empty(wanted, np.uint8)
    starts, strides = s.layout[first:end, geometry.START], s.layout[first:end, geometry.STRIDE]
    resample_planes(out, first * width, 3 * width, samples, starts, strides, columns, rows, room)
    return room


@kernel(fastmath=False)
def _count_from(table: np.ndarray, key: np.ndarray, origin: Integer) -> None:
    """Count the samples of a table of taps from `origin`."""
    change = origin - int(key[_ORIGIN])
    if change != 0:
        table[taps.LOW] -= change
        table[taps.HIGH] -= change
        for i in range(table[taps.SIZE]):
            table[taps.HEADER + i] -= change
        key[_ORIGIN] = origin


@kernel(fastmath=False)
def _mix(pixels: np.ndarray, small: np.ndarray, width: int, colour: Integer, channels: Integer) -> None:
    """Pixels of 3 or 1 channels (uint8, flat) from the resized components."""
    for y in range(small.size // (3 * width)):
        line, at = pixels[y * width * channels : (y + 1) * width * channels], 3 * y * width
        first, second, third = (
            small[at : at + width],
            small[at + width : at + 2 * width],
            small[at + 2 * width : at + 3 * width],
        )
        if channels == 1 and colour == header.RGB:
            ycc.mix_grey(line, first, second, third)
        elif channels == 1:
            line[:] = first
        elif colour == header.YCBCR:
            ycc.mix_rgb(line, first, second, third)
        elif colour == header.RGB:
            ycc.interleave(line, first, second, third)
        else:
            ycc.interleave(line, first, first, first)
