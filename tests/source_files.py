"""Small sources of every kind, written to a folder as a user would have them."""

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

DIGITS = (20, 7)  # images of MNIST's two parts


def png(seed: int, width: int = 12, height: int = 10) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def idx(array: np.ndarray) -> bytes:
    """Of uint8."""
    return bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


def write_classes(folder: Path, images: int = 6) -> Path:
    """Two classes, "a" and "b", of so many images each."""
    for number, name in enumerate("ab"):
        (folder / name).mkdir(parents=True)
        for i in range(images):
            (folder / name / f"{i}.png").write_bytes(png(100 * number + i))
    return folder


def write_archives(place: Path, folder: Path) -> None:
    """`classes.zip` and `classes.tar.gz` of a folder, and the folder `tars` of one tar for each of its folders."""
    with zipfile.ZipFile(place / "classes.zip", "w") as file:
        for path in sorted(folder.rglob("*.png")):
            file.write(path, path.relative_to(folder.parent))
    with tarfile.open(place / "classes.tar.gz", "w:gz") as tar:
        tar.add(folder, folder.name)
    (place / "tars").mkdir()
    for one in folder.iterdir():
        with tarfile.open(place / "tars" / f"{one.name}.tar", "w") as tar:
            tar.add(one, one.name)


def write_digits(folder: Path) -> Path:
    """Files named and made like MNIST's, of few images."""
    folder.mkdir()
    for part, count in zip(("train", "t10k"), DIGITS, strict=True):
        images = np.random.default_rng(count).integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    return folder


def write_arrays(place: Path) -> None:
    """`data_batch_1.bin` as of CIFAR-10, `images.npy` and `images.npz`."""
    images = np.random.default_rng(3).integers(0, 256, (10, 3072), dtype=np.uint8)
    labels = np.arange(10, dtype=np.uint8)
    (place / "data_batch_1.bin").write_bytes(np.concatenate([labels[:, None], images], axis=1).tobytes())
    np.save(place / "images.npy", images.reshape(10, 32, 32, 3))
    np.savez(place / "images.npz", images=images.reshape(10, 32, 32, 3), labels=labels)


def write_video(path: Path, frames: int = 30) -> None:
    """So many frames, ten a second, each of another grey. Needs PyAV."""
    import av

    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for i in range(frames):
            pixels = np.full((32, 48, 3), i * 255 // frames, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
