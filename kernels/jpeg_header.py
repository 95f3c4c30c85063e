"""A JPEG's markers (ITU-T T.81, annex B) up to its entropy-coded data, read in compiled code into plain arrays.

Where a file breaks the rules, libjpeg's reading of them decides, so that both take and refuse the same headers.
"""

from typing import TypeAlias

import numpy as np

from gen_dist.kernels import jpeg_status as status
from gen_dist.kernels.jit import kernel
from gen_dist.kernels.jpeg_status import Integer

Header: TypeAlias = np.ndarray

# Places in the header record (int64).
WIDTH, HEIGHT, COMPONENTS, ACROSS, DOWN, COLOUR, RESTART, DATA, RECORD = 0, 1, 2, 3, 4, 5, 6, 7, 32
# For component c the same at COMPONENT + c * FIELDS: identifier, sampling factors, tables.
COMPONENT, FIELDS = 8, 6
ID, ACROSS_FACTOR, DOWN_FACTOR, QUANTISATION, DC_TABLE, AC_TABLE = 0, 1, 2, 3, 4, 5
# Where the first EXIF block begins and ends (0 and 0 for none); whether there is another APP1 segment, such as XMP.
EXIF, EXIF_END, OTHER_APP1 = 26, 27, 28

GREY, YCBCR, RGB = 0, 1, 2

# A Huffman table as the file gives it: how many codes of 1 to 16 bits (at 0 to 15), the symbols, whether it came.
SYMBOLS, GIVEN, SPECIFICATION = 16, 272, 273
TABLES = 8  # Huffman tables: four for DC, then four for AC
QUANTISATIONS = 4

_SOF0, _SOF1, _SOF15, _DHT, _JPG, _DAC = 0xC0, 0xC1, 0xCF, 0xC4, 0xC8, 0xCC
_RST0, _RST7, _SOI, _EOI, _SOS, _DQT, _DNL, _DRI = 0xD0, 0xD7, 0xD8, 0xD9, 0xDA, 0xDB, 0xDC, 0xDD
_APP0, _APP1, _APP14, _APP15, _COM, _TEM = 0xE0, 0xE1, 0xEE, 0xEF, 0xFE, 0x01


@kernel(fastmath=False)
def parse(
    record: np.ndarray,
    quantisations: np.ndarray,
    specifications: np.ndarray,
    data: np.ndarray,
    limits: tuple[int, int, int],
) -> Integer:
    """Read the header of a JPEG up to its first scan; a status.

    Args:
        record: int64, RECORD; written.
        quantisations: int32, 4 x 64 in zigzag order; written.
        specifications: uint8, 8 x SPECIFICATION; written.
        data: uint8, the file.
        limits: bytes, side, pixels.
    """
    record[:] = 0
    specifications[:, GIVEN] = 0
    size = data.size
    if size > limits[0]:
        return status.TOO_MANY_BYTES
    if size < 3 or data[0] != 0xFF or data[1] != _SOI or data[2] != 0xFF:
        return status.NO_JPEG
    return _segments(record, quantisations, specifications, data, 2, limits, False)


@kernel(fastmath=False)
def parse_rest(
    record: np.ndarray, quantisations: np.ndarray, specifications: np.ndarray, data: np.ndarray, at: Integer
) -> Integer:
    """Read what stands between the only scan and the end marker; a status. Overwrites the tables.

    libjpeg refuses a file for what is wrong there, but not for its being cut off, and so do we.
    """
    return _segments(record, quantisations, specifications, data, at, (0, 0, 0), True)


