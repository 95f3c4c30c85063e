"""Encoded files into upright RGB squares: pixels against Pillow's own, and a reason for every file that is refused."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps, features

from gen_dist.kernels.limits import Limits
from gen_dist.preparing import decode
from gen_dist.preparing.decode import FRAMES, RefusedError
from gen_dist.preparing.recipe import Recipe, recipe_from_json


def picture(width: int = 40, height: int = 30, seed: int = 0) -> Image.Image:
    """Smooth and colourful, different in every corner."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def square(data: bytes, size: int, **recipe: object) -> Image.Image:
    """The only frame of a file."""
    [image] = decode.pictures(data, Recipe(size, **recipe))[1]
    return image


def naive(image: Image.Image, size: int) -> np.ndarray:
    """The same in the plainest words that Pillow has."""
    image = ImageOps.exif_transpose(image).convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    return np.asarray(image.resize((size, size), Image.Resampling.LANCZOS, box=box))


def reason(data: bytes) -> str:
    status, text = decode.reply_to(data, Recipe(16))
    assert status == 0
    return text.decode()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF", "TIFF", "PPM"])
@pytest.mark.parametrize("size", [16, 30, 48])
def test_formats(kind: str, size: int) -> None:
    data = encoded(picture(), kind)
    np.testing.assert_array_equal(np.asarray(square(data, size)), naive(Image.open(io.BytesIO(data)), size))


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "RGBX"])
def test_modes(mode: str) -> None:
    kind = "PNG" if mode in "1LP" else "JPEG"
    data = encoded(
        picture().convert(mode) if mode != "RGBX" else picture(), kind, **{"quality": 90, "progressive": True}
    )
    np.testing.assert_array_equal(np.asarray(square(data, 16)), naive(Image.open(io.BytesIO(data)), 16))


@pytest.mark.parametrize(("width", "height"), [(31, 16), (16, 31), (16, 16), (1, 500), (17, 16)])
def test_centre_crop(width: int, height: int) -> None:
    image = picture(width, height)
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    middle = np.asarray(image)[top : top + side, left : left + side]
    np.testing.assert_array_equal(np.asarray(square(encoded(image, "PNG"), side)), middle)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", range(1, 10))
