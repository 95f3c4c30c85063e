"""Hostile files for `benchmarks.fuzz`: small JPEGs and PNGs of every kind, and what is done to them.

A file is a function of (seed, number) alone. Some changes are made to its bytes, most to its parts (chunks, segments,
inflated rows), whose lengths and checksums are put right again, so that the damage reaches the deeper code.
"""

import io
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import simplejpeg
from PIL import Image

from tests.naive.png import SAMPLES, SIGNATURE, chunk, encode

Format = Literal["JPEG", "PNG"]
Random = np.random.Generator
Parts = list[tuple[bytes, bytes]]  # name, body; of a JPEG: marker (empty for entropy-coded data), body

INTERESTING = (0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 63, 64, 127, 128, 129, 254, 255, 256, 4097, 65535, 1 << 24, 1 << 31)
SIZES = ((1, 1), (2, 3), (7, 9), (8, 8), (16, 16), (17, 15), (31, 33), (40, 8), (1, 40), (40, 1))
UNTOUCHED = 50  # one file of so many is left as it is: accepted, or the decoders are at fault
MOST_CHANGES = 4


@dataclass(frozen=True)
class Case:
    """`changes`: the names of what was done to a good file, none for an untouched one."""

    format: Format
    changes: tuple[str, ...]
    data: bytes


