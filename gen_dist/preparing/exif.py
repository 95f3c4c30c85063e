"""Which way up a photograph is: the orientation in the EXIF block of a JPEG, and turning pixels by it."""

import struct

import numpy as np

_ORIENTATION = 0x0112
_SHORT = 3
_MOST_ENTRIES = 1000
# What turns a picture upright: rows and columns exchanged, then perhaps the one or the other in reverse order.
_TRANSPOSED, _UPSIDE_DOWN, _MIRRORED = (5, 6, 7, 8), (3, 4, 7, 8), (2, 3, 6, 7)


def orientation(data: bytes) -> int:
    """1 to 8 as EXIF numbers them; 1, upright, where the file says nothing, or nothing that can be understood."""
    try:
        return _from_tiff(_from_jpeg(data))
    except (struct.error, ValueError):
        return 1


def upright(pixels: np.ndarray, number: int) -> np.ndarray:
    """`pixels` (H x W x C) turned upright by an orientation: H x W x C, or W x H x C for 5 to 8."""
    if number in _TRANSPOSED:
        pixels = pixels.swapaxes(0, 1)
    rows = -1 if number in _UPSIDE_DOWN else 1
    columns = -1 if number in _MIRRORED else 1
    return np.ascontiguousarray(pixels[::rows, ::columns])


def stored_box(
    box: tuple[float, float, float, float], width: int, height: int, number: int
) -> tuple[float, float, float, float]:
    """(x0, y0, x1, y1) in stored pixels of a part of the upright image, which is width × height."""
    x0, y0, x1, y1 = box
    if number in _MIRRORED:
        x0, x1 = width - x1, width - x0
    if number in _UPSIDE_DOWN:
        y0, y1 = height - y1, height - y0
    return (y0, x0, y1, x1) if number in _TRANSPOSED else (x0, y0, x1, y1)


def is_transposed(number: int) -> bool:
    """Whether width and height change places when the image is turned upright."""
    return number in _TRANSPOSED


def orientation_in(block: bytes) -> int:
    """As `orientation`, of an EXIF block that begins with its TIFF header."""
    try:
        return _from_tiff(block)
    except (struct.error, ValueError):
        return 1


def _from_jpeg(data: bytes) -> bytes:
    if not data.startswith(b"\xff\xd8"):
        raise ValueError("not a JPEG")
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        if data[at + 1] == 0xFF:  # a fill byte
            at += 1
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        if data[at + 1] == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0":
            return data[at + 10 : at + 2 + length]
        at += 2 + length
    raise ValueError("no EXIF block")


def _from_tiff(block: bytes) -> int:
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None:
        raise ValueError("no TIFF header")
    (directory,) = struct.unpack_from(order + "I", block, 4)
    (entries,) = struct.unpack_from(order + "H", block, directory)
    for entry in range(min(entries, _MOST_ENTRIES)):
        tag, kind, count, value = struct.unpack_from(order + "HHIH", block, directory + 2 + 12 * entry)
        if tag == _ORIENTATION:
            return value if kind == _SHORT and count == 1 and 1 <= value <= 8 else 1
    return 1
