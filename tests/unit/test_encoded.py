"""Images kept as JPEGs: any of them, in any order, whole or parts, as one decoded alone; and damaged ones named."""

import json
import threading

import numpy as np
import pytest

from gen_dist.data.pack import Pack
from gen_dist.data.pack_meta import META
from gen_dist.errors import RunError, UserError
from gen_dist.kernels.cropping import window
from gen_dist.kernels.jpeg import decode_resized
from tests.conftest import write_encoded_pack
from tests.jpegs import encoded

SIZES = [(40, 24), (24, 40), (33, 57), (16, 16), (90, 20), (17, 200), (64, 64), (5, 3), (41, 40)]
FILES = [encoded(*size, seed=i, sampling="4:2:0" if i % 2 else "4:4:4") for i, size in enumerate(SIZES)]
ORDER = np.array([3, 8, 0, 8, 5, 1, 7, 2, 6, 4])


@pytest.fixture(params=[1 << 30, 1], ids=["one part", "a part each"])
def part_bytes(request):
    return request.param


def alone(index, box, shape, filter):
    out = np.empty(shape, np.uint8)
    decode_resized(out, FILES[index], box=tuple(box), filter=filter)
    return out


@pytest.mark.parametrize("shape", [(16, 16, 3), (16, 16, 1)])
@pytest.mark.parametrize(
    ("crop", "filter"), [("center", "lanczos"), ("stretch", "bilinear"), ("box:1,0,4,3", "bicubic")]
)
def test_each_is_what_its_file_gives(tmp_path, part_bytes, shape, crop, filter):
    pack = Pack.open(write_encoded_pack(tmp_path / "pack", FILES, shape, part_bytes, crop=crop, filter=filter))
    assert len(pack.parts) == (9 if part_bytes == 1 else 1)
    mode, _, numbers = crop.partition(":")
    box = [int(number) for number in numbers.split(",")] if numbers else None
    windows = [window(*SIZES[index], 16, 16, mode, box).box for index in ORDER]
    out = np.empty((len(ORDER), *shape), np.uint8)
    pack.encoded.decode(out, ORDER)
    for image, index, place in zip(out, ORDER, windows, strict=True):
        np.testing.assert_array_equal(image, alone(index, place, shape, filter))
    np.testing.assert_array_equal(pack.read(ORDER), out)
    np.testing.assert_array_equal(pack.encoded.boxes(ORDER), windows)
    regions = windows if mode == "box" else [(0, 0, *SIZES[index]) for index in ORDER]
    np.testing.assert_array_equal(pack.encoded.regions(ORDER), regions)


@pytest.mark.parametrize("shape", [(16, 16, 3), (7, 12, 3), (12, 7, 3), (1, 9, 3)])
def test_central_windows_are_those_of_the_kernels(tmp_path, shape):
    images = Pack.open(write_encoded_pack(tmp_path / "pack", FILES, shape)).encoded
    images.sizes = np.random.default_rng(0).integers(1, 99, (500, 2), dtype=np.int32)
    expected = [window(*size, shape[1], shape[0], "center").box for size in images.sizes.tolist()]
    np.testing.assert_array_equal(images.boxes(np.arange(500)), expected)


def test_parts_of_images(tmp_path, part_bytes):
    pack = Pack.open(write_encoded_pack(tmp_path / "pack", FILES, part_bytes=part_bytes))
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 0.5, (len(ORDER), 2)) * [SIZES[index] for index in ORDER]
    boxes = np.hstack((corners, corners + rng.uniform(0.1, 0.5, (len(ORDER), 2)) * [SIZES[i] for i in ORDER]))
    out = np.empty((len(ORDER), 16, 16, 3), np.uint8)
    scratch = pack.encoded.make_scratch()
    pack.encoded.decode(out, ORDER, boxes, scratch)
    for image, index, box in zip(out, ORDER, boxes, strict=True):
        np.testing.assert_array_equal(image, alone(index, box, (16, 16, 3), "lanczos"))


