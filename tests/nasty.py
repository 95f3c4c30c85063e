"""Nasty files, made by script: what people's folders hold, what breaks decoders, and what should become of each.

`CASES` maps a name to a function that makes a `Case`; nothing is random but from fixed seeds.
"""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, features

from tests.nasty_files import (
    FULL,
    HALVED,
    HEIGHT,
    WIDTH,
    Case,
    adam7,
    animation,
    bad,
    behind_soi,
    bmp_header,
    chunk,
    damaged,
    damaged_scan,
    drawing,
    encoded,
    exif,
    gif_header,
    good,
    grey_16,
    key_png,
    large_photo,
    media,
    misordered,
    packed_tiff,
    part,
    pgm_16,
    photo,
    picture,
    png,
    png_rows,
    precise,
    resized_header,
    rgb_16,
    rgba,
    segment,
    shown,
    tableless,
    text_bomb,
    text_ppm,
    tiff_16,
    tiff_header,
    top_down_bmp,
    transparent_palette,
    webp,
    webp_file,
    without,
    xmp,
    ycck,
    zlib_bomb,
)

CUT, NOT_READ = "damaged", "which is not read"

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
    "PNG with an unknown filter": lambda: bad(
        png(WIDTH, HEIGHT, b"\7" + bytes((3 * WIDTH + 1) * HEIGHT - 1)), "damaged", "unknown filter"),
    "PNG of colour type 5": lambda: bad(png(WIDTH, HEIGHT, bytes(5000), 8, 5), "damaged", "does not have"),
    "JPEG with restart markers out of order": lambda: bad(misordered(), "instead of RST", "restart marker"),
    "JPEG of 12 bits": lambda: bad(precise(), "damaged"),
    # Absurd headers
    "PNG of 50,000 x 50,000": lambda: bad(png(50_000, 50_000, bytes(100)), "50000×50000 pixels: more than 100 million"),
    "PNG of 2^31 - 1 x 1": lambda: bad(png(2**31 - 1, 1, bytes(100)), "a side of more than 65500"),
    "PNG of 0 x 0": lambda: bad(png(0, 0, bytes(100)), "damaged", "nothing to decode"),
    "JPEG of 0 x 0": lambda: bad(resized_header(photo(), 0, 0), "damaged", "no pixels"),
    "JPEG of 65,535 x 1": lambda: bad(resized_header(photo(), 65_535, 1), "65535×1 pixels: a side of more than 65500"),
    "JPEG of 60,000 x 60,000": lambda: bad(resized_header(photo(), 60_000, 60_000), "more than 100 million"),
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
    "WebP": lambda: webp(lossless=True),
    "WebP, animated": lambda: webp(lossless=True, save_all=True, append_images=[picture(seed=1)]),
    "WebP, cut": lambda: bad(
        part(webp_file(), 0.5), "damaged" if features.check("webp") else "WebP, which this Pillow"),
    # Around and between
    "JPEG with junk behind it": lambda: good(photo() + b"junk" * 1000, HALVED),
    "JPEG with stray bytes before its end": lambda: good(photo()[:-2] + bytes(5) + b"\xff\xd9", HALVED),
    "PNG with junk behind it": lambda: good(drawing() + b"junk" * 1000),
    "JPEG and zip at once": lambda: good(photo() + b"PK\3\4" + bytes(100) + b"PK\5\6" + bytes(18), HALVED),
    "JPEG with a JPEG in it": lambda: good(behind_soi(photo(), segment(0xE2, large_photo()[:60_000])), HALVED),
    "PNG with a page in it": lambda: good(
        png(WIDTH, HEIGHT, png_rows(np.asarray(picture())), 8, 2, chunk(b"teXt", b"<html>"))),
    # Not read
    "HEIC": lambda: bad(media(b"heic", b"mif1"), f"a HEIC/HEIF image, {NOT_READ}"),
    "AVIF": lambda: bad(media(b"mif1", b"avif"), f"an AVIF image, {NOT_READ}"),
    "MP4": lambda: bad(media(b"isom", b"mp42"), f"a video, {NOT_READ}"),
    "Matroska": lambda: bad(b"\x1aE\xdf\xa3" + bytes(50), f"a video, {NOT_READ}"),
    "AVI": lambda: bad(b"RIFF\0\0\0\0AVI LIST", f"a video, {NOT_READ}"),
    "JPEG XL": lambda: bad(b"\xff\x0a" + bytes(50), f"a JPEG XL image, {NOT_READ}"),
    "JPEG XL in a box": lambda: bad(b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(50), f"a JPEG XL image, {NOT_READ}"),
    "JPEG 2000": lambda: bad(b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(50), f"a JPEG 2000 image, {NOT_READ}"),
    "SVG": lambda: bad(b'<?xml version="1.0"?>\n<svg xmlns="x"/>', f"an SVG drawing, {NOT_READ}"),
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
