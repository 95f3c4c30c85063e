"""Foreign image files decoded at arm's length: `python -m gen_dist.preparing.decode RECIPE` serves one parent.

Decoders are large C programs fed with files from anywhere, so they run here, with a limit on memory, and may crash
without harm. RECIPE is a recipe as JSON. The parent's socket is standard input, for both directions. First we send
`READY`. Request: length (uint64, little-endian), then the file's bytes. Reply: 1 and length, then `FRAMES` and the
frames' pixels; or 0 and length, then why there are none, as UTF-8.
"""

import contextlib
import io
import re
import resource
import signal
import struct
import sys
import warnings
from collections.abc import Iterator

from PIL import Image, features

from gen_dist.arms_length import READY
from gen_dist.kernels.limits import DecodeError
from gen_dist.preparing.placing import lay, place
from gen_dist.preparing.recipe import Recipe, recipe_from_json

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
ANIMATED = ("GIF", "PNG", "WEBP")
REPLY = struct.Struct("<BQ")
FRAMES = struct.Struct("<6I")  # how many; width and height of the file's image, upright; of each frame, and its bytes
LENGTH = struct.Struct("<Q")
MEMORY_BYTES = 3 << 29  # 1.5 GiB of address space
MOST_FRAMES = 1000
MOST_KEPT_PIXELS = 1 << 24  # of an image that is kept as JPEG: every loader's thread takes 7 bytes for each
MOST_KEPT_SIDE = 65_500  # libjpeg's own limit
MOST_REPLY_BYTES = 256 << 20  # all frames of an animation together, which the parent has in its memory
WHITE = (255, 255, 255)
_UNLIKE = re.compile(r" \(\d+ bytes not processed\)")  # Pillow's: would make a reason of its own for every file
# What libjpeg says when it made up the rest of the picture. Its other warnings (stray bytes) leave the picture whole.
MADE_UP = ("premature end", "bad huffman", "bad arithmetic", "instead of rst")
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a pixel, by a PNG's colour type
# Tags of a TIFF's first image: what kind of image it is (1: a thumbnail), how it is compressed; and Adobe's raw format.
_TIFF_KIND, _TIFF_DNG = 254, 50706
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


def pictures(data: bytes, recipe: Recipe) -> tuple[tuple[int, int], list[Image.Image]]:
    """(width, height) of an encoded file's image, upright; and what the recipe makes of it, or of all its frames.

    On the background, colour profiles ignored; at full size if the recipe keeps JPEGs, which the parent then makes.
    Raises RefusedError, or whatever Pillow raises.
    """
    size, done = (0, 0), []
    for frame in _frames(data, recipe):
        upright = _rgb(_upright(frame), recipe.background)
        size = upright.size
        try:
            # A frame that is kept as it is must not be the image that the next one is decoded into.
            done.append(upright.copy() if recipe.keep_jpeg else place(upright, recipe))
        except ValueError as error:  # a box that is not within it
            raise RefusedError(str(error)) from None
        if sum(3 * one.width * one.height for one in done) > MOST_REPLY_BYTES and len(done) > 1:
            raise RefusedError(f"{len(done)} frames and more take more than {MOST_REPLY_BYTES >> 20} MiB")
    return size, done


def _frames(data: bytes, recipe: Recipe) -> Iterator[Image.Image]:
    """The first frame, or all of them."""
    image = _open(data, recipe)
    if not (recipe.all_frames and image.format in ANIMATED):
        yield _decode(data, image, recipe)
        return
    count = 0
    with contextlib.suppress(EOFError):  # the end
        while True:
            image.seek(count)
            count += 1
            if count > MOST_FRAMES:
                raise RefusedError(f"more than {MOST_FRAMES} frames")
            if 4 * count * image.width * image.height > recipe.limits.inflated_bytes:
                raise RefusedError(f"{count} frames and more: inflated, more than {recipe.limits.inflated_bytes} bytes")
            yield _decode(data, image, recipe)


def check_kept(recipe: Recipe, width: int, height: int) -> None:
    """Raises RefusedError for an image that is too large to keep, if the recipe does that."""
    if not recipe.keep_jpeg:
        return
    if width * height > MOST_KEPT_PIXELS:
        raise RefusedError(f"{width}×{height} pixels: more than {MOST_KEPT_PIXELS / 1e6:.1f} million, too many to keep")
    if max(width, height) > MOST_KEPT_SIDE:
        raise RefusedError(f"{width}×{height} pixels: a side of more than {MOST_KEPT_SIDE}, which JPEG cannot have")


