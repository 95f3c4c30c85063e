"""What is wrong with the entropy-coded data of a baseline JPEG, found bit by bit; and what is wrong elsewhere repaired.

ITU-T T.81, annex F.2. libjpeg warns of some of this only, and tells of its first warning only.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

CUT, NO_CODE, OVERRUN, RESTART = "cut", "no code", "overrun", "restart"
_RESTARTS = range(0xD0, 0xD8)
_ZIGZAG_LAST = 63


class Damage(Exception):
    """One of the four words above."""


@dataclass
class Tables:
    """What the segments before the scan say; a Huffman table as {(length, code): symbol}."""

    quantisation: dict[int, list[int]] = field(default_factory=dict)
    huffman: dict[int, dict[tuple[int, int], int]] = field(default_factory=dict)
    size: tuple[int, int] = (0, 0)  # height, width
    components: dict[int, tuple[int, int, int]] = field(default_factory=dict)  # across, down, quantisation table
    restart: int = 0
    scan: list[tuple[int, int, int]] = field(default_factory=list)  # component, DC and AC table


def examine(data: bytes) -> tuple[str, int]:
    """(the first damage or "", the largest dequantised coefficient before it). Headers must be sound."""
    tables, start = read_tables(data)
    largest = [0]
    try:
        walk(tables, Bits(data, start), largest)
    except Damage as damage:
        return str(damage), largest[0]
    return "", largest[0]


def read_tables(data: bytes) -> tuple[Tables, int]:
    """Also where the entropy-coded data begin."""
    tables = Tables()
    for marker, body, end in segments(data):
        if marker in (0xC0, 0xC1):
            tables.size = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
            parts = [body[6 + 3 * c : 9 + 3 * c] for c in range(body[5])]
            tables.components = {i: (factors >> 4, factors & 15, table) for i, factors, table in parts}
        elif marker == 0xC4:
            read_huffman(tables, body)
        elif marker == 0xDB:
            while body:
                width = 2 if body[0] >> 4 else 1
                values = [int.from_bytes(body[1 + width * k : 1 + width * (k + 1)], "big") for k in range(64)]
                tables.quantisation[body[0] & 15] = values
                body = body[1 + 64 * width :]
        elif marker == 0xDD:
            tables.restart = int.from_bytes(body[:2], "big")
        elif marker == 0xDA:
            tables.scan = [(body[1 + 2 * c], body[2 + 2 * c] >> 4, body[2 + 2 * c] & 15) for c in range(body[0])]
            return tables, end
    return tables, len(data)


def segments(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """(marker, body, end), with stray bytes between them left out as libjpeg does."""
    at = 2
    while (at := data.find(b"\xff", at)) >= 0 and at + 4 <= len(data):
        marker = data[at + 1]
        if marker in (0, 0xFF, 0x01, *_RESTARTS):
            at += 1 if marker == 0xFF else 2
            continue
        end = at + 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
        yield marker, data[at + 4 : end], end
        at = end


def repair_jpeg(data: bytes) -> bytes:
    """The segments up to the scan without stray bytes between them, its entropy-coded data, and an end marker."""
    out = b"\xff\xd8"
    for marker, body, end in segments(data):
        out += bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body
        if marker == 0xDA:
            last = next_marker(data, end)
            while data[last + 1 : last + 2] and data[last + 1] in _RESTARTS:
                last = next_marker(data, last + 2)
            out += data[end:last]
            break
    return out + b"\xff\xd9"


def read_huffman(tables: Tables, body: bytes) -> None:
    while len(body) > 16:
        symbols, code, table = iter(body[17:]), 0, {}
        for length in range(1, 17):
            for _ in range(body[length]):
                table[length, code] = next(symbols, 0)
                code += 1
            code *= 2
        tables.huffman[body[0]] = table
        body = body[17 + sum(body[1:17]) :]


def next_marker(data: bytes, at: int) -> int:
    """Where the first marker at or after `at` begins, or the end; stray bytes before it are passed over."""
    while (at := data.find(b"\xff", at)) >= 0 and data[at + 1 : at + 2] in (b"\0", b"\xff"):
        at += 1
    return at if at >= 0 else len(data)


class Bits:
    """The bits of entropy-coded data up to the next marker."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at, self.held, self.count = data, at, 0, 0

    def take(self, count: int) -> int:
        while self.count < count:
            while self.data[self.at : self.at + 2] == b"\xff\xff":  # libjpeg takes FF FF 00 for FF 00
                self.at += 1
            byte = self.data[self.at] if self.at < len(self.data) else 0xFF
            if byte == 0xFF and self.data[self.at + 1 : self.at + 2] != b"\0":
                raise Damage(CUT)
            self.at += 2 if byte == 0xFF else 1
            self.held, self.count = self.held << 8 | byte, self.count + 8
        self.count -= count
        taken = self.held >> self.count
        self.held &= (1 << self.count) - 1
        return taken

    def symbol(self, table: dict[tuple[int, int], int]) -> int:
        code = 0
        for length in range(1, 17):
            code = code * 2 + self.take(1)
            if (length, code) in table:
                return table[length, code]
        raise Damage(NO_CODE)

    def number(self, size: int) -> int:
        value = self.take(size)
        return value if size == 0 or value >> (size - 1) else value - (1 << size) + 1

    def restart(self, number: int) -> None:
        self.held = self.count = 0
        self.at = next_marker(self.data, self.at)
        if self.data[self.at : self.at + 2] != bytes([0xFF, 0xD0 + number % 8]):
            raise Damage(RESTART)
        self.at += 2


def walk(tables: Tables, bits: Bits, largest: list[int]) -> None:
    """All blocks of the scan; keeps the largest coefficient."""
    single = len(tables.scan) == 1
    across = max(a for a, _, _ in tables.components.values()) if not single else 1
    down = max(d for _, d, _ in tables.components.values()) if not single else 1
    height, width = tables.size
    count = -(-height // (8 * down)) * -(-width // (8 * across))
    before = dict.fromkeys(tables.components, 0)
    for mcu in range(count):
        if tables.restart and mcu and mcu % tables.restart == 0:
            bits.restart(mcu // tables.restart - 1)
            before = dict.fromkeys(before, 0)
        for component, dc, ac in tables.scan:
            a, d, quantisation = tables.components[component]
            for _ in range(1 if single else a * d):
                steps = tables.quantisation[quantisation]
                before[component] += bits.number(bits.symbol(tables.huffman[dc]) & 15)
                largest[0] = max(largest[0], abs(before[component] * steps[0]))
                walk_coefficients(bits, tables.huffman[16 + ac], steps, largest)


def walk_coefficients(bits: Bits, table: dict[tuple[int, int], int], steps: list[int], largest: list[int]) -> None:
    k = 1
    while k <= _ZIGZAG_LAST:
        symbol = bits.symbol(table)
        run, size = symbol >> 4, symbol & 15
        if size == 0 and run < 15:
            return
        k += run
        if k > _ZIGZAG_LAST:
            raise Damage(OVERRUN)
        if size:
            largest[0] = max(largest[0], abs(bits.number(size) * steps[k]))
        k += 1
