"""What `tests.nasty` makes its files with: encoders that write by the book, and others that do not."""

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, features

WIDTH, HEIGHT = 44, 34
WHITE = (255, 255, 255)
# The tolerance of colour JPEGs: chroma of half the size, and of full size.
HALVED, FULL = 14, 2


@dataclass(frozen=True)
class Case:
    """A file, and what should become of it.

    Args:
        data: the file.
        image: uint8, H x W x 3: the whole upright picture; None where there should be none.
        reason: a part of the reason, where there is no image.
        by_kernels: the same where our kernels say something else.
        tolerance: levels by which a pixel may differ with our kernels, which do not enlarge chroma before they scale.
        frames: how many images it gives if all are asked for.
    """

    data: bytes
    image: np.ndarray | None = None
    reason: str = ""
    by_kernels: str = ""
    tolerance: int = 0
    frames: int = 1


def picture(width: int = WIDTH, height: int = HEIGHT, mode: str = "RGB", seed: int = 0) -> Image.Image:
    """Smooth and colourful, different in every corner."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def shown(data: bytes) -> np.ndarray:
    """What Pillow shows of a file: its first frame, upright, on white."""
    return on_white(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))


def on_white(image: Image.Image) -> np.ndarray:
    if image.has_transparency_data:
        image = image.convert("RGBA")
        below = Image.new("RGB", image.size, WHITE)
        below.paste(image, mask=image.getchannel("A"))
        image = below
    return np.asarray(image.convert("RGB"))


def good(data: bytes, tolerance: int = 0, frames: int = 1) -> Case:
    return Case(data, shown(data), tolerance=tolerance, frames=frames)


def bad(data: bytes, reason: str, by_kernels: str = "") -> Case:
    return Case(data, reason=reason, by_kernels=by_kernels)


def photo(**options: object) -> bytes:
    return encoded(picture(), "JPEG", **{"quality": 90, **options})


def large_photo() -> bytes:
    return encoded(picture(200, 200), "JPEG", quality=90)


def drawing(mode: str = "RGB", **options: object) -> bytes:
    return encoded(picture(mode=mode), "PNG", **options)


def exif(orientation: int) -> bytes:
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(
    width: int, height: int, rows: bytes, depth: int = 8, colour: int = 2, *before: bytes, interlace: int = 0
) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))
    data = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(before) + data + chunk(b"IEND", b"")


def png_rows(pixels: np.ndarray) -> bytes:
    """Unfiltered rows of H x W x C pixels."""
    wide = pixels.astype(f">u{pixels.dtype.itemsize}")
    return b"".join(b"\0" + row.tobytes() for row in wide)


def adam7(pixels: np.ndarray) -> bytes:
    """An interlaced PNG of RGB pixels."""
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    rows = b"".join(png_rows(pixels[top::down, left::across]) for left, top, across, down in passes)
    return png(pixels.shape[1], pixels.shape[0], rows, interlace=1)


def damaged(data: bytes, place: float, bits: int = 0xFF) -> bytes:
    changed = bytearray(data)
    changed[int(len(data) * place)] ^= bits
    return bytes(changed)


def part(data: bytes, share: float) -> bytes:
    return data[: int(len(data) * share)]


def without(data: bytes, marker: int) -> bytes:
    """A JPEG without its first segment of a kind."""
    at = data.index(bytes([0xFF, marker]))
    return data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :]


def behind_soi(data: bytes, *segments: bytes) -> bytes:
    return data[:2] + b"".join(segments) + data[2:]


def resized_header(data: bytes, width: int, height: int) -> bytes:
    """A JPEG that claims another size."""
    at = data.index(b"\xff\xc0")
    return data[: at + 5] + struct.pack(">HH", height, width) + data[at + 9 :]


def animation(kind: str, count: int = 3) -> bytes:
    first, *rest = (picture(seed=seed).quantize(32) if kind == "GIF" else picture(seed=seed) for seed in range(count))
    return encoded(first, kind, save_all=True, append_images=rest)


def grey_16(fill: Callable[[np.ndarray], bytes]) -> Case:
    values = np.linspace(0, 65535, WIDTH * HEIGHT).round().astype(np.uint16).reshape(HEIGHT, WIDTH)
    scaled = np.round(values / 257).astype(np.uint8)
    return Case(fill(values), scaled[..., None].repeat(3, axis=2))


def tiff_16(values: np.ndarray) -> bytes:
    return encoded(Image.frombytes("I;16", (WIDTH, HEIGHT), values.tobytes()), "TIFF")


def pgm_16(values: np.ndarray) -> bytes:
    return b"P5 %d %d 65535\n" % (WIDTH, HEIGHT) + values.astype(">u2").tobytes()


def rgb_16() -> Case:
    """Pillow reads the upper bytes alone."""
    values = np.random.default_rng(0).integers(0, 65536, (HEIGHT, WIDTH, 3), dtype=np.uint16)
    return Case(png(WIDTH, HEIGHT, png_rows(values), 16), (values >> 8).astype(np.uint8))


def xmp(orientation: int) -> bytes:
    text = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="{orientation}"/></x:xmpmeta>'
    return segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + text.encode())


def ycck() -> Case:
    """CMYK as Photoshop stores it: turned into YCCK, and inverted, says the Adobe marker."""
    data = bytearray(encoded(picture(mode="CMYK"), "JPEG", quality=95))
    data[data.index(b"Adobe") + 11] = 2
    return good(bytes(data))


def gif_header(width: int, height: int) -> bytes:
    """A GIF whose screen and only frame are of a size, with hardly any data."""
    palette = bytes(6)
    frame = b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x4c\x01\x00"
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + palette + frame + b";"


def bmp_header(width: int, height: int) -> bytes:
    return (
        b"BM" + struct.pack("<IIIIiiHHIIiiII", 54 + 16, 0, 54, 40, width, height, 1, 24, 0, 16, 0, 0, 0, 0) + bytes(16)
    )


def tiff_header(width: int, height: int) -> bytes:
    """Little-endian, one strip of 16 bytes."""
    entries = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 200),
               (278, 4, height), (279, 4, 16)]  # fmt: skip
    table = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    return (b"II*\0" + struct.pack("<IH", 8, len(entries)) + table + bytes(4)).ljust(200, b"\0") + bytes(16)


def key_png() -> bytes:
    """RGB, one colour of which is transparent."""
    pixels = np.asarray(picture().quantize(8).convert("RGB"))
    return png(WIDTH, HEIGHT, png_rows(pixels), 8, 2, chunk(b"tRNS", struct.pack(">3H", *pixels[5, 5].tolist())))


def transparent_palette() -> bytes:
    return encoded(picture().quantize(20), "PNG", transparency=bytes(range(0, 200, 10)))


def rgba() -> Image.Image:
    return Image.merge("RGBA", (*picture().split(), picture(mode="L", seed=1)))


def zlib_bomb() -> bytes:
    """64 MB behind the last pixel."""
    pixels = np.asarray(picture())
    return png(WIDTH, HEIGHT, png_rows(pixels) + bytes(64 << 20))


def text_bomb() -> Case:
    """A text of 64 MB in a chunk, which Pillow does not inflate beyond a limit, and we do not inflate at all."""
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(64 << 20)))
    pixels = np.asarray(picture())
    data = png(WIDTH, HEIGHT, png_rows(pixels), 8, 2, text)
    return Case(data, pixels, reason="damaged or cut short (Decompressed data too large")


def media(*brands: bytes) -> bytes:
    body = b"ftyp" + brands[0] + bytes(4) + b"".join(brands[1:])
    return struct.pack(">I", len(body) + 4) + body + bytes(100)


def damaged_scan() -> bytes:
    """Data that end a block in the wrong place for sure: all ones, stuffed."""
    data = large_photo()
    at = data.index(b"\xff\xda") + 100
    return data[:at] + b"\xff\0" * 40 + data[at + 80 :]


def misordered() -> bytes:
    data = bytearray(encoded(picture(200, 200), "JPEG", restart_marker_blocks=2))
    data[data.index(b"\xff\xd3", data.index(b"\xff\xda")) + 1] = 0xD5
    return bytes(data)


def tableless() -> bytes:
    """libjpeg then takes the standard's tables."""
    data = photo()
    while b"\xff\xc4" in data:
        data = without(data, 0xC4)
    return data


