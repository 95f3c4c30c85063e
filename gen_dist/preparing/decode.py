"""Foreign image files decoded at arm's length: `python -m gen_dist.preparing.decode SIZE LIMITS…` serves one parent.

Decoders are large C programs fed with files from anywhere, so they run here, with a limit on memory, and may crash
without harm. SIZE and LIMITS are numbers, the latter the fields of `kernels.limits.Limits` in their order. The parent's
socket is standard input, for both directions. First we send `READY`. Request: length (uint64, little-endian), then the
file's bytes. Reply: 1 and length, then SIZE × SIZE RGB pixels; or 0 and length, then why there are none, as UTF-8.
"""

import contextlib
import io
import resource
import signal
import struct
import sys
import warnings

from PIL import Image, features

from gen_dist.kernels.limits import DecodeError, Limits

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP")
REPLY = struct.Struct("<BQ")
READY = b"!"
LENGTH = struct.Struct("<Q")
MEMORY_BYTES = 3 << 29  # 1.5 GiB of address space
# What libjpeg says when it made up the rest of the picture. Its other warnings (stray bytes) leave the picture whole.
MADE_UP = ("premature end", "bad huffman", "bad arithmetic", "instead of rst")
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a pixel, by a PNG's colour type
# How to turn a picture upright, by its EXIF orientation.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class RefusedError(Exception):
    """Why a file gives no image, in a few words for the user."""


def square(data: bytes, size: int, limits: Limits) -> Image.Image:
    """The image in an encoded file as an RGB square: upright, on white, its centre, Lanczos to `size` pixels.

    The first frame of an animation; colour profiles are ignored. Raises RefusedError, or whatever Pillow raises.
    """
    image = _rgb(_upright(_decode(data, limits)))
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.resize((size, size), Image.Resampling.LANCZOS, box=(left, top, left + side, top + side))


def _decode(data: bytes, limits: Limits) -> Image.Image:
    if data[8:12] == b"WEBP" and not features.check("webp"):
        raise RefusedError("WebP, which this Pillow cannot read (pillow-simd has no WebP, plain pillow has)")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.UnidentifiedImageError:
        raise RefusedError("starts like an image, but its header is damaged") from None
    try:
        limits.check_bytes(len(data))
        limits.check_size(*image.size)
    except DecodeError as error:
        raise RefusedError(str(error)) from None
    if image.format == "PNG" and _inflated(data) > limits.inflated_bytes:
        raise RefusedError(f"{image.width}×{image.height} pixels: inflated, more than {limits.inflated_bytes} bytes")
    if data.startswith(b"\xff\xd8"):
        if (scans := data.count(b"\xff\xda")) > limits.scans:
            raise RefusedError(f"{scans} scans, more than {limits.scans}")
        return _decode_jpeg(data, image)
    image.load()
    return image


def _inflated(data: bytes) -> int:
    """What a PNG's header promises."""
    width, height, depth, colour_type = struct.unpack_from(">IIBB", data, 16)
    return height * (1 + (width * depth * SAMPLES.get(colour_type, 4) + 7) // 8)


def _decode_jpeg(data: bytes, image: Image.Image) -> Image.Image:
    """Through simplejpeg, because Pillow hides libjpeg's warnings, and with them that half of a picture is grey."""
    import simplejpeg  # type: ignore[import-untyped]  # here, since it imports numpy, which a folder of PNGs does not need

    try:
        pixels = simplejpeg.decode_jpeg(data, "CMYK" if image.mode == "CMYK" else "RGB", strict=True)
    except ValueError as error:
        if any(sign in str(error).lower() for sign in MADE_UP):
            raise RefusedError(f"damaged or cut short ({error})") from None
        pixels = None  # a harmless warning, or a kind of JPEG that only Pillow reads
    if pixels is None or image.mode == "CMYK":  # whose inversions Pillow knows
        image.load()
        return image
    decoded = Image.fromarray(pixels)
    decoded.info = image.info
    return decoded


def _upright(image: Image.Image) -> Image.Image:
    turn = None
    with contextlib.suppress(Exception):  # a damaged EXIF block does not make a worse picture
        turn = TURNS.get(image.getexif().get(0x0112, 1))
    return image if turn is None else image.transpose(turn)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey; what its tRNS chunk names transparent becomes white
        grey = [(value + 128) // 257 for value in range(65536)]
        transparent = image.info.get("transparency")
        if isinstance(transparent, int):
            grey[transparent] = 255
        return image.convert("I").point(grey, "L").convert("RGB")
    if image.has_transparency_data:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        return white
    return image if image.mode == "RGB" else image.convert("RGB")


def reply_to(data: bytes, size: int, limits: Limits) -> tuple[int, bytes]:
    """(1, pixels) or (0, reason): never raises, as decoders fed with damaged files raise nearly everything."""
    try:
        return 1, square(data, size, limits).tobytes()
    except RefusedError as error:
        reason = str(error)
    except MemoryError:
        reason = f"takes more than {MEMORY_BYTES / 2**30:.1f} GiB to decode"
    except Exception as error:
        reason = f"damaged or cut short ({str(error) or type(error).__name__})"
    return 0, " ".join(reason.split()).encode("utf-8", "backslashreplace")


def serve(size: int, limits: Limits) -> None:
    """Answers requests until the parent closes its end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(ValueError, OSError):  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    warnings.simplefilter("ignore")
    Image.MAX_IMAGE_PIXELS = None  # we look at the header ourselves
    with open(0, "rb", closefd=False) as requests, open(0, "wb", closefd=False) as replies:
        replies.write(READY)
        replies.flush()
        while head := requests.read(LENGTH.size):
            status, payload = reply_to(requests.read(*LENGTH.unpack(head)), size, limits)
            replies.write(REPLY.pack(status, len(payload)) + payload)
            replies.flush()


if __name__ == "__main__":
    numbers = [int(number) for number in sys.argv[1:]]
    serve(numbers[0], Limits(*numbers[1:]))
