"""What the files that are worth decoding begin with; names and extensions are not asked."""

from gen_dist.sources.source import RejectedError

SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"RIFF")
SIGNATURE_BYTES = 16  # decide


def check_image(data: bytes) -> None:
    """Raises RejectedError unless a file whose first `SIGNATURE_BYTES` or more are `data` starts like an image of a
    format we decode.
    """
    if not data:
        raise RejectedError("empty file")
    if not data.startswith(SIGNATURES) or (data.startswith(b"RIFF") and data[8:12] != b"WEBP"):
        raise RejectedError("not an image (JPEG, PNG, BMP, GIF and WebP are read)")