def test_threads_decode_at_once(tmp_path, part_bytes):
    images = Pack.open(write_encoded_pack(tmp_path / "pack", FILES, part_bytes=part_bytes)).encoded
    order = np.tile(ORDER, 20)
    outs = [np.empty((len(order), 16, 16, 3), np.uint8) for _ in range(4)]
    threads = [threading.Thread(target=images.decode, args=(out, order)) for out in outs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for out in outs:
        np.testing.assert_array_equal(out, Pack.open(tmp_path / "pack").read(order))


def test_packs_with_the_same_hash_show_the_same(tmp_path, part_bytes):
    ways = [
        {}, {"crop": "stretch"}, {"crop": "box:0,0,3,3"}, {"crop": "box:1,0,3,3"}, {"filter": "box"},
        {"shape": (16, 16, 1)}, {"shape": (8, 8, 3)},
    ]  # fmt: skip
    hashes = [Pack.open(write_encoded_pack(tmp_path / str(i), FILES, **way)).content_hash for i, way in enumerate(ways)]
    assert len(set(hashes)) == len(ways)
    same = write_encoded_pack(tmp_path / "same", FILES, part_bytes=part_bytes, crop="center", filter="lanczos")
    assert Pack.open(same).content_hash == hashes[0]
    assert Pack.open(same).verify() == []


def spoil(path, index, part, change):
    """Change the bytes of image `index` in the file of its part."""
    pack = Pack.open(path)
    start, file = int(pack.offsets[index]), path / pack.meta.parts[part].file
    before = sum(about.bytes for about in pack.meta.parts[:part])
    data = bytearray(file.read_bytes())
    begin = len(data) - pack.meta.parts[part].bytes + start - before
    change(memoryview(data)[begin : begin + int(pack.offsets[index + 1]) - start])
    file.write_bytes(data)


def no_start(data):
    data[:2] = b"XX"


def larger(data):
    """1024 pixels high, and as wide: nothing that could not be, but more than the pack holds."""
    frame = bytes(data).index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = b"\x04\x00" * 2


def no_data(data):
    """An end marker too early."""
    data[-200:-198] = b"\xff\xd9"


@pytest.mark.parametrize(
    ("change", "reason"),
    [(no_start, "no JPEG: .*"), (larger, "a side of more .*"), (no_data, "the JPEG data ends too early")],
)
def test_a_damaged_file_is_named(tmp_path, part_bytes, change, reason):
    path = write_encoded_pack(tmp_path / "pack", FILES, part_bytes=part_bytes)
    spoil(path, 6, 6 if part_bytes == 1 else 0, change)
    pack = Pack.open(path)
    named = f"^pack '{path}': image 6, '6.jpg': {reason}; .* run 'gen-dist verify {path}'$"
    with pytest.raises(RunError, match=named):
        pack.read(ORDER)
    np.testing.assert_array_equal(pack.read([5, 7]).shape, (2, 16, 16, 3))
    assert pack.verify() == [6]


def test_an_image_that_is_smaller_than_the_pack_says_is_damaged(tmp_path):
    path = write_encoded_pack(tmp_path / "pack", FILES, crop="stretch")

    def smaller(data):
        frame = bytes(data).index(b"\xff\xc0")
        data[frame + 7 : frame + 9] = b"\x00\x10"

    spoil(path, 0, 0, smaller)
    with pytest.raises(RunError, match=r"image 0, '0.jpg': a box that is empty or not within the image"):
        Pack.open(path).read([0])


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"crop": "pad"}, "data.prepare.crop 'pad' is not a window for JPEGs"),
        ({"crop": "box:1,2"}, "data.prepare.crop 'box:1,2' is not a window for JPEGs"),
        ({"crop": "center\n"}, "data.prepare.crop 'center ' is not a window for JPEGs"),
        ({"filter": "sinc"}, "data.prepare.filter 'sinc' is none of nearest, box"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path, settings, what):
    path = write_encoded_pack(tmp_path / "pack", FILES[:1], **settings)
    with pytest.raises(UserError, match=f"{META}: {what}"):
        Pack.open(path)


def test_offsets_whose_differences_wrap_around_are_refused(tmp_path):
    path = write_encoded_pack(tmp_path / "pack", FILES[:3])
    offsets = np.load(path / "offsets.npy")
    offsets[1:3] = np.iinfo(np.int64).max, -2
    assert (np.diff(offsets) > 0).all()
    np.save(path / "offsets.npy", offsets)
    with pytest.raises(UserError, match=r"offsets\.npy: the offsets do not fit the parts"):
        Pack.open(path)


def test_four_channels_are_refused(tmp_path):
    path = write_encoded_pack(tmp_path / "pack", FILES[:1])
    meta = json.loads((path / META).read_text())
    (path / META).write_text(json.dumps(meta | {"shape": [16, 16, 4]}))
    with pytest.raises(UserError, match="JPEGs of 4 channels"):
        Pack.open(path)


def test_samples_outside_the_pack_are_refused(tmp_path, part_bytes):
    pack = Pack.open(write_encoded_pack(tmp_path / "pack", FILES, part_bytes=part_bytes))
    for wrong in (-1, 9):
        with pytest.raises(IndexError):
            pack.read([0, wrong])
