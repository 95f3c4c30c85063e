"""Encoded files to squares: our kernels and the libraries give the same picture and refuse the same files."""

import io

import numpy as np
import pytest
from PIL import Image

from gen_dist.kernels import jpeg
from gen_dist.kernels.limits import Limits
from gen_dist.preparing import decoding, jpeg_batches
from gen_dist.preparing.decoding import AUTO, AUTO_FROM_BYTES, READ_BY_KERNELS, Decoder, kernel_formats
from gen_dist.preparing.outcome import Decoded
from gen_dist.preparing.recipe import Recipe

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


def only(decoder, content):
    """The outcome of one."""
    [outcome] = decoder.decode([content])
    return outcome


def image_of(outcome):
    assert isinstance(outcome, Decoded), outcome
    assert outcome.images.dtype == np.uint8
    [image] = outcome.images
    return image


@pytest.fixture(scope="module")
def decoders():
    made = {name: Decoder(Recipe(16), formats) for name, formats in FORMATS.items()}
    yield made
    for decoder in made.values():
        decoder.__exit__()


@pytest.mark.parametrize("name", FILES)
def test_the_same_picture_by_either_way(name, decoders):
    images = {decoder: image_of(only(decoders[decoder], FILES[name])).astype(int) for decoder in FORMATS}
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
        assert isinstance(only(decoder, data), str)
    assert reason in only(decoders["kernels"], data)


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
    with Decoder(Recipe(16, limits=Limits(**limits)), FORMATS[decoder]) as limited:
        assert reason in only(limited, FILES[name])


def test_our_own_kernels_need_no_subprocess(monkeypatch):
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("a subprocess was started"))
    names = ("photo", "grey photo", "full chroma", "drawing", "alpha", "palette")
    with Decoder(Recipe(16), READ_BY_KERNELS) as decoder:
        for outcome in decoder.decode([FILES[name] for name in names]):
            image_of(outcome)


def test_compiling_must_be_worth_it():
    assert kernel_formats("auto", AUTO_FROM_BYTES - 1) == ()
    assert kernel_formats("auto", AUTO_FROM_BYTES) == AUTO
    assert set(AUTO) <= set(READ_BY_KERNELS)
    for source_bytes in (0, 1 << 40):
        assert kernel_formats("kernels", source_bytes) == READ_BY_KERNELS
        assert kernel_formats("libraries", source_bytes) == ()


def test_what_takes_too_much_memory_is_a_reason(decoders, monkeypatch):
    """Together they may, and each alone not."""
    asked, real = [], jpeg.decode_batch

    def fail_for_many(out, *arguments, **options):
        asked.append(len(out))
        if len(out) > 1 or len(asked) == 2:
            raise MemoryError
        real(out, *arguments, **options)

    monkeypatch.setattr("gen_dist.kernels.jpeg.decode_batch", fail_for_many)
    outcomes = decoders["kernels"].decode([FILES["photo"]] * 3)
    assert asked == [3, 1, 1, 1]
    assert outcomes[0] == "takes more memory than there is"
    np.testing.assert_array_equal(image_of(outcomes[1]), image_of(outcomes[2]))


@pytest.mark.parametrize("name", ["photo", "drawing"])
def test_large_images_are_left_to_the_subprocess(name, decoders, monkeypatch):
    asked = []
    monkeypatch.setattr(decoding, "MOST_PIXELS", 50 * 37 - 1)
    monkeypatch.setattr(decoders["kernels"]._process, "decode", asked.append)
    decoders["kernels"].decode([FILES[name]])
    assert asked == [FILES[name]]


@pytest.mark.parametrize("decoder", FORMATS)
def test_neighbours_do_not_matter(decoder, decoders, monkeypatch):
    """All at once, in any order and in any portions, each file gives what it gives alone."""
    contents = [*FILES.values(), "a reason", np.asarray(picture()), cut("photo"), b"", cut("drawing"), FILES["photo"]]
    alone = [only(decoders[decoder], content) for content in contents]
    assert alone[len(FILES)] == "a reason"
    for order in (range(len(contents)), range(len(contents))[::-1]):
        for most in (8 << 20, 3000):
            monkeypatch.setattr(jpeg_batches, "MOST_JOINED_BYTES", most)
            outcomes = decoders[decoder].decode([contents[i] for i in order])
            for i, outcome in zip(order, outcomes, strict=True):
                assert_same(outcome, alone[i])
    assert decoders[decoder].decode([]) == []


def assert_same(one, other):
    assert type(one) is type(other)
    if isinstance(one, str):
        assert one == other
    else:
        np.testing.assert_array_equal(one.images, other.images)
        assert (one.width, one.height, one.jpegs) == (other.width, other.height, other.jpegs)


RECIPES = {
    "stretch": Recipe(20, mode="stretch"),
    "pad": Recipe(20, mode="pad", background=(250, 3, 99)),
    "fit": Recipe(20, mode="fit", background=(250, 3, 99)),
    "box": Recipe(20, mode="box", box=(3, 7, 30, 20)),
    "grey": Recipe(20, channels=1),
    "grey pad": Recipe(20, channels=1, mode="pad", background=(250, 3, 99)),
    "enlarged": Recipe(100, mode="pad"),
    "nearest": Recipe(20, filter="nearest"),
    "hamming": Recipe(20, filter="hamming"),
}


