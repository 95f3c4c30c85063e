"""Whether bytes start like an image of a format that is decoded."""

from gen_dist.sources.source import RejectedError

_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"RIFF")
SIGNATURE_BYTES = 16


def check_image(data: bytes) -> None:
    """Raises RejectedError if a file that starts with `data`, at least 16 bytes or all of it, is not worth decoding."""
    if not data.startswith(_SIGNATURES) or (data.startswith(b"RIFF") and data[8:12] != b"WEBP"):
        raise RejectedError("not an image (JPEG, PNG, BMP, GIF and WebP are read)")
