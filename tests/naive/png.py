"""PNG written with any filters, and read, as the standard has it, a byte at a time."""

import struct
import zlib

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a pixel, by colour type


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def header(width, height, colour_type, depth=8, compression=0, filters=0, interlace=0):
    fields = (width, height, depth, colour_type, compression, filters, interlace)
    return chunk(b"IHDR", struct.pack(">IIBBBBB", *fields))


def encode(pixels, colour_type, filters, palette=b"", transparency=None, level=6, split=1):
    """`pixels`: uint8, H x W x samples; `filters`: one number a row; `split`: how many IDAT chunks."""
    height, width, _ = pixels.shape
    stream = zlib.compress(filtered(pixels, filters), level)
    parts = [header(width, height, colour_type)]
    parts += [chunk(b"PLTE", palette)] if palette else []
    parts += [chunk(b"tRNS", transparency)] if transparency is not None else []
    size = -(-len(stream) // split)
    parts += [chunk(b"IDAT", stream[i : i + size]) for i in range(0, len(stream), size)]
    return SIGNATURE + b"".join(parts) + chunk(b"IEND", b"")


def filtered(pixels, filters):
    """What is deflated: each row's filter number and bytes."""
    height, width, step = pixels.shape
    rows = pixels.reshape(height, width * step).astype(int)
    out = b""
    for y, number in enumerate(filters):
        row = [int(rows[y, i]) - predicted(number, rows, y, i, step) for i in range(width * step)]
        out += bytes([number, *(value % 256 for value in row)])
    return out


def predicted(number, rows, y, i, step):
    left = int(rows[y, i - step]) if i >= step else 0
    up = int(rows[y - 1, i]) if y else 0
    corner = int(rows[y - 1, i - step]) if y and i >= step else 0
    if number == 4:
        guess = left + up - corner
        return min((left, up, corner), key=lambda value: abs(guess - value))  # the first of equals
    return {0: 0, 1: left, 2: up, 3: (left + up) // 2}[number]


def decode(data, background=(255, 255, 255)):
    """A whole and valid file; uint8, H x W x 3."""
    chunks, position = {}, 8
    while position < len(data):
        (length,) = struct.unpack_from(">I", data, position)
        name, body = data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        chunks[name] = chunks.get(name, b"") + body
        position += 12 + length
    width, height, _, colour_type = struct.unpack_from(">IIBB", chunks[b"IHDR"])
    step = SAMPLES[colour_type]
    stored = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, 1 + width * step)
    rows = np.zeros((height, width * step), int)
    for y in range(height):
        for i in range(width * step):
            rows[y, i] = (int(stored[y, 1 + i]) + predicted(stored[y, 0], rows, y, i, step)) % 256
    pixels = rows.reshape(height, width, step)
    palette = np.frombuffer(chunks.get(b"PLTE", b""), np.uint8).reshape(-1, 3)
    transparency, out = chunks.get(b"tRNS"), np.zeros((height, width, 3), np.uint8)
    for y in range(height):
        for x in range(width):
            colour, alpha = meaning(list(pixels[y, x]), colour_type, palette, transparency)
            out[y, x] = [round((v * alpha + b * (255 - alpha)) / 255) for v, b in zip(colour, background, strict=True)]
    return out


def meaning(pixel, colour_type, palette, transparency):
    """(RGB, alpha)."""
    if colour_type == 3:
        alphas = [*(transparency or b""), *[255] * 256]
        return [int(value) for value in palette[pixel[0]]], alphas[pixel[0]]
    if colour_type in (4, 6):
        return pixel[:-1] * (3 if colour_type == 4 else 1), pixel[-1]
    hidden = transparency is not None and pixel == list(transparency[1::2])
    return pixel * (3 if colour_type == 0 else 1), 0 if hidden else 255