def test_orientation(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(picture(40, 31), kind, exif=exif)
    found = np.asarray(square(data, 31))
    np.testing.assert_array_equal(found, naive(Image.open(io.BytesIO(data)), 31))
    upright = np.asarray(square(encoded(picture(40, 31), kind), 31))
    assert (orientation in (1, 9)) == np.array_equal(found, upright)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_does_not_matter() -> None:
    plain, damaged = encoded(picture(), "JPEG"), encoded(picture(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert square(plain, 16).tobytes() == square(damaged, 16).tobytes()


def test_transparency_is_on_white() -> None:
    image = picture(16, 16).convert("RGBA")
    opacity = np.tile(np.repeat(np.array([0, 128, 255, 255], np.uint8), 4), (16, 1))
    image.putalpha(Image.fromarray(opacity))
    colours = np.asarray(image)[..., :3].astype(float)
    expected = 255 + (colours - 255) * opacity[..., None] / 255
    assert abs(np.asarray(square(encoded(image, "PNG"), 16)) - expected).max() <= 1
    grey = image.convert("LA")
    found = np.asarray(square(encoded(grey, "PNG"), 16))
    assert (found[:, :4] == 255).all()
    assert found[:, 8:, 0].tolist() == np.asarray(grey)[:, 8:, 0].tolist()


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_transparent_palette_colour_is_white(kind: str) -> None:
    indices = np.repeat([[0, 1]], 8, axis=0).repeat(4, axis=1).astype(np.uint8)
    image = Image.fromarray(indices)
    image.putpalette([200, 0, 0, 0, 0, 200])
    found = np.asarray(square(encoded(image, kind, transparency=0), 8))
    assert (found[:, :4] == 255).all()
    assert (found[:, 4:] == [0, 0, 200]).all()


@pytest.mark.parametrize(("mode", "colour"), [("RGB", (1, 2, 3)), ("L", 7), ("I;16", 3000)])
def test_transparent_colour_is_white(mode: str, colour: object) -> None:
    image = Image.new(mode, (8, 8), 0)
    image.paste(Image.new(mode, (4, 8), colour), (0, 0))
    found = np.asarray(square(encoded(image, "PNG", transparency=colour), 8))
    assert (found[:, :4] == 255).all()
    assert (found[:, 4:] == 0).all()


def test_sixteen_bits() -> None:
    values = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)
    found = np.asarray(square(encoded(Image.fromarray(values), "PNG"), 16))
    np.testing.assert_array_equal(found, np.repeat(np.round(values / 257).astype(np.uint8)[..., None], 3, axis=2))


def test_first_frame_of_an_animation() -> None:
    frames = [picture(16, 16, seed).quantize(16) for seed in range(3)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(np.asarray(square(data, 16)), np.asarray(frames[0].convert("RGB")))


def test_webp() -> None:
    if features.check("webp"):
        data = encoded(picture(), "WEBP", lossless=True)
        np.testing.assert_array_equal(np.asarray(square(data, 30)), naive(picture(), 30))
    else:
        assert reason(b"RIFF\x24\0\0\0WEBPVP8 " + bytes(24)).startswith("WebP, which this Pillow cannot read")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.97])
def test_cut_short(kind: str, share: float) -> None:
    data = encoded(picture(200, 200), kind)
    assert "damaged" in reason(data[: int(len(data) * share)])


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_no_grey_tails(mode: str, progressive: bool) -> None:
    """A JPEG whose end was lost and then marked as the end: Pillow alone shows a picture with a grey tail."""
    data = encoded(picture(200, 200).convert(mode), "JPEG", progressive=progressive)
    cut = data[: len(data) // 2] + b"\xff\xd9"
    Image.open(io.BytesIO(cut)).load()
    assert "premature end" in reason(cut)


def test_stray_bytes_do_no_harm() -> None:
    data = encoded(picture(), "JPEG")
    assert square(data[:-2] + bytes(5) + data[-2:], 16).tobytes() == square(data, 16).tobytes()


def png_header(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(bytes(100))
    chunks = (
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in (header, data)
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize(("width", "height"), [(50_000, 50_000), (10_001, 10_000), (2**31 - 1, 1), (1, 65_501)])
def test_bombs_are_refused_from_the_header(width: int, height: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # as in the subprocess
    monkeypatch.setattr(Image.Image, "load", lambda _: pytest.fail("decoded"))
    with pytest.raises(
        RefusedError, match=f"{width}×{height} pixels: (more than 100 million|a side of more than 65500)"
    ):
        square(png_header(width, height), 16)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Limits(file_bytes=100), "bytes: more than 100"),
        (Limits(side=39), "40×30 pixels: a side of more than 39"),
        (Limits(pixels=1199), "40×30 pixels: more than 0.001199 million"),
        (Limits(scans=2), "[0-9]+ scans, more than 2"),
    ],
)
def test_limits(limits: Limits, expected: str) -> None:
    with pytest.raises(RefusedError, match=expected):
        square(encoded(picture(), "JPEG", progressive=True), 16, limits=limits)


def test_limit_of_inflated_bytes() -> None:
    with pytest.raises(RefusedError, match="40×30 pixels: inflated, more than 3629 bytes"):
        square(encoded(picture(), "PNG"), 16, limits=Limits(inflated_bytes=30 * 121 - 1))
    square(encoded(picture(), "PNG"), 16, limits=Limits(inflated_bytes=30 * 121))


def test_reasons_are_one_line_without_addresses() -> None:
    for data in (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n" + bytes(50), b"BM" + bytes(60), b"GIF89a", b"text"):
        text = reason(data)
        assert "\n" not in text
        assert "0x" not in text


def test_other_formats_are_not_even_tried() -> None:
    for kind in ("TGA", "PCX", "ICO", "SGI"):
        assert "header is damaged" in reason(encoded(picture(), kind))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), "takes more than 1.5 GiB to decode"),
        (IndexError("two\n lines"), "damaged or cut short (two lines)"),
        (ZeroDivisionError(), "damaged or cut short (ZeroDivisionError)"),
        (OSError("image file is truncated (46 bytes not processed)"), "damaged or cut short (image file is truncated)"),
    ],
)
def test_any_failure_is_a_reason(error: Exception, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(data: bytes, recipe: Recipe) -> Image.Image:
        raise error

    monkeypatch.setattr(decode, "_open", fail)
    assert reason(b"") == expected


def test_a_recipe_travels_as_json() -> None:
    recipe = Recipe(64, 1, "box", (1, 2, 3, 4), "box", (1, 2, 3), True, True, Limits(pixels=9, inflated_bytes=8))
    assert recipe_from_json(recipe.to_json()) == recipe
    assert recipe_from_json('{"size": 64}') == Recipe(64)


WINDOWS = {  # of an image of 40 x 30 pixels, as Pillow crops, scales and pastes
    "center": ((5, 0, 35, 30), (16, 16), (0, 0)),
    "stretch": ((0, 0, 40, 30), (16, 16), (0, 0)),
    "pad": ((0, 0, 40, 30), (16, 12), (0, 2)),
    "fit": ((0, 0, 40, 30), (16, 12), (0, 0)),
    "box": ((3, 4, 28, 24), (16, 16), (0, 0)),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("filter", ["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"])
@pytest.mark.parametrize("mode", WINDOWS)
def test_windows(mode: str, filter: str, channels: int) -> None:
    box, size, place = WINDOWS[mode]
    small = picture().resize(size, Image.Resampling[filter.upper()], box=box)
    expected = Image.new("RGB", (16, 16), (10, 20, 200))
    expected.paste(small, place)
    options = {"mode": mode, "box": (3, 4, 25, 20) if mode == "box" else None, "background": (10, 20, 200)}
    found = square(encoded(picture(), "PNG"), 16, filter=filter, channels=channels, **options)
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected.convert("RGB" if channels == 3 else "L")))


