"""A JPEG's bytes to its planes of samples, each in its own resolution, in one pass over the MCUs.

Only the MCUs that a region of the image needs become samples; the others are read (and checked) and forgotten.
"""

from typing import NamedTuple

import numpy as np

from gen_dist.kernels import huffman, idct
from gen_dist.kernels import jpeg_geometry as geometry
from gen_dist.kernels import jpeg_header as header
from gen_dist.kernels import jpeg_status as status
from gen_dist.kernels.jit import kernel
from gen_dist.kernels.jpeg_status import Integer

# Where coefficients of all planes lie: four rows of blocks at most, and a place for what nobody wants.
_UNWANTED = 4 * idct.BLOCK_ROWS

# Pillow wants an end marker only if libjpeg, which reads so many bytes ahead, would run out of data without it.
_READ_AHEAD = 8

# What libjpeg's zigzag order makes of coefficient k: its row times 8, plus its column.
_ZIGZAG = np.array(
    [
        *(0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48),
        *(41, 34, 27, 20, 13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15),
        *(23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63),
    ],
    np.uint64,
)
_PLACES = (_ZIGZAG * np.uint64(idct.LANES)) << np.uint64(32)


class Scratch(NamedTuple):
    """What a thread keeps from image to image: work space of fixed size, and the Huffman tables last built."""

    record: np.ndarray
    quantisations: np.ndarray
    specifications: np.ndarray
    built: np.ndarray
    tables: np.ndarray
    coefficients: np.ndarray
    work: np.ndarray
    plan: np.ndarray
    scales: np.ndarray
    state: np.ndarray
    predictions: np.ndarray
    layout: np.ndarray


def make_scratch() -> Scratch:
    """Work space for one thread (200 KB)."""
    return Scratch(
        record=np.zeros(header.RECORD, np.int64),
        quantisations=np.zeros((header.QUANTISATIONS, 64), np.int32),
        specifications=np.zeros((header.TABLES, header.SPECIFICATION), np.uint8),
        built=np.zeros((header.TABLES, header.SPECIFICATION), np.uint8),
        tables=_on_cache_lines(header.TABLES * huffman.TABLE, np.uint32),
        coefficients=_on_cache_lines(5 * idct.BLOCK_ROWS, np.int16),
        work=_on_cache_lines(idct.BLOCK_ROWS, np.int32),
        plan=np.zeros((6, 6), np.int64),
        scales=np.zeros(3 * 64, np.uint64),
        state=np.zeros(huffman.STATE, np.uint64),
        predictions=np.zeros(3, np.int64),
        layout=np.zeros((3, geometry.LAYOUT), np.int64),
    )


def _on_cache_lines(count: Integer, dtype: type[np.generic]) -> np.ndarray:
    """Zeros that begin with a cache line: a vector across two of them takes twice as long."""
    size = count * np.dtype(dtype).itemsize
    room = np.zeros(size + 63, np.uint8)
    start = -room.ctypes.data % 64
    return room[start : start + size].view(dtype)


@kernel(fastmath=False)
def decode_planes(
    samples: np.ndarray,
    clean: np.ndarray,
    data: np.ndarray,
    s: Scratch,
    left: Integer,
    right: Integer,
    top: Integer,
    bottom: Integer,
) -> Integer:
    """Decode the scan; a status. The samples are worth something only if it is OK.

    Args:
        samples: uint8, as many as `geometry.keep_mcus` said for these columns and rows of MCUs.
        clean: uint8, as many as the rest of the file from the scan on, and huffman.PADDING.
        data: uint8, the file.
        s: with record, tables and layout filled.
    """
    record, coefficients = s.record, s.coefficients
    fault = _prepare(s, right - left)
    if fault != status.OK:
        return fault
    across, down = geometry.mcu_counts(record)
    wide = record[header.ACROSS]
    group = idct.LANES // wide
    blocks = wide * record[header.DOWN] + (2 if record[header.COMPONENTS] == 3 else 0)
    kept = idct.BLOCK_ROWS * (record[header.DOWN] + (2 if record[header.COMPONENTS] == 3 else 0))
    plan, unwanted = s.plan[:blocks], s.plan[:blocks].copy()
    unwanted[:, 4] = _UNWANTED
    unwanted[:, 5] = 0
    samples_2, samples_4 = samples[: samples.size & ~1].view(np.uint16), samples[: samples.size & ~3].view(np.uint32)
    interval = record[header.RESTART]
    at, restart, left_over = record[header.DATA], 0, 0
    length: Integer = 0
    started = False
    for row in range(down):
        inside = top <= row < bottom
        column = 0
        while column < across:
            wanted = inside and left <= column < right
            if wanted:
                count = min(group, right - column)
                coefficients[:kept] = 0
            elif inside and column < left:
                count = left - column
            else:
                count = across - column
            done = 0
            while done < count:
                if left_over == 0:
                    if started:
                        marker, at = header.next_marker(data, at)
                        if marker != 0xD0 + restart:
                            return status.CUT_DATA if marker < 0 else status.BAD_RESTART
                        restart = (restart + 1) & 7
                    started = True
                    length, at = huffman.unstuff(clean, data, at)
                    s.state[:] = 0
                    s.state[huffman.LENGTH] = length
                    s.predictions[:] = 0
                    left_over = interval if interval > 0 else across * down
                part = min(left_over, count - done)
                fault = huffman.decode_mcus(
                    coefficients,
                    s.state,
                    s.predictions,
                    clean,
                    s.tables,
                    plan if wanted else unwanted,
                    s.scales,
                    done,
                    part,
                )
                if fault != status.OK:
                    return fault
                done += part
                left_over -= part
            if wanted:
                _transform(samples, samples_2, samples_4, s, column - left, row - top, count)
            column += count
    unread = length - np.int64(s.state[huffman.NEXT]) + np.int64(s.state[huffman.COUNT] >> np.uint64(3))
    if at >= data.size and unread < _READ_AHEAD:
        return status.NO_END
    return header.parse_rest(record, s.quantisations, s.specifications, data, at)