def precise() -> bytes:
    data = bytearray(photo())
    data[data.index(b"\xff\xc0") + 4] = 12
    return bytes(data)


def packed_tiff() -> Case:
    """Compressed by PackBits, every row a run of literal bytes; only a Pillow with libtiff reads it."""
    pixels = np.asarray(picture(mode="L"))
    strip = b"".join(bytes([WIDTH - 1]) + row.tobytes() for row in pixels)
    entries = [(256, WIDTH), (257, HEIGHT), (258, 8), (259, 32773), (262, 1), (273, 200), (278, HEIGHT),
               (279, len(strip))]  # fmt: skip
    table = b"".join(struct.pack("<HHII", tag, 4 if tag in (273, 279) else 3, 1, value) for tag, value in entries)
    data = (b"II*\0" + struct.pack("<IH", 8, len(entries)) + table + bytes(4)).ljust(200, b"\0") + strip
    return good(data) if features.check("libtiff") else bad(data, "a TIFF with compression packbits, which this Pillow")


def text_ppm() -> bytes:
    numbers = " ".join(map(str, np.asarray(picture(8, 8)).reshape(-1).tolist()))
    return f"P3\n# a comment\n8 8\n255\n{numbers}\n".encode()


def top_down_bmp() -> bytes:
    """A negative height says that the first row is the top one."""
    data = bytearray(encoded(picture(), "BMP"))
    data[22:26] = struct.pack("<i", -HEIGHT)
    return bytes(data)


def webp_file(**options: object) -> bytes:
    """A WebP, or where Pillow writes none, what looks like one."""
    return encoded(picture(), "WEBP", **options) if features.check("webp") else b"RIFF\x24\0\0\0WEBPVP8 " + bytes(24)


def webp(**options: object) -> Case:
    data, frames = webp_file(**options), 1 + len(options.get("append_images", ()))  # type: ignore[arg-type]
    return good(data, frames=frames) if features.check("webp") else bad(data, "WebP, which this Pillow cannot read")