def test_a_box_outside_is_a_reason() -> None:
    with pytest.raises(RefusedError, match="box: 30,0,11,5 is not within the image of 40×30 pixels"):
        square(encoded(picture(), "PNG"), 16, mode="box", box=(30, 0, 11, 5))


def test_a_reply_holds_the_size_and_the_frames() -> None:
    frames = [picture(20, 12, seed).quantize(16) for seed in range(3)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    for all_frames, count in ((False, 1), (True, 3)):
        status, payload = decode.reply_to(data, Recipe(8, all_frames=all_frames))
        assert (status, FRAMES.unpack_from(payload)) == (1, (count, 20, 12, 8, 8, 3))
        pixels = np.frombuffer(payload, np.uint8, offset=FRAMES.size).reshape(count, 8, 8, 3)
        for found, frame in zip(pixels, frames, strict=False):
            np.testing.assert_array_equal(found, naive(frame, 8))


def animation(count: int, kind: str = "GIF", side: int = 16) -> bytes:
    frames = [Image.new("L", (side, side), number % 256) for number in range(count)]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:])


@pytest.mark.parametrize("kind", ["GIF", "PNG"])
def test_frames_have_limits(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data, recipe = animation(9, kind), Recipe(8, all_frames=True, limits=Limits(inflated_bytes=4 * 8 * 16 * 16))
    with pytest.raises(RefusedError, match="9 frames and more: inflated, more than 8192 bytes"):
        decode.pictures(data, recipe)
    assert len(decode.pictures(data, Recipe(8, all_frames=True))[1]) == 9
    monkeypatch.setattr(decode, "MOST_REPLY_BYTES", 8 * 3 * 8 * 8)
    with pytest.raises(RefusedError, match="9 frames and more take more than"):
        decode.pictures(data, Recipe(8, all_frames=True))
    monkeypatch.setattr(decode, "MOST_FRAMES", 8)
    with pytest.raises(RefusedError, match="more than 8 frames"):
        decode.pictures(data, Recipe(8, all_frames=True))


def test_kept_at_full_size() -> None:
    size, [image] = decode.pictures(encoded(picture(), "BMP"), Recipe(16, keep_jpeg=True))
    assert size == (40, 30)
    np.testing.assert_array_equal(np.asarray(image), np.asarray(picture()))


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [(4097, 4096, "more than 16.8 million, too many to keep"), (65_501, 1, "which JPEG cannot have")],
)
def test_too_large_to_keep(width: int, height: int, expected: str) -> None:
    recipe = Recipe(16, keep_jpeg=True, limits=Limits(side=65_535))
    with pytest.raises(RefusedError, match=expected):
        decode.pictures(encoded(Image.new("1", (width, height)), "PNG"), recipe)