@kernel(fastmath=False)
def _segments(
    record: np.ndarray,
    quantisations: np.ndarray,
    specifications: np.ndarray,
    data: np.ndarray,
    at: Integer,
    limits: tuple[int, int, int],
    decoded: bool,
) -> Integer:
    size = data.size
    have_quantisation: Integer = 0  # a bit for each table
    jfif = False
    adobe: Integer = -1
    cut = status.OK if decoded else status.CUT_HEADER
    while True:
        marker, at = next_marker(data, at)
        if marker < 0:
            return cut
        if _RST0 <= marker <= _RST7 or marker == _TEM:
            continue
        if marker == _EOI:
            return status.OK if decoded else status.NO_SCAN
        fault = _kind(marker)
        if fault != status.OK:
            return status.BAD_MARKER if decoded else fault
        if at + 2 > size:
            return cut
        length = _word(data, at)
        at += 2
        end = at + length - 2
        if end > size:
            return cut
        if length < 2:  # libjpeg takes it for 2 where it has no use for the content
            if marker < _APP0 and marker != _DNL:
                return status.BAD_LENGTH
            end = at
        if marker == _SOS:
            if decoded:
                return status.BAD_SCAN
            if record[WIDTH] == 0:
                return status.NO_FRAME
            record[DATA] = end
            fault = _scan(record, specifications, have_quantisation, data[at:end])
            record[COLOUR] = _colour(record, jfif, adobe)
            return fault
        if marker in (_SOF0, _SOF1):
            if record[WIDTH] != 0:
                return status.SECOND_FRAME
            fault = _frame(record, data[at:end], limits)
        elif marker == _DHT:
            fault = _huffman_tables(specifications, data[at:end])
        elif marker == _DQT:
            fault, given = _quantisation_tables(quantisations, data[at:end])
            have_quantisation |= given
        elif marker == _DRI:
            if length != 4:
                return status.BAD_LENGTH
            record[RESTART] = _word(data, at)
        elif marker == _APP0:
            jfif = jfif or bool(length >= 16 and _begins(data, at, 0x4A, 0x46, 0x49, 0x46, 0))
        elif marker == _APP1 and not decoded:
            if record[EXIF] == 0 and length >= 8 and _begins(data, at, 0x45, 0x78, 0x69, 0x66, 0) and data[at + 5] == 0:
                record[EXIF], record[EXIF_END] = at + 6, end
            else:
                record[OTHER_APP1] = 1
        elif marker == _APP14 and length >= 14 and _begins(data, at, 0x41, 0x64, 0x6F, 0x62, 0x65):
            adobe = np.int64(data[at + 11])
        if fault != status.OK:
            return fault
        at = end


@kernel(fastmath=False)
def next_marker(data: np.ndarray, at: Integer) -> tuple[Integer, Integer]:
    """The first marker at or after `at`, and the place behind it; -1 if there is none. Skips whatever comes before."""
    while True:
        while at < data.size and data[at] != 0xFF:
            at += 1
        while at < data.size and data[at] == 0xFF:
            at += 1
        if at >= data.size:
            return -1, at
        if data[at] != 0:
            return np.int64(data[at]), at + 1


@kernel(fastmath=False)
def _word(data: np.ndarray, at: Integer) -> Integer:
    return np.int64(data[at]) << 8 | np.int64(data[at + 1])


@kernel(fastmath=False)
def _begins(data: np.ndarray, at: Integer, a: Integer, b: Integer, c: Integer, d: Integer, e: Integer) -> bool:
    """Whether these five bytes are at `at`; the caller has made sure that there are five."""
    return data[at] == a and data[at + 1] == b and data[at + 2] == c and data[at + 3] == d and data[at + 4] == e


@kernel(fastmath=False)
def _kind(marker: Integer) -> Integer:
    """OK if a segment of this kind may stand in the header of a JPEG that we read."""
    if _SOF0 <= marker <= _SOF15 and marker != _DHT and marker != _DAC:
        if marker <= _SOF1 or marker == _JPG:
            return status.OK if marker <= _SOF1 else status.BAD_MARKER
        if marker == 0xC2:
            return status.PROGRESSIVE
        if marker == 0xC3:
            return status.LOSSLESS
        return status.ARITHMETIC if marker == 0xC9 or marker == 0xCA or marker == 0xCB else status.HIERARCHICAL
    if marker == _DAC:
        return status.ARITHMETIC
    if marker in (_DHT, _COM) or _SOS <= marker <= _DRI or _APP0 <= marker <= _APP15:
        return status.OK
    return status.BAD_MARKER


@kernel(fastmath=False)
def _frame(record: np.ndarray, segment: np.ndarray, limits: tuple[int, int, int]) -> Integer:
    """Read what follows a frame header's length."""
    if segment.size < 6:
        return status.BAD_LENGTH
    height, width, components = _word(segment, 1), _word(segment, 3), np.int64(segment[5])
    if segment.size != 6 + 3 * components:
        return status.BAD_LENGTH
    if height < 1 or width < 1 or components < 1:
        return status.EMPTY
    record[WIDTH], record[HEIGHT], record[COMPONENTS] = width, height, components
    if width > limits[1] or height > limits[1]:
        return status.TOO_LONG_A_SIDE
    if width * height > limits[2]:
        return status.TOO_MANY_PIXELS
    for c in range(components):
        factors = np.int64(segment[7 + 3 * c])
        if factors >> 4 < 1 or factors >> 4 > 4 or factors & 15 < 1 or factors & 15 > 4:
            return status.BAD_FRAME
    if segment[0] != 8:
        return status.PRECISION
    if components != 1 and components != 3:
        return status.COMPONENTS
    for c in range(components):
        place = COMPONENT + c * FIELDS
        factors = np.int64(segment[7 + 3 * c])
        record[place + ID] = segment[6 + 3 * c]
        # The blocks of an only component come row by row, whatever its factors.
        record[place + ACROSS_FACTOR] = factors >> 4 if components > 1 else 1
        record[place + DOWN_FACTOR] = factors & 15 if components > 1 else 1
        record[place + QUANTISATION] = segment[8 + 3 * c]
        if c > 0 and factors != 0x11:
            return status.SAMPLING
    record[ACROSS], record[DOWN] = record[COMPONENT + ACROSS_FACTOR], record[COMPONENT + DOWN_FACTOR]
    return status.SAMPLING if record[ACROSS] > 2 or record[DOWN] > 2 else status.OK


