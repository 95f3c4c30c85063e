"""PNG decoding against its naive twin and against Pillow, bit for bit, and a reason for every file that is refused."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gen_dist.kernels import png_filters
from gen_dist.kernels.limits import DecodeError, Limits, UnsupportedError
from gen_dist.kernels.png import decode, read_chunks
from gen_dist.preparing.decode import _rgb
from tests.naive import png as naive
from tests.naive.png import SIGNATURE, chunk, header

END = chunk(b"IEND", b"")
GREY, RGB, INDEXED, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6


def pillow(data):
    """As the pipeline has it."""
    return np.asarray(_rgb(Image.open(io.BytesIO(data), formats=["PNG"])))


def saved(image, **options):
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


def photograph(width, height, channels):
    """Smooth, with some noise: every filter is chosen somewhere."""
    rng = np.random.default_rng(width)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 5, 4), dtype=np.uint8)).resize((width, height))
    pixels = np.asarray(coarse).astype(int) + rng.integers(-3, 4, (height, width, 4))
    return np.ascontiguousarray(pixels.clip(0, 255).astype(np.uint8)[..., :channels])


@settings(max_examples=150, deadline=None)
@given(
    colour_type=st.sampled_from([GREY, RGB, INDEXED, GREY_ALPHA, RGB_ALPHA]),
    width=st.integers(1, 20),
    height=st.integers(1, 7),
    values=st.sampled_from([2, 7, 256]),
    transparent=st.booleans(),
    split=st.integers(1, 4),
    seed=st.integers(0, 2**32),
)
def test_naive_twin_and_pillow(colour_type, width, height, values, transparent, split, seed):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, values, (height, width, naive.SAMPLES[colour_type])).astype(np.uint8)
    palette = rng.bytes(3 * values) if colour_type == INDEXED else b""
    transparency = None
    if transparent and colour_type == INDEXED:
        transparency = rng.bytes(int(rng.integers(1, values + 1)))
    elif transparent and colour_type in (GREY, RGB):
        transparency = b"".join(bytes([0, value]) for value in pixels[0, 0])
    data = naive.encode(pixels, colour_type, rng.integers(0, 5, height), palette, transparency, split=split)
    got = decode(data)
    assert got.shape == (height, width, 1 if colour_type == GREY and not transparent else 3)
    np.testing.assert_array_equal(np.broadcast_to(got, (height, width, 3)), naive.decode(data))
    np.testing.assert_array_equal(np.broadcast_to(got, (height, width, 3)), pillow(data))


@pytest.mark.parametrize("background", [(255, 255, 255), (0, 0, 0), (13, 127, 200)])
def test_every_value_at_every_alpha_as_pillow_pastes_it(background):
    value, alpha = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    pixels = np.stack([value, 255 - value, value ^ 85, alpha], 2)
    expected = Image.new("RGB", (256, 256), background)
    image = Image.fromarray(pixels)
    expected.paste(image, mask=image.getchannel("A"))
    np.testing.assert_array_equal(decode(saved(image), background=background), np.asarray(expected))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P"])
@pytest.mark.parametrize("size", [(64, 64), (257, 33), (1, 300), (300, 1)])
def test_files_that_pillow_writes(mode, size):
    image = Image.fromarray(photograph(*size, 4))
    image = image.convert("RGB").quantize(40) if mode == "P" else image.convert(mode)
    for options in ({}, {"compress_level": 0}, {"optimize": True}) + (({"transparency": 3},) if mode == "P" else ()):
        data = saved(image, **options)
        np.testing.assert_array_equal(np.broadcast_to(decode(data), (*size[::-1], 3)), pillow(data))


def test_an_animation_is_its_default_image():
    frames = [Image.fromarray(photograph(30 + i, 20, 3)).resize((30, 20)) for i in range(3)]
    for own in (False, True):
        data = saved(frames[0], save_all=True, append_images=frames[1:], default_image=own)
        assert b"acTL" in data
        np.testing.assert_array_equal(decode(data), np.asarray(frames[0]))


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_kinds_of_buffer(kind):
    pixels = photograph(9, 5, 3)
    np.testing.assert_array_equal(decode(kind(saved(Image.fromarray(pixels)))), pixels)


ROWS = naive.filtered(photograph(4, 3, 3), [0, 1, 2])
PALETTE = chunk(b"PLTE", bytes(range(12)))
INDICES = zlib.compress(naive.filtered(np.arange(12, dtype=np.uint8).reshape(3, 4, 1) % 4, [0, 0, 0]))
SHORT = chunk(b"IHDR", struct.pack(">IIBBB", 4, 3, 8, 2, 0))


RGB_HEADER = header(4, 3, RGB)


def file(*parts, head=RGB_HEADER, stream=None, end=END):
    image_data = chunk(b"IDAT", zlib.compress(ROWS) if stream is None else stream)
    return SIGNATURE + head + b"".join(part if isinstance(part, bytes) else image_data for part in parts) + end


def damaged(data, position):
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


IDAT = None  # stands for the image data in `file`
WHOLE = file(IDAT)
HIDDEN = chunk(b"tRNS", bytes(6))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "does not begin as a PNG"),
        (WHOLE[:8], "no IEND"),
        (WHOLE[1:], "does not begin as a PNG"),
        (WHOLE[:-12], "no IEND"),
        (WHOLE[:-20], "cut short in chunk IDAT"),
        (WHOLE[:40], "no IEND"),
        (damaged(WHOLE, 19), "checksum of chunk IHDR"),
        (damaged(WHOLE, 50), "checksum of chunk IDAT"),
        (damaged(WHOLE, len(WHOLE) - 1), "checksum of chunk IEND"),
        (file(damaged(HIDDEN, 9), IDAT), "checksum of chunk tRNS"),
        (file(b"\0\0\0\0I\0AT\0\0\0\0", IDAT), "name is not letters"),
        (file(IDAT, head=PALETTE), "first chunk is not IHDR"),
        (file(IDAT, head=SHORT), "IHDR chunk of 11 bytes"),
        (file(header(4, 3, RGB), IDAT), "second IHDR"),
        (file(), "no IDAT"),
        (file(IDAT, chunk(b"tEXt", b"a\0b"), IDAT), "do not follow one another"),
        (file(IDAT, head=header(4, 3, INDEXED), stream=INDICES), "no PLTE"),
        (file(IDAT, PALETTE, head=header(4, 3, INDEXED), stream=INDICES), "PLTE after tRNS or IDAT"),
        (file(PALETTE, PALETTE, IDAT, head=header(4, 3, INDEXED), stream=INDICES), "second PLTE"),
        (file(chunk(b"PLTE", b"abcd"), IDAT, head=header(4, 3, INDEXED)), "PLTE chunk of 4 bytes"),
        (file(chunk(b"PLTE", bytes(771)), IDAT, head=header(4, 3, INDEXED)), "PLTE chunk of 771 bytes"),
        (file(chunk(b"PLTE", bytes(9)), IDAT, head=header(4, 3, INDEXED), stream=INDICES), "beyond the palette of 3"),
        (file(PALETTE, chunk(b"tRNS", bytes(5)), IDAT, head=header(4, 3, INDEXED)), "tRNS chunk of 5 bytes"),
        (file(chunk(b"tRNS", b"a"), PALETTE, IDAT, head=header(4, 3, INDEXED)), "tRNS before PLTE"),
        (file(HIDDEN, HIDDEN, IDAT), "second tRNS"),
        (file(IDAT, HIDDEN), "tRNS after IDAT"),
        (file(chunk(b"tRNS", bytes(5)), IDAT), "tRNS chunk of 5 bytes"),
        (file(IDAT, stream=b""), "cut short: 0 of 39"),
        (file(IDAT, stream=zlib.compress(ROWS[:-1])), "cut short: 38 of 39"),
        (file(IDAT, stream=zlib.compress(ROWS)[:-1] + b"x"), "damaged: .*incorrect data check"),
        (file(IDAT, stream=zlib.compress(ROWS)[2:]), "damaged: "),
        (file(IDAT, stream=zlib.compress(b"\5" + ROWS[1:])), "unknown filter"),
        (file(IDAT, head=header(0, 3, RGB)), "nothing to decode"),
        (file(IDAT, head=header(4, 2**31, RGB)), "a side of more than"),
        (file(IDAT, head=header(60_000, 60_000, RGB)), "million"),
        (file(IDAT, head=header(4, 3, 5)), "values that PNG does not have"),
        (file(IDAT, head=header(4, 3, RGB, depth=4)), "values that PNG does not have"),
        (file(IDAT, head=header(4, 3, RGB, compression=1)), "values that PNG does not have"),
        (file(IDAT, head=header(4, 3, RGB, filters=64)), "values that PNG does not have"),
        (file(IDAT, head=header(4, 3, RGB, interlace=2)), "values that PNG does not have"),
        (file(*[chunk(b"teXt", b"")] * (1 << 17), IDAT), "more than 131072 chunks"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_damage_is_refused_with_its_reason(data, reason):
    with pytest.raises(DecodeError, match=reason):
        decode(data)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (file(IDAT, head=header(4, 3, RGB, depth=16)), "16 bits"),
        (file(IDAT, head=header(4, 3, INDEXED, depth=4)), "4 bits"),
        (file(IDAT, head=header(4, 3, GREY, depth=1)), "1 bits"),
        (file(IDAT, head=header(4, 3, RGB, interlace=1)), "interlaced"),
        (file(header(4, 3, RGB), IDAT, head=chunk(b"CgBI", bytes(4))), "CgBI"),
        (file(chunk(b"ABCD", b""), IDAT), "critical chunk ABCD"),
    ],
)
def test_other_kinds_are_left_to_pillow(data, kind):
    with pytest.raises(UnsupportedError, match=kind):
        decode(data)


@pytest.mark.parametrize(
    "data",
    [
        file(IDAT, stream=zlib.compress(ROWS * 2)),
        file(IDAT, stream=zlib.compress(ROWS) + b"more"),
        file(PALETTE, chunk(b"gAMA", b"?"), damaged(chunk(b"tIME", bytes(7)), 3 + 8), IDAT, chunk(b"tEXt", b"a\0b")),
        WHOLE + b"more",
    ],
    ids=["more rows", "bytes after the stream", "chunks of no meaning here", "bytes after the end"],
)
def test_what_does_not_change_the_pixels_is_ignored(data):
    np.testing.assert_array_equal(decode(data), photograph(4, 3, 3))


@pytest.mark.parametrize(
    "limits",
    [Limits(pixels=11), Limits(side=3), Limits(file_bytes=len(WHOLE) - 1), Limits(inflated_bytes=38)],
    ids=repr,
)
def test_limits(limits):
    with pytest.raises(DecodeError, match="more than"):
        decode(WHOLE, limits)
    exact = Limits(12, 4, len(WHOLE), inflated_bytes=39)
    assert decode(WHOLE, exact).shape == (3, 4, 3)


def test_metadata_that_may_turn_the_image():
    image = Image.fromarray(photograph(4, 3, 3))
    exif = Image.Exif()
    exif[0x0112] = 6
    assert read_chunks(saved(image, exif=exif), Limits()).may_be_turned
    for text in (b"exif\0Exif", b"XML:com.adobe.xmp\0\0\0\0\0<x/>", b"Raw profile type exif\0"):
        assert read_chunks(file(chunk(b"iTXt", text), IDAT), Limits()).may_be_turned
    for harmless in (chunk(b"tEXt", b"Software\0exif"), chunk(b"eXif", b"")):
        assert not read_chunks(file(harmless, IDAT), Limits()).may_be_turned


LAYOUTS = [("OPAQUE", 1), ("OPAQUE", 3), ("INDEXED", 1), ("KEYED_GREY", 1)]
LAYOUTS += [("KEYED_RGB", 3), ("GREY_ALPHA", 2), ("RGB_ALPHA", 4)]


@pytest.mark.parametrize(("layout", "step"), LAYOUTS)
def test_nothing_is_written_outside_the_buffer(layout, step):
    channels, code = step if layout == "OPAQUE" else 3, getattr(png_filters, layout)
    palette, key, white = bytes_array(range(250), 768), bytes_array(range(6), 6), np.full(3, 255, np.uint8)
    for number in range(6):
        guarded = np.full(2 * 8 + 3 * 5 * channels, 77, np.uint8)
        out = guarded[8:-8].reshape(3, 5, channels)
        rows = bytes_array([number, *range(5 * step)], 3 * (1 + 5 * step))
        status = png_filters.unpack(out, rows, code, palette, key, white, np.zeros((3, 5 * step), np.uint8))
        assert (status == png_filters.BAD_FILTER) == (number == 5)
        assert (guarded[:8] == 77).all()
        assert (guarded[-8:] == 77).all()


def bytes_array(values, size):
    """Read-only, `size` elements, the values again and again."""
    return np.frombuffer(np.resize(np.array(list(values), np.uint8), size).tobytes(), np.uint8)