def test_sixteen_bit_colours_lose_their_lower_byte() -> None:
    """Pillow reads the upper bytes alone, which is up to one level below the rounded value."""
    values = np.arange(0, 65536, 83, dtype=np.uint16)[: 16 * 16 * 3].reshape(16, 16, 3)
    found = np.asarray(square(png_16(values), 16))
    np.testing.assert_array_equal(found, values >> 8)


def png_16(values: np.ndarray) -> bytes:
    """RGB, H x W x 3, uint16, which Pillow cannot write."""
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    chunks = [b"IHDR" + struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0), b"IDAT" + zlib.compress(rows), b"IEND"]
    parts = (struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("order", ["<", ">"])
def test_sixteen_bit_tiff(order: str) -> None:
    values = np.linspace(0, 65535, 256).round().astype(order + "u2").reshape(16, 16)
    data = encoded(Image.frombytes("I;16" if order == "<" else "I;16B", (16, 16), values.tobytes()), "TIFF")
    found = np.asarray(square(data, 16, channels=1))
    np.testing.assert_array_equal(found, np.round(values.astype(int) / 257).astype(np.uint8))


@pytest.mark.parametrize("mode", ["F", "I"])
def test_pixels_without_a_range_are_refused(mode: str) -> None:
    assert "whose range nobody knows" in reason(encoded(Image.new(mode, (16, 16), 7), "TIFF"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_a_tiff(orientation: int) -> None:
    data = encoded(picture(40, 31), "TIFF", tiffinfo={274: orientation})
    expected = naive(Image.open(io.BytesIO(data)), 31)
    assert (orientation == 1) == np.array_equal(expected, naive(picture(40, 31), 31))
    np.testing.assert_array_equal(np.asarray(square(data, 31)), expected)


@pytest.mark.parametrize("tags", [{254: 1}, {50706: b"\1\4\0\0"}])
def test_raw_files_do_not_become_their_thumbnails(tags: dict) -> None:
    assert "a camera's raw file" in reason(encoded(picture(), "TIFF", tiffinfo=tags))


def test_a_compression_that_pillow_cannot_read_is_named() -> None:
    data = bytearray(encoded(picture(), "TIFF"))
    entry = data.index(struct.pack("<HHI", 259, 3, 1))
    data[entry + 8] = 5  # LZW
    if features.check("libtiff"):
        assert "damaged" in reason(bytes(data))
    else:
        assert "a TIFF with compression lzw, which this Pillow cannot read" in reason(bytes(data))


def test_grey_is_the_stored_luma() -> None:
    data = encoded(picture(), "JPEG", quality=90)
    stored = Image.open(io.BytesIO(data))
    stored.draft("L", None)
    np.testing.assert_array_equal(np.asarray(square(data, 16, channels=1)), np.asarray(
        stored.resize((16, 16), Image.Resampling.LANCZOS, box=(5, 0, 35, 30))
    ))  # fmt: skip
