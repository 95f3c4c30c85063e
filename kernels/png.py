"""8-bit non-interlaced PNG: chunks and checksums here, inflating by zlib, filters and transparency compiled.

PNG (Portable Network Graphics), third edition, W3C 2025. What Pillow reads and we refuse, and the other way round, is
listed where it is counted, in `benchmarks/fuzz_judge.py`.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gen_dist.kernels.limits import DecodeError, Limits, UnsupportedError
from gen_dist.kernels.png_filters import (
    BAD_FILTER,
    BAD_INDEX,
    GREY_ALPHA,
    INDEXED,
    KEYED_GREY,
    KEYED_RGB,
    OPAQUE,
    RGB_ALPHA,
    unpack,
)

SIGNATURE = b"\x89PNG\r\n\x1a\n"
WHITE = (255, 255, 255)

_HEAD = struct.Struct(">I4s")  # of a chunk: bytes of its body, name; a CRC-32 of name and body follows the body
_IHDR = struct.Struct(">IIBBBBB")
_CRC = struct.Struct(">I")
_FRAME = _HEAD.size + _CRC.size
_MOST_CHUNKS = 1 << 17  # chunks of 8 KB are usual; reading so many takes a tenth of a second
_GREY, _RGB, _INDEXED, _GREY_ALPHA, _RGB_ALPHA = 0, 2, 3, 4, 6  # colour types
_DEPTHS = {_GREY: (1, 2, 4, 8, 16), _RGB: (8, 16), _INDEXED: (1, 2, 4, 8), _GREY_ALPHA: (8, 16), _RGB_ALPHA: (8, 16)}
_STEPS = {_GREY: 1, _RGB: 3, _INDEXED: 1, _GREY_ALPHA: 2, _RGB_ALPHA: 4}  # bytes of a pixel, at 8 bits
_KEY_BYTES = {_GREY: 2, _RGB: 6}  # of a tRNS chunk that names one colour
_IGNORED_TRANSPARENCY = (_GREY_ALPHA, _RGB_ALPHA)
# Text chunks in which Pillow looks for an EXIF orientation, beside the eXIf chunk.
_EXIF_KEYWORDS = (b"exif\0", b"Raw profile type exif\0", b"XML:com.adobe.xmp\0")
_TEXT = (b"tEXt", b"zTXt", b"iTXt")


@dataclass(frozen=True)
class Png:
    """What a PNG's chunks say; views of the bytes that were read.

    Args:
        compressed: bodies of the IDAT chunks, together one zlib stream.
        palette: body of PLTE, or empty.
        transparency: body of tRNS, or None.
        may_be_turned: whether there is metadata in which an EXIF orientation may stand; `decode` does not look.
        animated: whether it says that frames follow.
    """

    width: int
    height: int
    colour_type: int
    compressed: list[memoryview]
    palette: bytes
    transparency: bytes | None
    may_be_turned: bool
    animated: bool = False


def decode(
    data: bytes | bytearray | memoryview, limits: Limits | None = None, background: tuple[int, int, int] = WHITE
) -> np.ndarray:
    """The pixels of a PNG; of an animation its default image, as Pillow has it; profiles and gamma ignored.

    Args:
        data: the file.
        limits: defaults to `Limits()`.
        background: RGB, 0 to 255, on which transparency is laid, rounded as by Pillow's `paste` with the alpha as mask.

    Returns:
        uint8, H x W x 3; of an opaque grey image H x W x 1.

    Raises:
        DecodeError: damaged, cut short, against the standard, or over the limits.
        UnsupportedError: interlaced, of other than 8 bits, or with a critical chunk that is not in the standard.
    """
    limits = limits or Limits()
    return decode_chunks(read_chunks(data, limits), limits, background)


def read_chunks(data: bytes | bytearray | memoryview, limits: Limits) -> Png:
    """Everything but the pixels; nothing is inflated. Raises as `decode` does."""
    view = memoryview(data).cast("B")
    limits.check_bytes(len(view))
    if view[: len(SIGNATURE)] != SIGNATURE:
        raise DecodeError("does not begin as a PNG does")
    chunks = _chunks(view)
    name, header = next(chunks)
    if name == b"CgBI":
        raise UnsupportedError("Apple's variant of PNG (CgBI)")
    if name != b"IHDR":
        raise DecodeError("the first chunk is not IHDR")
    width, height, colour_type = _read_header(header, limits)
    palette, transparency, compressed, may_be_turned, animated = b"", None, list[memoryview](), False, False
    previous = name
    for name, body in chunks:
        if name == b"IDAT":
            if compressed and previous != b"IDAT":
                raise DecodeError("IDAT chunks that do not follow one another")
            compressed.append(body)
        elif name == b"PLTE" and colour_type == _INDEXED:
            if palette or transparency is not None or compressed:
                raise DecodeError("a second PLTE chunk" if palette else "PLTE after tRNS or IDAT")
            palette = _read_palette(body)
        elif name == b"tRNS" and colour_type not in _IGNORED_TRANSPARENCY:
            if transparency is not None or compressed:
                raise DecodeError("tRNS after IDAT" if compressed else "a second tRNS chunk")
            transparency = _read_transparency(body, colour_type, len(palette))
        elif name == b"IHDR":
            raise DecodeError("a second IHDR chunk")
        elif name == b"eXIf" or (name in _TEXT and bytes(body[:22]).startswith(_EXIF_KEYWORDS)):
            may_be_turned = True
        elif name == b"acTL":
            animated = True
        elif not name[0] & 0x20 and name not in (b"PLTE", b"IEND"):
            raise UnsupportedError(f"a PNG with a critical chunk {name.decode()}")
        previous = name
    if not compressed:
        raise DecodeError("no IDAT chunk")
    if colour_type == _INDEXED and not palette:
        raise DecodeError("no PLTE chunk")
    return Png(width, height, colour_type, compressed, palette, transparency, may_be_turned, animated)


def decode_chunks(png: Png, limits: Limits, background: tuple[int, int, int] = WHITE) -> np.ndarray:
    """As `decode`, of what `read_chunks` gave."""
    if len(background) != 3 or not all(value in range(256) for value in background):
        raise ValueError(f"background: wants three integers in [0, 255]; got {background!r}")
    row = png.width * _STEPS[png.colour_type]
    length = png.height * (1 + row)
    if length > limits.inflated_bytes:
        raise DecodeError(f"{png.width}×{png.height} pixels: inflated, more than {limits.inflated_bytes} bytes")
    rows = np.frombuffer(_inflate(png.compressed, length), np.uint8)
    layout = _layout(png)
    channels = 1 if layout == OPAQUE and png.colour_type == _GREY else 3
    out = np.empty((png.height, png.width, channels), np.uint8)
    palette = np.frombuffer(png.palette, np.uint8)
    transparency = np.frombuffer(png.transparency or b"", np.uint8)
    behind, scratch = np.array(background, np.uint8), np.zeros((3, row), np.uint8)
    status = unpack(out, rows, layout, palette, transparency, behind, scratch)
    if status == BAD_FILTER:
        raise DecodeError("a row with an unknown filter")
    if status == BAD_INDEX:
        raise DecodeError(f"a pixel beyond the palette of {len(png.palette) // 3}")
    return out


def _chunks(view: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """(name, body) to IEND, which must be there. Checksums of chunks that matter are checked."""
    position = len(SIGNATURE)
    for _ in range(_MOST_CHUNKS):
        if position + _FRAME > len(view):
            raise DecodeError("cut short: no IEND chunk")
        length, name = _HEAD.unpack_from(view, position)
        if not name.isalpha():
            raise DecodeError("damaged: a chunk's name is not letters")
        body, end = position + _HEAD.size, position + _HEAD.size + length
        if end + _CRC.size > len(view):
            raise DecodeError(f"cut short in chunk {name.decode()}")
        matters = not name[0] & 0x20 or name == b"tRNS"
        if matters and zlib.crc32(view[body - 4 : end]) != _CRC.unpack_from(view, end)[0]:
            raise DecodeError(f"damaged: the checksum of chunk {name.decode()} is wrong")
        yield name, view[body:end]
        if name == b"IEND":
            return
        position = end + _CRC.size
    raise DecodeError(f"more than {_MOST_CHUNKS} chunks")


def _read_header(body: memoryview, limits: Limits) -> tuple[int, int, int]:
    if len(body) != _IHDR.size:
        raise DecodeError(f"an IHDR chunk of {len(body)} bytes")
    width, height, depth, colour_type, compression, filters, interlace = _IHDR.unpack(body)
    if depth not in _DEPTHS.get(colour_type, ()) or compression or filters or interlace > 1:
        raise DecodeError("an IHDR chunk with values that PNG does not have")
    limits.check_size(width, height)
    if interlace:
        raise UnsupportedError("an interlaced PNG")
    if depth != 8:
        raise UnsupportedError(f"a PNG of {depth} bits a sample")
    return width, height, colour_type


def _read_palette(body: memoryview) -> bytes:
    if len(body) % 3 or not 3 <= len(body) <= 768:
        raise DecodeError(f"a PLTE chunk of {len(body)} bytes")
    return bytes(body)


def _read_transparency(body: memoryview, colour_type: int, palette_bytes: int) -> bytes:
    if colour_type == _INDEXED:
        if not palette_bytes:
            raise DecodeError("tRNS before PLTE")
        fits = len(body) <= palette_bytes // 3
    else:
        fits = len(body) == _KEY_BYTES[colour_type]
    if not fits:
        raise DecodeError(f"a tRNS chunk of {len(body)} bytes")
    return bytes(body)


def _inflate(compressed: list[memoryview], length: int) -> bytes:
    """`length` bytes, never more: what a stream holds beyond the last row is ignored, as by Pillow and libpng."""
    stream = compressed[0] if len(compressed) == 1 else b"".join(compressed)
    try:
        rows = zlib.decompressobj().decompress(stream, length)
    except zlib.error as error:
        raise DecodeError(f"damaged: {error}") from None
    if len(rows) < length:
        raise DecodeError(f"cut short: {len(rows)} of {length} bytes of pixels")
    return rows


def _layout(png: Png) -> int:
    """How `unpack` is to read the pixels."""
    if png.colour_type == _GREY:
        return OPAQUE if png.transparency is None else KEYED_GREY
    if png.colour_type == _RGB:
        return OPAQUE if png.transparency is None else KEYED_RGB
    return {_INDEXED: INDEXED, _GREY_ALPHA: GREY_ALPHA, _RGB_ALPHA: RGB_ALPHA}[png.colour_type]
