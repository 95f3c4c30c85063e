"""Why a JPEG was not decoded: the codes of the compiled code, and the exceptions that they become."""

from typing import Any, TypeAlias

import numpy as np

from gen_dist.kernels.limits import DecodeError, UnsupportedError

Integer: TypeAlias = int | np.integer[Any]

OK = 0
NO_JPEG = 1
CUT_HEADER = 2
BAD_LENGTH = 3
BAD_MARKER = 4
BAD_FRAME = 5
SECOND_FRAME = 6
NO_FRAME = 7
NO_SCAN = 8
BAD_SCAN = 9
BAD_QUANTISATION = 10
NO_QUANTISATION = 11
BAD_HUFFMAN = 12
EMPTY = 13
TOO_MANY_BYTES = 14
TOO_LONG_A_SIDE = 15
TOO_MANY_PIXELS = 16
BAD_CODE = 17
BAD_INDEX = 18
CUT_DATA = 19
BAD_RESTART = 20
NO_END = 21
BAD_BOX = 22

UNSUPPORTED = 64  # from here on: perhaps a good JPEG
PROGRESSIVE = 64
ARITHMETIC = 65
LOSSLESS = 66
HIERARCHICAL = 67
PRECISION = 68
COMPONENTS = 69
SAMPLING = 70
SEVERAL_SCANS = 71
SCAN_ORDER = 72
NO_HUFFMAN = 73

_REASONS = {
    NO_JPEG: "no JPEG: it does not begin with a start marker",
    CUT_HEADER: "the JPEG ends within its header",
    BAD_LENGTH: "a JPEG segment of a wrong length",
    BAD_MARKER: "a marker in the JPEG that has no place there",
    BAD_FRAME: "a JPEG frame header that contradicts itself",
    SECOND_FRAME: "a second JPEG frame header",
    NO_FRAME: "a JPEG scan without a frame header",
    NO_SCAN: "a JPEG without an image",
    BAD_SCAN: "a JPEG scan header that does not fit the frame",
    BAD_QUANTISATION: "a damaged JPEG quantisation table",
    NO_QUANTISATION: "a JPEG without the quantisation table it uses",
    BAD_HUFFMAN: "a damaged JPEG Huffman table",
    EMPTY: "a JPEG of no pixels",
    TOO_MANY_BYTES: "more bytes than the limit",
    TOO_LONG_A_SIDE: "a side of more pixels than the limit",
    TOO_MANY_PIXELS: "more pixels than the limit",
    BAD_CODE: "damaged JPEG data: a code that is in no table",
    BAD_INDEX: "damaged JPEG data: more than 64 coefficients in a block",
    CUT_DATA: "the JPEG data ends too early",
    BAD_RESTART: "damaged JPEG data: a restart marker is missing or out of order",
    NO_END: "the JPEG has no end marker",
    BAD_BOX: "a box that is empty or not within the image",
    PROGRESSIVE: "a progressive JPEG",
    ARITHMETIC: "a JPEG with arithmetic coding",
    LOSSLESS: "a lossless JPEG",
    HIERARCHICAL: "a hierarchical JPEG",
    PRECISION: "a JPEG of other than 8 bits a sample",
    COMPONENTS: "a JPEG of other than 1 or 3 components",
    SAMPLING: "a JPEG with an unusual sampling",
    SEVERAL_SCANS: "a JPEG of several scans",
    SCAN_ORDER: "a JPEG whose components are in another order in its scan",
    NO_HUFFMAN: "a JPEG that leaves out its Huffman tables",
}


def error_for(status: Integer) -> DecodeError | UnsupportedError:
    """The exception for a status other than 0."""
    kind = UnsupportedError if status >= UNSUPPORTED else DecodeError
    return kind(_REASONS[int(status)])


def check_status(status: Integer) -> None:
    """Raises DecodeError or UnsupportedError, unless `status` is 0."""
    if status != OK:
        raise error_for(status)