@pytest.mark.parametrize("name", ["full chroma", "grey photo", "turned 6", "turned 3", "drawing", "alpha", "GIF"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes_either_way(recipe, name):
    chosen = RECIPES[recipe]
    images = {}
    for decoder in ("kernels", "libraries"):
        with Decoder(chosen, FORMATS[decoder]) as made:
            outcome = only(made, FILES[name])
            images[decoder] = image_of(outcome).astype(int)
            assert images[decoder].shape == (chosen.size, chosen.size, chosen.channels)
            assert (outcome.width, outcome.height) == Image.open(io.BytesIO(upright_file(name))).size
    away = np.abs(images["kernels"] - images["libraries"])
    halved = name.startswith("turned") and chosen.channels == 3  # chroma, see above
    narrow = recipe in ("nearest", "hamming")  # which average little of what chroma's enlargement changes
    assert away.max() <= ((40 if narrow else 16) if halved else 3)
    assert away.mean() < ((7.0 if narrow else 2.5) if halved else 0.6)


def upright_file(name):
    image = Image.open(io.BytesIO(FILES[name]))
    return encoded(image.transpose(Image.Transpose.ROTATE_270) if name == "turned 6" else image, "PNG")


@pytest.mark.parametrize("decoder", FORMATS)
@pytest.mark.parametrize("name", ["photo", "drawing", "GIF"])
def test_a_box_outside_is_a_reason(name, decoder):
    with Decoder(Recipe(16, mode="box", box=(40, 0, 11, 5)), FORMATS[decoder]) as made:
        assert "box: 40,0,11,5 is not within the image of 50×37 pixels" in only(made, FILES[name])
        assert "is not within the image of 10×10 pixels" in only(made, np.zeros((10, 10, 3), np.uint8))


def test_grey_stays_what_it_is(decoders):
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    with Decoder(Recipe(16, channels=1), READ_BY_KERNELS) as made:
        for content in (grey, grey.repeat(3, axis=2), encoded(Image.fromarray(grey.repeat(3, axis=2)), "PNG")):
            np.testing.assert_array_equal(image_of(only(made, content)), grey)
    np.testing.assert_array_equal(image_of(only(decoders["kernels"], grey)), grey.repeat(3, axis=2))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_pixels_are_cropped_and_scaled(mode, decoders):
    image = Image.merge("RGBA", (*picture().split(), picture(mode="L"))) if mode == "RGBA" else picture(mode=mode)
    pixels = np.asarray(image).reshape(37, 50, -1)
    found = only(decoders["auto"], pixels)
    np.testing.assert_array_equal(image_of(found), image_of(only(decoders["libraries"], encoded(image, "PNG"))))
    assert (found.width, found.height) == (50, 37)


def test_pixels_of_the_wanted_size_are_copied(decoders):
    pixels = np.asarray(picture(16, 16)).copy()
    found = image_of(only(decoders["auto"], pixels))
    np.testing.assert_array_equal(found, pixels)
    assert not np.may_share_memory(found, pixels)


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4), "u1"), np.zeros((4, 4, 2), "u1"), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), "u1")]
)
def test_pixels_of_other_kinds_are_a_reason(pixels, decoders):
    assert isinstance(only(decoders["auto"], pixels), str)


@pytest.mark.parametrize("decoder", FORMATS)
def test_all_frames(decoder):
    frames = [picture(20, 20).rotate(90 * number) for number in range(3)]
    moving = encoded(frames[0], "PNG", save_all=True, append_images=frames[1:])
    for all_frames in (False, True):
        with Decoder(Recipe(20, all_frames=all_frames), FORMATS[decoder]) as made:
            images = only(made, moving).images
            np.testing.assert_array_equal(images, np.stack([np.asarray(one) for one in frames])[: len(images)])
            assert len(images) == (3 if all_frames else 1)


@pytest.mark.parametrize("decoder", FORMATS)
@pytest.mark.parametrize("channels", [1, 3])
def test_kept_jpegs_are_read_by_our_kernels(decoder, channels):
    recipe = Recipe(16, channels=channels, keep_jpeg=True, mode="stretch")
    with Decoder(recipe, FORMATS[decoder]) as made:
        outcomes = dict(zip(FILES, made.decode(list(FILES.values())), strict=True))
    for name, outcome in outcomes.items():
        [kept] = outcome.jpegs
        header = jpeg.read_header(kept)
        assert (header.width, header.height) == (outcome.width, outcome.height)
        verbatim = name in ("photo", "full chroma", "grey photo", "reduced", "turned 1")
        assert verbatim == (kept == FILES[name]), name
        if not verbatim and channels == 1:
            assert header.components == 1
        small = np.empty((16, 16, channels), np.uint8)
        jpeg.decode_resized(small, kept, filter="lanczos", reduce=8 if name == "reduced" else 1)
        np.testing.assert_array_equal(image_of(outcome), small, err_msg=name)


def test_frames_are_kept_too():
    frames = [picture(20, 20).rotate(90 * number) for number in range(3)]
    moving = encoded(frames[0], "PNG", save_all=True, append_images=frames[1:])
    with Decoder(Recipe(16, all_frames=True, keep_jpeg=True), ()) as made:
        outcome = only(made, moving)
    assert outcome.images.shape == (3, 16, 16, 3)
    for kept, frame in zip(outcome.jpegs, frames, strict=True):
        assert np.abs(jpeg.decode(kept).astype(int) - np.asarray(frame)).mean() < 4


def test_what_is_too_large_to_keep(monkeypatch):
    monkeypatch.setattr("gen_dist.preparing.decode.MOST_KEPT_PIXELS", 50 * 37 - 1)
    with Decoder(Recipe(16, keep_jpeg=True), READ_BY_KERNELS) as made:
        for content in (FILES["photo"], FILES["drawing"], np.asarray(picture())):
            assert "too many to keep" in only(made, content)
