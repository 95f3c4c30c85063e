"""Nasty files, made by script: what people's folders hold, what breaks decoders, and what should become of each.

`CASES` maps a name to a function that makes a `Case`; nothing is random but from fixed seeds.
"""

import io
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, features

WIDTH, HEIGHT = 44, 34
CUT, NOT_READ = "damaged", "which is not read"
WHITE = (255, 255, 255)


@dataclass(frozen=True)
class Case:
    """A file, and what should become of it.

    Args:
        data: the file.
        image: uint8, H x W x 3: the whole upright picture; None where there should be none.
        reason: a part of the reason, where there is no image.
        by_kernels: the same where our kernels say something else.
        tolerance: levels by which a pixel may differ with our kernels: their chroma is not enlarged before it is scaled.
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


# The tolerance of colour JPEGs: chroma of half the size, and of full size.
HALVED, FULL = 14, 2


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
    entries = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 200), (278, 4, height),
               (279, 4, 16)]  # fmt: skip
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


CASES: dict[str, Callable[[], Case]] = {
    # Cut short
    **{
        f"cut {kind} {share:g}": lambda kind=kind, share=share: bad(part(encoded(picture(200, 200), kind), share), CUT)
        for kind in ("JPEG", "PNG", "BMP", "GIF", "TIFF", "PPM")
        for share in (0.03, 0.5, 0.97)
    },
    "nothing": lambda: bad(b"", "empty file"),
    "one byte": lambda: bad(b"\xff", "not an image"),
    "a thousand zero bytes": lambda: bad(bytes(1000), "not an image"),
    "signature of JPEG alone": lambda: bad(b"\xff\xd8\xff", "damaged", "damaged, cut short"),
    "signature of PNG alone": lambda: bad(b"\x89PNG\r\n\x1a\n", "damaged", CUT),
    "JPEG cut, then ended": lambda: bad(part(large_photo(), 0.5) + b"\xff\xd9", "premature end", "ends too early"),
    "progressive JPEG cut, then ended": lambda: bad(part(photo(progressive=True), 0.6) + b"\xff\xd9", "remature end"),
    "JPEG without its end marker": lambda: bad(photo()[:-2], CUT),
    # Damaged
    "JPEG with damaged data": lambda: bad(damaged_scan(), "damaged"),
    "PNG with a wrong checksum": lambda: bad(damaged(drawing(), 0.5), "damaged or cut short", "checksum"),
    "PNG with a damaged header": lambda: bad(damaged(drawing(), 18 / len(drawing()), 1), "damaged", "checksum"),
    "PNG without rows": lambda: bad(png(WIDTH, HEIGHT, b""), CUT),
    "PNG with an unknown filter": lambda: bad(png(WIDTH, HEIGHT, b"\7" + bytes(3 * WIDTH) + bytes((3 * WIDTH + 1) * (HEIGHT - 1))), "damaged", "unknown filter"),
    "PNG with a colour type that is none": lambda: bad(png(WIDTH, HEIGHT, bytes(5000), 8, 5), "damaged", "does not have"),
    "JPEG with restart markers out of order": lambda: bad(misordered(), "instead of RST", "restart marker"),
    "JPEG of 12 bits": lambda: bad(precise(), "damaged"),
    # Absurd headers
    "PNG of 50,000 x 50,000": lambda: bad(png(50_000, 50_000, bytes(100)), "50000×50000 pixels: more than 100 million"),
    "PNG of 2^31 - 1 x 1": lambda: bad(png(2**31 - 1, 1, bytes(100)), "a side of more than 65500"),
    "PNG of 0 x 0": lambda: bad(png(0, 0, bytes(100)), "damaged", "nothing to decode"),
    "JPEG of 0 x 0": lambda: bad(resized_header(photo(), 0, 0), "damaged", "no pixels"),
    "JPEG of 65,535 x 1": lambda: bad(resized_header(photo(), 65_535, 1), "65535×1 pixels: a side of more than 65500"),
    "JPEG of 60,000 x 60,000": lambda: bad(resized_header(photo(), 60_000, 60_000), "60000×60000 pixels: more than 100"),
    "JPEG larger than its data": lambda: bad(resized_header(photo(), 440, 340), "damaged"),
    "GIF of 65,535 x 65,535": lambda: bad(gif_header(65_535, 65_535), "a side of more than 65500"),
    "GIF of 30,000 x 30,000": lambda: bad(gif_header(30_000, 30_000), "more than 100 million"),
    "BMP of a negative width": lambda: bad(bmp_header(-5, 5), "pixels"),
    "BMP of 50,000 x 50,000": lambda: bad(bmp_header(50_000, 50_000), "more than 100 million"),
    "TIFF of 60,000 x 60,000": lambda: bad(tiff_header(60_000, 60_000), "more than 100 million"),
    "TIFF of 9,000 x 9,000 without data": lambda: bad(tiff_header(9_000, 9_000), "damaged or cut short"),
    "PPM of 60,000 x 60,000": lambda: bad(b"P6 60000 60000 255\n" + bytes(100), "more than 100 million"),
    "PPM of 2^40 x 1": lambda: bad(b"P6 1099511627776 1 255\n" + bytes(100), "damaged"),
    # Bombs
    "PNG that inflates to 64 MB more": lambda: Case(zlib_bomb(), np.asarray(picture())),
    "PNG with a text of 64 MB": text_bomb,
    "JPEG of 200 scans": lambda: bad(photo(progressive=True) + b"\xff\xda" * 200, "scans, more than 100"),
    # Kinds
    "JPEG, chroma halved": lambda: good(photo(), HALVED),
    "JPEG, chroma halved across": lambda: good(photo(subsampling="4:2:2"), HALVED),
    "JPEG, full chroma": lambda: good(photo(subsampling=0), FULL),
    "JPEG, grey": lambda: good(encoded(picture(mode="L"), "JPEG", quality=90)),
    "JPEG, progressive": lambda: good(photo(progressive=True)),
    "JPEG, optimised": lambda: good(photo(optimize=True, subsampling=0), FULL),
    "JPEG without Huffman tables, as in films": lambda: good(tableless()),
    "JPEG with restart markers": lambda: good(photo(restart_marker_blocks=1, subsampling=0), FULL),
    "JPEG, CMYK": lambda: good(encoded(picture(mode="CMYK"), "JPEG", quality=90)),
    "JPEG, CMYK without Adobe's marker": lambda: good(without(encoded(picture(mode="CMYK"), "JPEG", quality=90), 0xEE)),
    "JPEG, YCCK": ycck,
    "JPEG, RGB": lambda: good(photo(keep_rgb=True, subsampling=0), FULL),
    "PNG, 1 bit": lambda: good(drawing("1")),
    "PNG, palette": lambda: good(encoded(picture().quantize(20), "PNG")),
    "PNG, palette of 2 bits": lambda: good(encoded(picture().quantize(4), "PNG", bits=2)),
    "PNG, palette with transparency": lambda: good(transparent_palette()),
    "PNG, a transparent colour": lambda: good(key_png()),
    "PNG, grey and alpha": lambda: good(encoded(rgba().convert("LA"), "PNG")),
    "PNG, RGBA": lambda: good(encoded(rgba(), "PNG")),
    "PNG, all transparent": lambda: good(encoded(Image.new("RGBA", (WIDTH, HEIGHT), (9, 9, 9, 0)), "PNG")),
    "PNG, interlaced": lambda: Case(adam7(np.asarray(picture())), np.asarray(picture())),
    "PNG, 16-bit grey": lambda: grey_16(lambda values: encoded(Image.fromarray(values), "PNG")),
    "PNG, 16-bit RGB": rgb_16,
    "TIFF, 16-bit grey": lambda: grey_16(tiff_16),
    "PGM, 16-bit": lambda: grey_16(pgm_16),
    "TIFF": lambda: good(encoded(picture(), "TIFF")),
    "TIFF, packed": lambda: packed_tiff(),
    "TIFF, CMYK": lambda: good(encoded(picture(mode="CMYK"), "TIFF")),
    "TIFF of several pages": lambda: good(encoded(picture(), "TIFF", save_all=True, append_images=[picture(seed=1)])),
    "TIFF of floats": lambda: bad(encoded(Image.new("F", (9, 9)), "TIFF"), "whose range nobody knows"),
    "PPM": lambda: good(encoded(picture(), "PPM")),
    "PPM as text": lambda: Case(text_ppm(), np.asarray(picture(8, 8))),
    "PBM": lambda: good(encoded(picture(mode="1"), "PPM")),
    "BMP": lambda: good(encoded(picture(), "BMP")),
    "BMP, palette": lambda: good(encoded(picture().quantize(20), "BMP")),
    "BMP from the top down": lambda: good(top_down_bmp()),
    "GIF": lambda: good(encoded(picture().quantize(20), "GIF")),
    "GIF, transparent": lambda: good(encoded(picture().quantize(20), "GIF", transparency=3)),
    # Sizes
    **{
        f"{kind} of 1 x 1": lambda kind=kind: good(encoded(picture(1, 1), kind), FULL)
        for kind in ("JPEG", "PNG", "GIF", "BMP", "TIFF")
    },
    **{
        f"{kind} of {width} x {height}": lambda kind=kind, width=width, height=height: good(
            encoded(picture(width, height), kind, **{"subsampling": 0} if kind == "JPEG" else {}), FULL
        )
        for kind in ("JPEG", "PNG")
        for width, height in ((1, 3000), (3000, 1))
    },
    # Orientation
    **{
        f"JPEG, EXIF orientation {number}": lambda number=number: good(photo(exif=exif(number), subsampling=0), FULL)
        for number in range(1, 9)
    },
    "PNG, EXIF orientation": lambda: good(drawing(exif=exif(6))),
    "JPEG, XMP orientation": lambda: good(behind_soi(photo(subsampling=0), xmp(6)), FULL),
    "JPEG, EXIF that makes no sense": lambda: Case(
        behind_soi(photo(subsampling=0), segment(0xE1, b"Exif\0\0MM\0*\xff\xff\xff\xff")),
        shown(photo(subsampling=0)), tolerance=FULL),
    # Animations: the first frame
    "GIF, animated": lambda: good(animation("GIF"), frames=3),
    "APNG": lambda: good(animation("PNG"), frames=3),
    # Around and between
    "JPEG with junk behind it": lambda: good(photo() + b"junk" * 1000, HALVED),
    "JPEG with stray bytes before its end": lambda: good(photo()[:-2] + bytes(5) + b"\xff\xd9", HALVED),
    "PNG with junk behind it": lambda: good(drawing() + b"junk" * 1000),
    "JPEG and zip at once": lambda: good(photo() + b"PK\3\4" + bytes(100) + b"PK\5\6" + bytes(18), HALVED),
    "JPEG with a JPEG in it": lambda: good(behind_soi(photo(), segment(0xE2, large_photo()[:60_000])), HALVED),
    "PNG with a page in it": lambda: good(png(WIDTH, HEIGHT, png_rows(np.asarray(picture())), 8, 2, chunk(b"teXt", b"<html>"))),
    # Not read
    "HEIC": lambda: bad(media(b"heic", b"mif1"), f"a HEIC/HEIF image, {NOT_READ}"),
    "AVIF": lambda: bad(media(b"mif1", b"avif"), f"an AVIF image, {NOT_READ}"),
    "MP4": lambda: bad(media(b"isom", b"mp42"), f"a video, {NOT_READ}"),
    "Matroska": lambda: bad(b"\x1aE\xdf\xa3" + bytes(50), f"a video, {NOT_READ}"),
    "AVI": lambda: bad(b"RIFF\0\0\0\0AVI LIST", f"a video, {NOT_READ}"),
    "JPEG XL": lambda: bad(b"\xff\x0a" + bytes(50), f"a JPEG XL image, {NOT_READ}"),
    "JPEG XL in a box": lambda: bad(b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(50), f"a JPEG XL image, {NOT_READ}"),
    "JPEG 2000": lambda: bad(b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(50), f"a JPEG 2000 image, {NOT_READ}"),
    "SVG": lambda: bad(b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', f"an SVG drawing, {NOT_READ}"),
    "PSD": lambda: bad(b"8BPS\0\1" + bytes(50), f"a Photoshop file (PSD), {NOT_READ}"),
    "PDF": lambda: bad(b"%PDF-1.7\n", f"a PDF document, {NOT_READ}"),
    "raw, Canon": lambda: bad(b"II*\0\x10\0\0\0CR\2\0" + bytes(50), f"a camera's raw file, {NOT_READ}"),
    "raw, Canon's newer": lambda: bad(media(b"crx ", b"isom"), f"a camera's raw file, {NOT_READ}"),
    "raw, Fujifilm": lambda: bad(b"FUJIFILMCCD-RAW 0201", f"a camera's raw file, {NOT_READ}"),
    "raw, DNG": lambda: bad(encoded(picture(), "TIFF", tiffinfo={50706: b"\1\4\0\0"}), "a camera's raw file"),
    "a page": lambda: bad(b"\n<!DOCTYPE html><html><body>404", f"a web page (HTML), {NOT_READ}"),
    "a text": lambda: bad("naïve text\n".encode() * 500, f"a text file, {NOT_READ}"),
    "zip": lambda: bad(b"PK\3\4" + bytes(50), f"a zip archive, {NOT_READ}"),
    "random bytes": lambda: bad(b"\0\1\2" + np.random.default_rng(0).bytes(500), "not an image"),
}  # fmt: skip


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


def put_odd_files(folder: Path) -> dict[str, str]:
    """What is not just a file with an odd content: names to reasons, "" where an image should come of it."""
    folder.mkdir(parents=True, exist_ok=True)
    content = drawing()
    odd = {
        "fifo.png": "not a regular file",
        "loop.png": "Too many levels of symbolic links",
        "dangling.png": "No such file or directory",
        "empty.png": "empty file",
        "huge.png": "bytes, more than",
        "JPEG.png": "",
        "no extension": "",
        "line\nbreak.png": "",
        os.fsdecode(b"caf\xe9.png"): "",
        "n" * 240 + ".png": "",
    }
    for name, reason in odd.items():
        if not reason:
            with open(os.path.join(os.fsencode(folder), os.fsencode(name)), "wb") as file:
                file.write(photo() if name == "JPEG.png" else content)
    os.mkfifo(folder / "fifo.png")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "dangling.png").symlink_to("nowhere")
    (folder / "empty.png").touch()
    (folder / "huge.png").touch()
    os.truncate(folder / "huge.png", 500 << 20)  # sparse
    (folder / "inner").mkdir()
    (folder / "inner" / "back").symlink_to("..")  # a folder that holds itself
    if os.geteuid():  # root reads everything
        (folder / "secret.png").write_bytes(content)
        (folder / "secret.png").chmod(0)
        odd["secret.png"] = "Permission denied"
    return odd