class Corpus:
    """Good files, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        random = np.random.default_rng(seed)
        self.files: dict[Format, list[bytes]] = {"JPEG": good_jpegs(random), "PNG": good_pngs(random)}

    def case(self, number: int, formats: Sequence[Format] = ("JPEG", "PNG")) -> Case:
        random = np.random.default_rng([self.seed, number])
        format = formats[number % len(formats)]
        data = pick(random, self.files[format])
        if random.integers(UNTOUCHED) == 0:
            return Case(format, (), data)
        changes = []
        for _ in range(min(MOST_CHANGES, int(random.geometric(0.6)))):
            of_parts = random.random() < 0.7
            change = pick(random, PART_CHANGES[format] if of_parts else BYTE_CHANGES)
            other = pick(random, self.files[format])
            changed = change_parts(random, format, change, data, other) if of_parts else change(random, data, other)
            if changed is not None:
                data = changed
                changes.append(change.__name__)
        return Case(format, tuple(changes), data)


def pick(random: Random, things: Sequence[Any]) -> Any:
    return things[int(random.integers(len(things)))]


def picture(random: Random, width: int, height: int) -> Image.Image:
    """RGBA; smooth, with a little noise."""
    coarse = Image.fromarray(random.integers(0, 256, (3, 4, 4), dtype=np.uint8)).resize((width, height))
    noise = random.integers(-9, 10, (height, width, 4))
    return Image.fromarray((np.asarray(coarse) + noise).clip(0, 255).astype(np.uint8))


def saved(image: Image.Image, format: Format, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def good_jpegs(random: Random) -> list[bytes]:
    files = []
    for width, height in SIZES:
        colour = picture(random, width, height).convert("RGB")
        for options in (
            {"subsampling": 0, "quality": 95},
            {"subsampling": 1, "quality": 30},
            {"subsampling": 2, "quality": 75},
            {"subsampling": 2, "quality": 10, "optimize": True},
            {"subsampling": 0, "quality": 60, "restart_marker_blocks": 1},
            {"subsampling": 2, "quality": 80, "restart_marker_rows": 1},
            {"keep_rgb": True, "quality": 90},
            {"progressive": True},
        ):
            files.append(saved(colour, "JPEG", **options))
        files.append(saved(colour.convert("L"), "JPEG", quality=int(random.integers(5, 100))))
        files.append(saved(colour.convert("L"), "JPEG", restart_marker_blocks=2))
        files.append(saved(colour.convert("CMYK"), "JPEG"))
        pixels = np.ascontiguousarray(np.asarray(colour))
        files += [simplejpeg.encode_jpeg(pixels, 80, "RGB", sampling) for sampling in ("440", "411")]
    return files


def good_pngs(random: Random) -> list[bytes]:
    files = []
    for width, height in SIZES:
        image = picture(random, width, height)
        for colour_type, samples in SAMPLES.items():
            for filters in ([0] * height, random.integers(0, 5, height), [4] * height):
                pixels = np.asarray(image)[..., :samples]
                palette, transparency = b"", None
                if colour_type == 3:
                    pixels, palette = pixels % 20, random.bytes(60)
                    transparency = random.bytes(int(random.integers(0, 21)))
                elif samples in (1, 3):
                    transparency = b"".join(bytes([0, value]) for value in pixels[0, 0])
                if random.random() < 0.5:
                    transparency = None
                split, level = int(random.integers(1, 4)), int(random.integers(0, 10))
                files.append(encode(pixels, colour_type, filters, palette, transparency, level, split))
        files += [saved(image.convert(mode), "PNG") for mode in ("1", "L", "LA", "RGB", "RGBA", "I;16")]
        files.append(saved(image.convert("RGB").quantize(9), "PNG", bits=4))
        files.append(saved(image, "PNG", save_all=True, append_images=[image.rotate(180)]))
    return files


# Changes of bytes: what became of `data`; `other` is another file of the corpus.


def flip_bits(random: Random, data: bytes, other: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(min(int(random.integers(1, 9)), len(data))):
        changed[int(random.integers(len(data)))] ^= 1 << int(random.integers(8))
    return bytes(changed)


def set_bytes(random: Random, data: bytes, other: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(min(int(random.integers(1, 5)), len(data))):
        value = pick(random, (0, 1, 0x7F, 0x80, 0xFE, 0xFF, int(random.integers(256))))
        changed[int(random.integers(len(data)))] = value
    return bytes(changed)


def set_number(random: Random, data: bytes, other: bytes) -> bytes:
    """A big-endian number of 16 or 32 bits somewhere: lengths, sizes, counts."""
    size = pick(random, (2, 4))
    at = int(random.integers(max(1, len(data) - size + 1)))
    number = int(pick(random, INTERESTING)) % (1 << 8 * size)
    return data[:at] + number.to_bytes(size, "big") + data[at + size :]


def truncate(random: Random, data: bytes, other: bytes) -> bytes:
    return data[: int(random.integers(len(data) + 1))]


def insert(random: Random, data: bytes, other: bytes) -> bytes:
    at = int(random.integers(len(data) + 1))
    return data[:at] + random.bytes(int(random.integers(1, 9))) + data[at:]


def delete(random: Random, data: bytes, other: bytes) -> bytes:
    at = int(random.integers(len(data) + 1))
    return data[:at] + data[at + int(random.integers(1, 17)) :]


def repeat(random: Random, data: bytes, other: bytes) -> bytes:
    start, end = sorted(int(at) for at in random.integers(0, len(data) + 1, 2))
    return data[:end] + data[start:]


def splice(random: Random, data: bytes, other: bytes) -> bytes:
    """The beginning of one, the end of another."""
    return data[: int(random.integers(len(data) + 1))] + other[int(random.integers(len(other) + 1)) :]


BYTE_CHANGES: tuple[Callable[[Random, bytes, bytes], bytes], ...] = (
    *(flip_bits, set_bytes, set_number, truncate, insert, delete, repeat, splice),
)


# Changes of parts: `parts` are changed in place; `others` are those of another file of the corpus.


def change_parts(
    random: Random, format: Format, change: Callable[[Random, Parts, Parts], None], data: bytes, other: bytes
) -> bytes | None:
    """None where `data` was already changed into what has no parts."""
    read, write = (read_segments, write_segments) if format == "JPEG" else (read_chunks, write_chunks)
    parts, others = read(data), read(other)
    if not parts or not others:
        return None
    change(random, parts, others)
    return write(parts)


def drop(random: Random, parts: Parts, others: Parts) -> None:
    del parts[int(random.integers(len(parts)))]


def swap(random: Random, parts: Parts, others: Parts) -> None:
    i, k = (int(place) for place in random.integers(0, len(parts), 2))
    parts[i], parts[k] = parts[k], parts[i]


def copy(random: Random, parts: Parts, others: Parts) -> None:
    parts.insert(int(random.integers(len(parts) + 1)), pick(random, parts))


def transplant(random: Random, parts: Parts, others: Parts) -> None:
    """A part of another file, added or in place of its namesake."""
    name, body = pick(random, others)
    same = [i for i, part in enumerate(parts) if part[0] == name]
    if same and random.random() < 0.7:
        parts[pick(random, same)] = (name, body)
    else:
        parts.insert(int(random.integers(len(parts) + 1)), (name, body))


def change_body(random: Random, parts: Parts, others: Parts) -> None:
    i = int(random.integers(len(parts)))
    name, body = parts[i]
    parts[i] = (name, pick(random, BYTE_CHANGES)(random, body, pick(random, others)[1]))


def change_pixels(random: Random, parts: Parts, others: Parts) -> None:
    """The inflated rows of a PNG, deflated again; the entropy-coded data of a JPEG."""
    for i, (name, body) in enumerate(parts):
        if name == b"":
            parts[i] = (name, pick(random, (*BYTE_CHANGES, change_restart))(random, body, body))
        elif name == b"IDAT":
            stream = b"".join(body for name, body in parts if name == b"IDAT")
            try:
                rows = zlib.decompressobj().decompress(stream, 1 << 20)
            except zlib.error:
                return
            rows = pick(random, BYTE_CHANGES)(random, rows, rows)
            parts[:] = [part for part in parts if part[0] != b"IDAT"]
            parts.insert(i, (name, zlib.compress(rows, int(random.integers(10)))))
            return


def change_restart(random: Random, data: bytes, other: bytes) -> bytes:
    """A restart marker in entropy-coded data, another number in one that is there, or another byte after 0xFF."""
    at = int(random.integers(len(data) + 1))
    found = data.find(b"\xff", at)
    if found >= 0:
        return data[: found + 1] + bytes([pick(random, (0, 0xD0, 0xD1, 0xD7, 0xD9, 0xFF))]) + data[found + 2 :]
    return data[:at] + bytes([0xFF, 0xD0 + int(random.integers(8))]) + data[at:]


def change_header(random: Random, parts: Parts, others: Parts) -> None:
    """One field of IHDR or of the frame header."""
    for i, (name, body) in enumerate(parts):
        if name == b"IHDR" and len(body) == 13:
            fields = list(struct.unpack(">IIBBBBB", body))
            place = int(random.integers(7))
            fields[place] = int(pick(random, INTERESTING)) % (1 << 32 if place < 2 else 256)
            if place < 2 and random.random() < 0.5:
                fields[place] = int(random.integers(1, 64))
            parts[i] = (name, struct.pack(">IIBBBBB", *fields))
        elif name in (b"\xc0", b"\xc1", b"\xc2") and body:
            place = int(random.integers(len(body)))
            value = pick(random, (*INTERESTING[:18], 0x11, 0x12, 0x21, 0x22, 0x41, 0x14))
            parts[i] = (name, body[:place] + bytes([value]) + body[place + 1 :])


PART_CHANGES: dict[Format, tuple[Callable[[Random, Parts, Parts], None], ...]] = {
    format: (drop, swap, copy, transplant, change_body, change_body, change_pixels, change_pixels, change_header)
    for format in ("JPEG", "PNG")
}


def read_chunks(data: bytes) -> Parts:
    parts, at = [], len(SIGNATURE)
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        parts.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return parts


def write_chunks(parts: Parts) -> bytes:
    return SIGNATURE + b"".join(chunk(name, body) for name, body in parts)


def read_segments(data: bytes) -> Parts:
    """Up to the first entropy-coded data segment by segment; that goes to the end marker, if there is one."""
    parts, at = [], 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1 : at + 2], int.from_bytes(data[at + 2 : at + 4], "big")
        parts.append((marker, data[at + 4 : at + 2 + length]))
        at += 2 + max(length, 2)
        if marker == b"\xda":
            end = data.rfind(b"\xff\xd9", at)
            parts.append((b"", data[at : end if end >= 0 else len(data)]))
            break
    return parts


def write_segments(parts: Parts) -> bytes:
    out = b"\xff\xd8"
    for marker, body in parts:
        body = body[:65533]
        out += b"\xff" + marker + (len(body) + 2).to_bytes(2, "big") + body if marker else body
    return out + b"\xff\xd9"