@kernel(fastmath=False)
def _huffman_tables(specifications: np.ndarray, segment: np.ndarray) -> Integer:
    """Copy the tables of a DHT segment. Whether codes fit their lengths is seen when a table is built."""
    at: Integer = 0
    while segment.size - at > 16:
        table = np.int64(segment[at])
        index = table & 15
        if table >> 4 > 1 or index > 3:
            return status.BAD_HUFFMAN
        specification = specifications[index + 4 * (table >> 4)]
        total: Integer = 0
        for i in range(16):
            specification[i] = segment[at + 1 + i]
            total += np.int64(segment[at + 1 + i])
        at += 17
        if total > 256 or total > segment.size - at:
            return status.BAD_HUFFMAN
        for i in range(256):
            specification[SYMBOLS + i] = segment[at + i] if i < total else 0
        specification[GIVEN] = 1
        at += total
    return status.OK if at == segment.size else status.BAD_LENGTH


@kernel(fastmath=False)
def _quantisation_tables(quantisations: np.ndarray, segment: np.ndarray) -> tuple[Integer, Integer]:
    """Copy the tables of a DQT segment. A status, and a bit for each table that came."""
    at: Integer = 0
    given: Integer = 0
    while at < segment.size:
        index, width = np.int64(segment[at]) & 15, 2 if segment[at] >> 4 else 1
        at += 1
        if index > 3:
            return status.BAD_QUANTISATION, given
        if segment.size - at < 64 * width:
            return status.BAD_LENGTH, given
        for k in range(64):
            quantisations[index, k] = _word(segment, at + 2 * k) if width == 2 else segment[at + k]
        given |= 1 << index
        at += 64 * width
    return status.OK, given


@kernel(fastmath=False)
def _scan(record: np.ndarray, specifications: np.ndarray, have_quantisation: Integer, segment: np.ndarray) -> Integer:
    """Read what follows a scan header's length, and see that all tables are there."""
    components = record[COMPONENTS]
    if segment.size < 1 or segment.size != 4 + 2 * np.int64(segment[0]):
        return status.BAD_LENGTH
    if segment[0] < 1 or segment[0] > components:
        return status.BAD_SCAN
    if segment[0] < components:
        return status.SEVERAL_SCANS
    for c in range(components):
        place = COMPONENT + c * FIELDS
        if segment[1 + 2 * c] != record[place + ID]:
            for other in range(components):
                if segment[1 + 2 * c] == record[COMPONENT + other * FIELDS + ID]:
                    return status.SCAN_ORDER
            return status.BAD_SCAN
        tables = np.int64(segment[2 + 2 * c])
        if tables >> 4 > 3 or tables & 15 > 3:
            return status.BAD_SCAN
        record[place + DC_TABLE], record[place + AC_TABLE] = tables >> 4, 4 + (tables & 15)
        if record[place + QUANTISATION] > 3 or not have_quantisation >> record[place + QUANTISATION] & 1:
            return status.NO_QUANTISATION
        if not specifications[tables >> 4, GIVEN] or not specifications[4 + (tables & 15), GIVEN]:
            return status.NO_HUFFMAN
    return status.OK


@kernel(fastmath=False)
def _colour(record: np.ndarray, jfif: bool, adobe: Integer) -> Integer:
    """What three components mean: libjpeg's rules. `adobe` is the transform of an Adobe marker, or -1."""
    if record[COMPONENTS] != 3:
        return GREY
    if jfif:
        return YCBCR
    if adobe >= 0:
        return RGB if adobe == 0 else YCBCR
    names = record[COMPONENT + ID :: FIELDS]
    return RGB if names[0] == 0x52 and names[1] == 0x47 and names[2] == 0x42 else YCBCR