def _open(data: bytes, recipe: Recipe) -> Image.Image:
    """The file's header, within the limits."""
    limits = recipe.limits
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
    check_kept(recipe, *image.size)
    if image.format == "PNG" and _inflated(data) > limits.inflated_bytes:
        raise RefusedError(f"{image.width}×{image.height} pixels: inflated, more than {limits.inflated_bytes} bytes")
    if image.format == "TIFF":
        _check_tiff(image)
    if image.mode == "F" or (image.mode == "I" and image.format == "TIFF"):
        raise RefusedError("pixels that are fractions, signed or of 32 bits, whose range nobody knows")
    if data.startswith(b"\xff\xd8") and (scans := data.count(b"\xff\xda")) > limits.scans:
        raise RefusedError(f"{scans} scans, more than {limits.scans}")
    return image


def _check_tiff(image: Image.Image) -> None:
    tags = image.tag_v2  # type: ignore[attr-defined]
    if _TIFF_DNG in tags or tags.get(_TIFF_KIND, 0) & 1:  # of which we would show the thumbnail
        raise RefusedError("a camera's raw file, not an image that is read; convert it")
    if any(tile[0] == "libtiff" for tile in image.tile) and not features.check("libtiff"):  # type: ignore[attr-defined]
        how = str(image.info.get("compression", "unknown")).removeprefix("tiff_")
        raise RefusedError(f"a TIFF with compression {how}, which this Pillow cannot read (plain pillow can)")


def _inflated(data: bytes) -> int:
    """What a PNG's header promises."""
    width, height, depth, colour_type = struct.unpack_from(">IIBB", data, 16)
    return height * (1 + (width * depth * SAMPLES.get(colour_type, 4) + 7) // 8)


def _decode(data: bytes, image: Image.Image, recipe: Recipe) -> Image.Image:
    if data.startswith(b"\xff\xd8"):
        return _decode_jpeg(data, image, recipe.channels == 1 and not recipe.keep_jpeg)
    image.load()
    return image


def _decode_jpeg(data: bytes, image: Image.Image, grey: bool) -> Image.Image:
    """Through simplejpeg, because Pillow hides libjpeg's warnings, and with them that half of a picture is grey.

    grey: only the luma that is stored, as our kernels do.
    """
    import simplejpeg  # type: ignore[import-untyped]  # here, since it imports numpy, which a folder of PNGs does not need

    kind = "CMYK" if image.mode == "CMYK" else "RGB"
    try:
        if grey and simplejpeg.decode_jpeg_header(data, strict=False)[2] in ("YCbCr", "Gray"):
            kind = "GRAY"
        pixels = simplejpeg.decode_jpeg(data, kind, strict=True)
    except ValueError as error:
        if any(sign in str(error).lower() for sign in MADE_UP):
            raise RefusedError(f"damaged or cut short ({error})") from None
        pixels = None  # a harmless warning, or a kind of JPEG that only Pillow reads
    if pixels is None or image.mode == "CMYK":  # whose inversions Pillow knows
        if kind == "GRAY":
            image.draft("L", None)
        image.load()
        return image
    decoded = Image.fromarray(pixels[..., 0] if kind == "GRAY" else pixels)
    decoded.info = image.info
    return decoded


def _upright(image: Image.Image) -> Image.Image:
    turn = None
    with contextlib.suppress(Exception):  # a damaged EXIF block does not make a worse picture
        turn = TURNS.get(image.getexif().get(0x0112, 1))
    return image if turn is None else image.transpose(turn)


def _rgb(image: Image.Image, background: tuple[int, int, int] = WHITE) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey
        wide = image.convert("I")
        whole = wide.point([(value + 128) // 257 for value in range(65536)], "L").convert("RGB")
        transparent = image.info.get("transparency")
        if isinstance(transparent, int):
            hidden = wide.point([255 * (value == transparent) for value in range(65536)], "L")
            whole.paste(background, mask=hidden)
        return whole
    if image.has_transparency_data:
        return lay(image if image.mode == "RGBA" else image.convert("RGBA"), background)
    return image if image.mode == "RGB" else image.convert("RGB")


def reply_to(data: bytes, recipe: Recipe) -> tuple[int, bytes]:
    """(1, frames) or (0, reason): never raises, as decoders fed with damaged files raise nearly everything."""
    try:
        size, done = pictures(data, recipe)
        channels = len(done[0].getbands())
        return 1, FRAMES.pack(len(done), *size, *done[0].size, channels) + b"".join(one.tobytes() for one in done)
    except RefusedError as error:
        reason = str(error)
    except MemoryError:
        reason = f"takes more than {MEMORY_BYTES / 2**30:.1f} GiB to decode"
    except Exception as error:
        reason = f"damaged or cut short ({_UNLIKE.sub('', str(error)) or type(error).__name__})"
    return 0, " ".join(reason.split()).encode("utf-8", "backslashreplace")


def serve(recipe: Recipe) -> None:
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
            status, payload = reply_to(requests.read(*LENGTH.unpack(head)), recipe)
            replies.write(REPLY.pack(status, len(payload)) + payload)
            replies.flush()


if __name__ == "__main__":
    serve(recipe_from_json(sys.argv[1]))
