"""What a file is, by its first bytes: an image of a format that we read, or something else that has a name."""

import codecs
import re

from gen_dist.sources.source import RejectedError

SIGNATURE_BYTES = 4096  # bytes
READ = "JPEG, PNG, BMP, GIF, WebP, TIFF and PPM"

_ACCEPTED = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"BM")
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PPM = re.compile(rb"P[1-6][\s#]")
_JPEG_2000 = "a JPEG 2000 image"
_RAW = "a camera's raw file"
_VIDEO = "a video"
_NAMED = {
    b"\xff\x0a": "a JPEG XL image",
    b"\0\0\0\x0cJXL \r\n\x87\n": "a JPEG XL image",
    b"\0\0\0\x0cjP  \r\n\x87\n": _JPEG_2000,
    b"\xff\x4f\xff\x51": _JPEG_2000,
    b"8BPS": "a Photoshop file (PSD)",
    b"%PDF": "a PDF document",
    b"%!PS": "a PostScript document",
    b"FUJIFILMCCD-RAW": _RAW,
    b"IIRO": _RAW,
    b"IIRS": _RAW,
    b"IIU\0": _RAW,
    b"FOVb": _RAW,
    b"\0\0\1\0": "an icon (ICO)",
    b"\x1aE\xdf\xa3": _VIDEO,
    b"\0\0\1\xba": _VIDEO,
    b"\0\0\1\xb3": _VIDEO,
    b"FLV\1": _VIDEO,
    b"OggS": _VIDEO,
    b"0&\xb2u\x8ef\xcf\x11": _VIDEO,
    b"PK\3\4": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"v/1\1": "an OpenEXR image",
    b"#?RADIANCE": "a Radiance image (HDR)",
    b"qoif": "a QOI image",
    b"Pf": "a PFM image",
    b"PF": "a PFM image",
    b"P7": "a PAM image",
}
_BRANDS = (  # of ISO media files (ISO/IEC 14496-12), in the order in which they are looked for
    ((b"avif", b"avis"), "an AVIF image"),
    ((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "a HEIC/HEIF image"),
    ((b"crx ",), _RAW),
)
_MARKUP = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_TEXT = bytes({*range(0x20, 0x7F), *b"\t\n\r\f\x1b"})


def check_image(data: bytes) -> None:
    """Raises RejectedError unless a file begins as one of the formats that we read.

    Of a long file the first SIGNATURE_BYTES bytes are enough.
    """
    if not data:
        raise RejectedError("empty file")
    if _is_read(data):
        return
    if name := _name(data[:SIGNATURE_BYTES]):
        raise RejectedError(f"{name}, which is not read ({READ} are)")
    raise RejectedError(f"not an image ({READ} are read)")


def _is_read(data: bytes) -> bool:
    if data.startswith(_ACCEPTED) or _PPM.match(data):
        return True
    if data.startswith(_TIFF):
        return data[8:10] != b"CR"  # Canon's raw files, in which TIFF holds a thumbnail
    return data.startswith(b"RIFF") and data[8:12] == b"WEBP"


def _name(start: bytes) -> str:
    """What else it is, as far as can be told; else nothing."""
    if start.startswith(_TIFF):
        return _RAW
    if start[4:8] == b"ftyp":
        return _media(start)
    if start.startswith(b"RIFF"):
        return {b"AVI ": _VIDEO, b"WAVE": "a sound file"}.get(start[8:12], "")
    for signature, name in _NAMED.items():
        if start.startswith(signature):
            return name
    if b"<svg" in start:
        return "an SVG drawing"
    if _MARKUP.match(start):
        return "a web page (HTML)"
    return "a text file" if _is_text(start) else ""


def _media(start: bytes) -> str:
    length = int.from_bytes(start[:4], "big")
    brands = [start[i : i + 4] for i in (8, *range(16, min(length, len(start)) - 3, 4))]
    return next((name for known, name in _BRANDS if any(brand in known for brand in brands)), _VIDEO)


def _is_text(start: bytes) -> bool:
    """UTF-8 without control characters; the last character may be cut."""
    if len(start.translate(None, _TEXT)) == 0:
        return True
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False
    return not any(ord(character) < 0x20 and character not in "\t\n\r\f\x1b" for character in text)
