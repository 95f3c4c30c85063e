"""Encoded files to squares: our kernels and the libraries give the same picture and refuse the same files."""

import io

import numpy as np
import pytest
from PIL import Image

from gen_dist.config import DecodingSettings
from gen_dist.kernels.limits import Limits
from gen_dist.preparing.decoding import AUTO, AUTO_FROM_BYTES, READ_BY_KERNELS, SquareDecoder, kernel_formats

FORMATS = {"auto": AUTO, "kernels": READ_BY_KERNELS, "libraries": ()}


def picture(width=50, height=37, mode="RGB"):
    """Smooth and colourful, different in every corner."""
    coarse = np.random.default_rng(0).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def exif(number):
    block = Image.Exif()
    block[0x0112] = number
    return block.tobytes()


FILES = {
    "photo": encoded(picture(), "JPEG", quality=90),
    "full chroma": encoded(picture(), "JPEG", quality=95, subsampling=0),
    "grey photo": encoded(picture(mode="L"), "JPEG"),
    "reduced": encoded(picture(400, 300), "JPEG", quality=90),
    "progressive": encoded(picture(), "JPEG", progressive=True),
    "CMYK": encoded(picture(mode="CMYK"), "JPEG"),
    "drawing": encoded(picture(), "PNG"),
    "grey drawing": encoded(picture(mode="L"), "PNG"),
    "palette": encoded(picture().quantize(20), "PNG"),
    "one bit": encoded(picture(mode="1"), "PNG"),
    "alpha": encoded(Image.merge("RGBA", (*picture().split(), picture(mode="L"))), "PNG"),
    "its own size": encoded(picture(16, 16), "PNG"),
    "GIF": encoded(picture(), "GIF"),
    **{f"turned {n}": encoded(picture(51, 38), "JPEG", quality=95, exif=exif(n)) for n in range(1, 9)},
    **{f"turned drawing {n}": encoded(picture(51, 38), "PNG", exif=exif(n)) for n in (3, 6)},
}


@pytest.fixture(scope="module")
def decoders():
    made = {name: SquareDecoder(16, Limits(), formats) for name, formats in FORMATS.items()}
    yield made
    for decoder in made.values():
        decoder.__exit__()


@pytest.mark.parametrize("name", FILES)
def test_the_same_picture_by_either_way(name, decoders):
    images = {decoder: decoders[decoder].decode(FILES[name]).astype(int) for decoder in FORMATS}
    for image in images.values():
        assert image.shape == (16, 16, 3)
    away = np.abs(images["kernels"] - images["libraries"])
    # Chroma of half size is smoothed twice by the libraries: enlarged to the full image first, then reduced with it.
    halved = name == "photo" or (name.startswith("turned ") and "drawing" not in name)
    assert away.mean() < (2.0 if halved else 0.6)
    assert away.max() <= (10 if halved else 2)
    assert np.abs((images["kernels"] - images["libraries"]).mean((0, 1))).max() < 0.25
    assert any((images["auto"] == images[other]).all() for other in ("kernels", "libraries"))


def cut(name):
    return FILES[name][: len(FILES[name]) // 2]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (cut("photo"), "damaged, cut short"),
        (cut("progressive"), "damaged or cut short"),
        (cut("drawing"), "damaged, cut short"),
        (b"\x89PNG\r\n\x1a\n", "cut short"),
        (b"\xff\xd8\xff", "damaged"),
    ],
)
def test_damage_is_a_reason(data, reason, decoders):
    for decoder in decoders.values():
        assert isinstance(decoder.decode(data), str)
    assert reason in decoders["kernels"].decode(data)


@pytest.mark.parametrize("name", ["photo", "drawing", "GIF"])
@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"side": 49}, "50×37 pixels: a side of more than 49"),
        ({"pixels": 1849}, "50×37 pixels: more than 0.001849 million"),
        ({"file_bytes": 300}, "bytes: more than 300"),
    ],
)
@pytest.mark.parametrize("decoder", FORMATS)
def test_limits_hold_for_either_way(name, limits, reason, decoder):
    with SquareDecoder(16, Limits(**limits), FORMATS[decoder]) as limited:
        assert reason in limited.decode(FILES[name])


def test_our_own_kernels_need_no_subprocess(monkeypatch):
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("a subprocess was started"))
    with SquareDecoder(16, Limits(), READ_BY_KERNELS) as decoder:
        for name in ("photo", "grey photo", "full chroma", "drawing", "alpha", "palette"):
            assert isinstance(decoder.decode(FILES[name]), np.ndarray)


def test_compiling_must_be_worth_it():
    assert kernel_formats(DecodingSettings(), AUTO_FROM_BYTES - 1) == ()
    assert kernel_formats(DecodingSettings(), AUTO_FROM_BYTES) == AUTO
    assert set(AUTO) <= set(READ_BY_KERNELS)
    for folder_bytes in (0, 1 << 40):
        assert kernel_formats(DecodingSettings(decoder="kernels"), folder_bytes) == READ_BY_KERNELS
        assert kernel_formats(DecodingSettings(decoder="libraries"), folder_bytes) == ()


def test_what_takes_too_much_memory_is_a_reason(decoders, monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr("gen_dist.kernels.jpeg.decode_resized", fail)
    assert decoders["kernels"].decode(FILES["photo"]) == "takes more memory than there is"


@pytest.mark.parametrize("name", ["photo", "drawing"])
def test_large_images_are_left_to_the_subprocess(name, decoders, monkeypatch):
    asked = []
    monkeypatch.setattr("gen_dist.preparing.decoding.MOST_PIXELS", 50 * 37 - 1)
    monkeypatch.setattr(decoders["kernels"]._process, "decode", asked.append)
    decoders["kernels"].decode(FILES[name])
    assert asked == [FILES[name]]
