"""A baseline JPEG by the book (ITU-T T.81), one bit at a time, with the cosine transform as a matrix of floats."""

import math

import numpy as np

ZIGZAG = sorted(range(64), key=lambda i: (i // 8 + i % 8, i % 8 if (i // 8 + i % 8) % 2 == 0 else i // 8))
COSINES = np.array(
    [[(0.5 if u else math.sqrt(0.125)) * math.cos((2 * x + 1) * u * math.pi / 16) for u in range(8)] for x in range(8)]
)


def planes(data):
    """Each component's samples (float, unrounded), as many as its blocks have; and the header's (width, height)."""
    quantisations, tables, interval, at = {}, {}, 0, 2
    while True:
        marker, length = data[at + 1], data[at + 2] * 256 + data[at + 3]
        segment, at = data[at + 4 : at + 2 + length], at + 2 + length
        if marker == 0xDB:
            while segment:
                wide = segment[0] >> 4
                values = np.frombuffer(segment[1 : 65 + 64 * wide], ">u2" if wide else "u1")
                quantisations[segment[0] & 15], segment = values.astype(int), segment[65 + 64 * wide :]
        elif marker == 0xC4:
            while segment:
                total = sum(segment[1:17])
                tables[segment[0]] = codes(segment[1:17], segment[17 : 17 + total])
                segment = segment[17 + total :]
        elif marker == 0xDD:
            interval = segment[0] * 256 + segment[1]
        elif marker in (0xC0, 0xC1):
            height, width = segment[1] * 256 + segment[2], segment[3] * 256 + segment[4]
            frame = [(segment[i + 1] >> 4, segment[i + 1] & 15, segment[i + 2]) for i in range(6, len(segment), 3)]
        elif marker == 0xDA:
            chosen = [(segment[i + 1] >> 4, 16 + (segment[i + 1] & 15)) for i in range(1, len(segment) - 3, 2)]
            break
    if len(frame) == 1:
        frame = [(1, 1, frame[0][2])]
    across, down = -(-width // (8 * frame[0][0])), -(-height // (8 * frame[0][1]))
    out = [np.zeros((down * v * 8, across * h * 8)) for h, v, _ in frame]
    for mcu in range(across * down):
        if mcu == 0 or (interval and mcu % interval == 0):
            bits, at = segment_bits(data, at)
            before = [0] * len(frame)
        row, column = divmod(mcu, across)
        for c, (h, v, q) in enumerate(frame):
            for i in range(h * v):
                coefficients = block(bits, tables[chosen[c][0]], tables[chosen[c][1]])
                before[c] += coefficients[0]
                coefficients[0] = before[c]
                matrix = np.zeros(64)
                matrix[ZIGZAG] = np.array(coefficients) * quantisations[q]
                y, x = 8 * (row * v + i // h), 8 * (column * h + i % h)
                out[c][y : y + 8, x : x + 8] = COSINES @ matrix.reshape(8, 8) @ COSINES.T + 128
    return out, (width, height)


def codes(counts, symbols):
    """(length, code) → symbol."""
    table, code, place = {}, 0, 0
    for length, count in enumerate(counts, 1):
        for _ in range(count):
            table[length, code] = symbols[place]
            code, place = code + 1, place + 1
        code *= 2
    return table


def segment_bits(data, at):
    """The bits up to the next marker, and the place behind it."""
    end = at
    while data[end] != 0xFF or data[end + 1] == 0:
        end += 1
    clean = data[at:end].replace(b"\xff\0", b"\xff")
    return iter("".join(f"{byte:08b}" for byte in clean)), end + 2


def block(bits, dc, ac):
    """64 coefficients in zigzag order, the first as a difference."""
    out = [number(bits, symbol(bits, dc))]
    while len(out) < 64:
        run, size = divmod(symbol(bits, ac), 16)
        if size == 0 and run < 15:
            return out + [0] * (64 - len(out))
        out += [0] * run + [number(bits, size)]
    return out


def symbol(bits, table):
    code, length = 0, 0
    while (length, code) not in table:
        code, length = 2 * code + int(next(bits)), length + 1
    return table[length, code]


def number(bits, size):
    value = sum(int(next(bits)) << i for i in reversed(range(size)))
    return value if size == 0 or value >> (size - 1) else value - (1 << size) + 1


def reduce(plane, factor):
    """libjpeg's smaller transforms are the whole one and the mean of factor × factor pixels."""
    height, width = plane.shape
    return plane.reshape(height // factor, factor, width // factor, factor).mean((1, 3))