@kernel(fastmath=False)
def _prepare(s: Scratch, kept: Integer) -> Integer:
    """Build the tables that are not there yet, and the plan of an MCU, of which `kept` in a row become samples."""
    record = s.record
    block = 0
    base = 0
    for c in range(record[header.COMPONENTS]):
        place = header.COMPONENT + c * header.FIELDS
        for field in range(header.DC_TABLE, header.AC_TABLE + 1):
            t = record[place + field]
            wanted, built = s.specifications[t], s.built[t]
            different = np.uint8(0)
            for i in range(header.SPECIFICATION):
                different |= wanted[i] ^ built[i]
            if different:
                built[header.GIVEN] = 0
                table = s.tables[t * huffman.TABLE : (t + 1) * huffman.TABLE]
                fault = huffman.build_table(table, wanted, field == header.DC_TABLE)
                if fault != status.OK:
                    return fault
                built[:] = wanted
        quantisation = s.quantisations[record[place + header.QUANTISATION]]
        for k in range(64):
            s.scales[64 * c + k] = _PLACES[k] | np.uint64(quantisation[k])
        across = record[place + header.ACROSS_FACTOR]
        beside = s.layout[c, geometry.BESIDE]
        base -= beside * idct.BLOCK_ROWS
        for _ in range(record[place + header.DOWN_FACTOR]):
            for x in range(across):
                s.plan[block, 0] = c
                s.plan[block, 1] = record[place + header.DC_TABLE] * huffman.TABLE
                s.plan[block, 2] = record[place + header.AC_TABLE] * huffman.TABLE
                s.plan[block, 3] = 64 * c
                s.plan[block, 4] = base + x + beside * kept
                s.plan[block, 5] = across
                block += 1
            base += idct.BLOCK_ROWS
    return status.OK


@kernel(fastmath=False)
def _transform(
    samples: np.ndarray,
    samples_2: np.ndarray,
    samples_4: np.ndarray,
    s: Scratch,
    column: Integer,
    row: Integer,
    count: Integer,
) -> None:
    """Turn the coefficients of `count` MCUs from (row, column) of those kept into samples."""
    record, layout = s.record, s.layout
    base = 0
    for c in range(record[header.COMPONENTS]):
        place = header.COMPONENT + c * header.FIELDS
        side, stride = layout[c, geometry.BLOCK], layout[c, geometry.STRIDE]
        across, down = record[place + header.ACROSS_FACTOR], record[place + header.DOWN_FACTOR]
        if layout[c, geometry.BESIDE]:
            continue
        blocks = geometry.whole_vectors(2 * count if c == 1 and layout[2, geometry.BESIDE] else count * across)
        for y in range(down):
            start = layout[c, geometry.START] + (row * down + y) * side * stride + column * across * side
            part = s.coefficients[base : base + idct.BLOCK_ROWS]
            if side == 8:
                idct.idct_8(samples_4, start >> 2, stride >> 2, part, s.work, blocks)
            elif side == 4:
                idct.idct_4(samples_4, start >> 2, stride >> 2, part, s.work, blocks)
            elif side == 2:
                idct.idct_2(samples_2, start >> 1, stride >> 1, part, s.work, blocks)
            else:
                idct.idct_1(samples, start, part, blocks)
            base += idct.BLOCK_ROWS
