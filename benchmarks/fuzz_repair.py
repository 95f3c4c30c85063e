"""A damaged PNG as Pillow reads it, put into a faultless file, and one without the chunks that we do not read.

Witnesses for `fuzz_judge`.
"""

import re
import struct
import zlib
from contextlib import suppress

from PIL.PngImagePlugin import _MODES

from benchmarks.fuzz_files import write_chunks
from gen_dist.kernels.limits import Limits
from tests.naive.png import SAMPLES, SIGNATURE

Place = slice | tuple[slice, slice]
WHOLE = slice(None)


def repair_png(data: bytes, limits: Limits) -> tuple[bytes, Place | None]:
    """The file, and where in the pixels that Pillow makes of `data` its pixels stand; None where no file says the same.

    Pillow reads the last header, palette and transparency, and the first run of image data behind the header. Of that
    it needs neither the checksums nor the end; rows that are missing altogether it leaves black. It takes an fdAT chunk
    for image data, and believes what an fcTL chunk before the image says of the size.
    """
    header, box, tables, stream = b"", (), dict[bytes, bytes](), b""
    run_over = mixed = interlaced = False
    for name, body in lenient_chunks(data):
        run_over = run_over or (stream != b"" and name not in (b"IDAT", b"fdAT"))
        if name == b"IHDR" and not stream and len(body) >= 13:
            kind = body[8:10] if tuple(body[8:10]) in _MODES else header[8:10]
            mixed = mixed or (tables != {} and kind != header[8:10])  # tables read for another kind of image
            interlaced = interlaced or body[12] > 0  # which Pillow never takes back
            header = body[:8] + kind + bytes([0, 0, interlaced])
        elif tuple(header[8:10]) not in _MODES:
            continue  # before that, Pillow passes over everything
        elif name in (b"IDAT", b"fdAT") and not run_over:
            stream += body[4 if name == b"fdAT" else 0 :]
        elif name == b"fcTL" and not stream and len(body) >= 20:
            box = struct.unpack(">4I", body[4:20])
        elif name == b"tRNS" or (name == b"PLTE" and not stream):
            tables[name] = body
    if header[9:10] in (b"\0", b"\2") and b"tRNS" in tables:
        tables[b"tRNS"] = tables[b"tRNS"][: 2 if header[9] == 0 else 6]
    place: Place | None = WHOLE
    if box and len(header) == 13 and struct.pack(">2I", *box[:2]) != header[:8]:
        width, height, left, top = box
        header = struct.pack(">2I", width, height) + header[8:]
        place = (slice(top, top + height), slice(left, left + width))
    parts = [(b"IHDR", header), *((name, tables[name]) for name in (b"PLTE", b"tRNS") if name in tables)]
    parts += [(b"IDAT", whole_rows(header, stream, limits)), (b"IEND", b"")]
    return write_chunks(parts), None if mixed else place


def strip_png(data: bytes) -> bytes:
    """The chunks that make the pixels, with the checksums that they have; others left out. For whole files."""
    out, at = data[: len(SIGNATURE)], len(SIGNATURE)
    while at + 12 <= len(data):
        end, name = at + 12 + int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if name[:1].isupper() or name == b"tRNS":
            out += data[at:end]
        at = end
    return out


def lenient_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """(name, body) up to IEND or a name that Pillow refuses; the last may be cut short."""
    chunks, at = [], len(SIGNATURE)
    while at + 8 <= len(data):
        length, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if not re.fullmatch(rb"\w{4}", name) or name == b"IEND":
            break
        chunks.append((name, data[at + 8 : at + 8 + length]))
        at += 12 + length
    return chunks


def whole_rows(header: bytes, stream: bytes, limits: Limits) -> bytes:
    """Image data with a right checksum, and black rows for those that are missing at the end."""
    if len(header) < 13 or header[9] not in SAMPLES:
        return stream
    width, height, depth, colour_type = struct.unpack(">IIBB", header[:10])
    row = 1 + (width * SAMPLES[colour_type] * depth + 7) // 8
    # An interlaced image has more rows, and how many is not worth to be known.
    most = min(limits.inflated_bytes, 2 * row * height + 64 if header[12] else row * height)
    rows, inflater = b"", zlib.decompressobj(-zlib.MAX_WBITS)
    with suppress(zlib.error):
        for i in range(2, len(stream)):  # a byte at a time, so that an error does not take what came before it
            rows += inflater.decompress(inflater.unconsumed_tail + stream[i : i + 1], most - len(rows) or 1)
            if len(rows) >= most or inflater.eof:
                break
    if inflater.eof and len(rows) % row == 0 and not header[12]:
        rows += bytes(max(0, row * height - len(rows)))
    return zlib.compress(rows[:most], 1)
