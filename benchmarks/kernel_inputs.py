"""The images that `benchmarks.kernels` works on: crops of photographs, as arrays, as JPEG and as PNG files.

Each function fills a folder; `benchmarks.peers.inputs` reads it in every environment.
"""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.peers.inputs import SIDE

PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "motorcycle_right.png",
               "rocket.jpg")  # fmt: skip
CELEBA = (178, 218)  # width and height of the faces that everybody trains on
IMAGES, STORED = 1024, 20480  # different ones, and in the pack that is gathered from
GATHERED = 4096  # in one repeat
ROTATION, SHIFT, SHEAR, ZOOM = 10.0, 0.1, 0.15, 0.1  # as ImageDataGenerator takes them
MEGABYTE = 1 << 20


def crops(photographs: Path, count: int, size: tuple[int, int]) -> Iterator[Image.Image]:
    """Random windows of the photographs, half of them mirrored, scaled to `size` (width, height)."""
    generator = np.random.default_rng(0)
    pictures = [Image.open(photographs / name).convert("RGB") for name in PHOTOGRAPHS]
    for number in range(count):
        picture = pictures[number % len(pictures)]
        largest = min(picture.width / size[0], picture.height / size[1])
        scale = largest * generator.uniform(0.4, 0.8)
        width, height = size[0] * scale, size[1] * scale
        left, top = generator.uniform(0, picture.width - width), generator.uniform(0, picture.height - height)
        window = picture.resize(size, Image.Resampling.BICUBIC, (left, top, left + width, top + height), reducing_gap=3)
        yield window.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if generator.random() < 0.5 else window


def arrays(photographs: Path, count: int, side: int) -> np.ndarray:
    return np.stack([np.asarray(image) for image in crops(photographs, count, (side, side))])


def stored(folder: Path, photographs: Path) -> None:
    """A pack's worth of images, and the order in which a batch wants them. They repeat, but each has its own memory."""
    generator = np.random.default_rng(1)
    np.save(folder / "images.npy", np.tile(arrays(photographs, IMAGES, SIDE), (STORED // IMAGES, 1, 1, 1)))
    np.save(folder / "order.npy", generator.permutation(STORED)[:GATHERED])
    np.save(folder / "flips.npy", generator.random(GATHERED) < 0.5)


def transformed(folder: Path, photographs: Path) -> None:
    """Images, Keras' six numbers for each, and the map (row, column) from output to input that they stand for."""
    generator = np.random.default_rng(2)
    np.save(folder / "images.npy", arrays(photographs, IMAGES, SIDE))
    np.save(folder / "flips.npy", generator.random(IMAGES) < 0.5)
    limits = np.array([ROTATION, SHIFT * SIDE, SHIFT * SIDE, SHEAR, ZOOM, ZOOM])
    numbers = generator.uniform(-1, 1, (IMAGES, 6)) * limits + [0, 0, 0, 0, 1, 1]
    np.save(folder / "numbers.npy", numbers)
    np.save(folder / "matrices.npy", np.stack([keras_matrix(*each) for each in numbers]))


def keras_matrix(theta: float, tx: float, ty: float, shear: float, zx: float, zy: float) -> np.ndarray:
    """ImageDataGenerator's map about the centre, 2 x 3; angles in degrees."""
    theta, shear, centre = np.deg2rad(theta), np.deg2rad(shear), SIDE / 2 - 0.5
    rotation = np.array([[np.cos(theta), -np.sin(theta), 0], [np.sin(theta), np.cos(theta), 0], [0, 0, 1]])
    shift = np.array([[1, 0, tx], [0, 1, ty], [0, 0, 1]])
    sheared = np.array([[1, -np.sin(shear), 0], [0, np.cos(shear), 0], [0, 0, 1]])
    to, back = (np.array([[1, 0, c], [0, 1, c], [0, 0, 1]]) for c in (centre, -centre))
    return (to @ rotation @ shift @ sheared @ np.diag([zx, zy, 1.0]) @ back)[:2]


def large_jpeg(folder: Path, photographs: Path) -> None:
    """Of about 12,000 bytes: at the quality that gives them."""
    some = list(crops(photographs, 48, CELEBA))
    quality = min(range(75, 97), key=lambda quality: abs(np.mean([len(encoded(i, quality)) for i in some]) - 12_000))
    jpeg(folder, photographs, quality)


def small_jpeg(folder: Path, photographs: Path) -> None:
    jpeg(folder, photographs, 75)


def jpeg(folder: Path, photographs: Path, quality: int) -> None:
    write_files(folder, ".jpg", (encoded(image, quality) for image in crops(photographs, IMAGES, CELEBA)))


def encoded(image: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)  # 4:2:0, as almost all JPEGs
    return file.getvalue()


def large(folder: Path, photographs: Path) -> None:
    np.save(folder / "images.npy", arrays(photographs, IMAGES // 4, 256))


def png(folder: Path, photographs: Path, side: int, mode: str) -> None:
    def files() -> Iterator[bytes]:
        for image in crops(photographs, IMAGES if side <= SIDE else IMAGES // 8, (side, side)):
            file = io.BytesIO()
            image.convert(mode).save(file, "PNG")
            yield file.getvalue()

    write_files(folder, ".png", files())


def write_files(folder: Path, suffix: str, files: Iterator[bytes]) -> None:
    (folder / "files").mkdir()
    for number, data in enumerate(files):
        (folder / "files" / f"{number:06}{suffix}").write_bytes(data)


def pack(folder: Path, photographs: Path) -> None:
    """The JPEG files of `large_jpeg`, files of their small images, and a pack that repeats those."""
    from gen_dist.data.pack_files import About
    from gen_dist.data.pack_writer import PackWriter

    large_jpeg(folder, photographs)
    small = [
        np.asarray(Image.open(path).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
        for path in sorted((folder / "files").iterdir())
    ]
    images = np.tile(np.stack(small), (STORED // IMAGES, 1, 1, 1))
    np.save(folder / "images.npy", images)
    with PackWriter(folder / "pack", (SIDE, SIDE, 3)) as writer:
        for image in images:
            writer.append(image)
        writer.finish(About("crops of photographs", {"images": len(images)}, None, []))


def nothing(folder: Path, photographs: Path) -> None:
    """For work that makes its output of itself."""
