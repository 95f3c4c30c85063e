"""What `benchmarks.kernels` measures: a row is some work, done by us and by others."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks import kernel_inputs as inputs
from benchmarks.peers.inputs import SIDE
from benchmarks.peers.install import PROJECT

PIXELS = SIDE * SIDE * 3
LEVELS = 127.5  # grey levels in a unit of [-1, 1]


@dataclass(frozen=True)
class Way:
    """`function`: in `benchmarks.peers`, see `worker`. `compared`: the one whose outputs are compared instead."""

    name: str
    environment: str
    function: str
    compared: str = ""
    threads: int = 1
    fresh: bool = False  # every repeat is the first epoch of a new process


@dataclass(frozen=True)
class Agreement:
    """How far outputs may be apart, in grey levels, and what is looked at.

    pixels: the largest and the mean difference. mirrored: the same, an image being as good as its mirror image.
    moments: the difference of all outputs' means, and of their standard deviations.
    """

    largest: float
    mean: float
    kind: Literal["pixels", "mirrored", "moments"] = "pixels"
    unit: float = LEVELS

    def difference(self, ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
        count = min(len(ours), len(theirs))
        if ours.shape[1:] != theirs.shape[1:] or not count:
            raise SystemExit(f"outputs of shapes {ours.shape} and {theirs.shape}")
        a, b = ours[:count].astype(np.float32), theirs[:count].astype(np.float32)
        if self.kind == "moments":
            apart = abs(a.mean() - b.mean()), abs(a.std() - b.std())
        else:
            difference = np.abs(a - b)
            if self.kind == "mirrored":
                other = np.abs(a - b[:, :, ::-1])
                nearer = other.mean((1, 2, 3)) < difference.mean((1, 2, 3))
                difference = np.where(nearer[:, None, None, None], other, difference)
            apart = difference.max(), difference.mean(dtype=np.float64)
        return float(apart[0]) * self.unit, float(apart[1]) * self.unit

    def admits(self, difference: tuple[float, float]) -> bool:
        return difference[0] <= self.largest and difference[1] <= self.mean


@dataclass(frozen=True)
class Peer:
    """`at_least`: how many times as fast we are to be; None: nobody asks."""

    way: Way
    at_least: float | None
    agreement: Agreement


@dataclass(frozen=True)
class Row:
    """`fill` makes the inputs in a folder. `moved`: bytes that an item must at least read and write."""

    key: str
    work: str
    fill: Callable[[Path, Path], None]
    ours: Way
    peers: tuple[Peer, ...]
    moved: float


def ours(function: str, name: str = "ours", **fields: object) -> Way:
    return Way(name, PROJECT, f"ours.{function}", **fields)  # type: ignore[arg-type]


def threads(key: str, work: str, fill: Callable[[Path, Path], None], function: str, moved: float) -> Row:
    """Two threads beside one."""
    one = Peer(ours(function, "ours, one thread"), 1.85, Agreement(0.0, 0.0))
    return Row(f"{key}-threads", work, fill, ours(function, "two threads", threads=2), (one,), moved)


def loader_threads(key: str, work: str, changes: str) -> Row:
    """The loader with two threads beside one."""
    one, two = (
        Way(name, PROJECT, f"our_loader.{changes}", f"our_loader.{changes}_in_order", threads=count)
        for count, name in ((1, "ours, one thread"), (2, "two threads"))
    )
    return Row(key, work, inputs.pack, two, (Peer(one, 1.85, Agreement(0.0, 0.0)),), GATHER_BYTES)


EQUAL = Agreement(0.01, 0.001)
SAME_BYTES = Agreement(0.0, 0.0, unit=1.0)
RESIZED = Agreement(1.0, 0.5, unit=1.0)
DECODED = Agreement(255.0, 6.0)  # other filters, other scales: the same picture
MIRRORED = Agreement(0.01, 0.001, "mirrored")
DRAWN = Agreement(3.0, 3.0, "moments")
NUMBERS = Agreement(0.01, 0.01, "moments", unit=1.0)

OUR_LOADER = Way("ours", PROJECT, "our_loader.flipped", "our_loader.flipped_in_order", threads=2)

GATHER = "gather 64²×3 uint8, flip half, normalise to float32"
AFFINE = "Keras affine, flip, normalise, 64²×3"
LOADER = "loader from pack to tensor, 64², flip, 2 cores"
GATHER_BYTES, FILE_BYTES = 5 * PIXELS, {"12": 12_000, "7": 7_000}


def jpeg_rows(size: str, fill: Callable[[Path, Path], None]) -> list[Row]:
    work = f"178×218 JPEG of {size} KB → 64² RGB float32"
    moved = FILE_BYTES[size] + 4 * PIXELS
    peers = (
        Peer(Way("simplejpeg + OpenCV area resize", "opencv", "with_opencv.jpeg"), 1.5, DECODED),
        Peer(
            Way("simplejpeg, scaled + Pillow-SIMD resize", "pillow-simd", "with_pillow.jpeg_simplejpeg"), 1.15, DECODED
        ),
        Peer(Way("Pillow-SIMD, draft + resize", "pillow-simd", "with_pillow.jpeg_draft"), 1.6, DECODED),
        Peer(Way("Pillow", "pillow", "with_pillow.jpeg"), 5.0, DECODED),
    )
    same_resize = Way("simplejpeg, scaled + the same resize", PROJECT, "ours.jpeg_simplejpeg")
    alone = (Peer(same_resize, 1.0, DECODED),)
    return [
        Row(f"jpeg{size}", work, fill, ours("jpeg"), peers, moved),
        Row(f"jpeg{size}-numba", f"{work}, Numba decoder alone", fill, ours("jpeg_numba"), alone, moved),
    ]


def png_row(key: str, what: str, side: int, mode: str, channels: int) -> Row:
    peer = Peer(Way("Pillow-SIMD", "pillow-simd", "with_pillow.png"), None, SAME_BYTES)
    fill = partial(inputs.png, side=side, mode=mode)
    return Row(key, f"PNG, {what}", fill, ours("png"), (peer,), 2 * side * side * channels)


ROWS = [
    Row("gather", GATHER, inputs.stored, ours("gather"), (
        Peer(Way("torch, indexing a batch", PROJECT, "with_torch.gather"), 4.5, EQUAL),
        Peer(Way("the same into memory that is reused", PROJECT, "with_torch.gather_into"), None, EQUAL),
    ), GATHER_BYTES),
    Row("affine", AFFINE, inputs.transformed, ours("affine"), (
        Peer(Way("OpenCV warpAffine", "opencv", "with_opencv.affine"), 1.3, Agreement(24.0, 0.5)),
        Peer(Way("torch affine_grid + grid_sample, flip", PROJECT, "with_torch.affine"), 4.0, Agreement(0.5, 0.01)),
        Peer(Way("the same, the flip part of the map", PROJECT, "with_torch.affine_folded"), None,
             Agreement(0.5, 0.01)),
        Peer(Way("albumentations (draws of its own)", "albumentations", "with_albumentations.affine"), 5.0, DRAWN),
        Peer(Way("Keras ImageDataGenerator", "keras", "with_keras.affine"), 15.0, Agreement(0.5, 0.01)),
    ), GATHER_BYTES),
    *jpeg_rows("12", inputs.large_jpeg),
    *jpeg_rows("7", inputs.small_jpeg),
    Row("resize", "resize uint8 256²×3 → 64², bilinear, antialiased", inputs.large, ours("resize"), (
        Peer(Way("Pillow-SIMD with AVX2", "pillow-simd", "with_pillow.resize"), 1.0, RESIZED),
    ), 3 * (256 * 256 + SIDE * SIDE)),
    png_row("png64", "64² RGB", 64, "RGB", 3),
    png_row("png256", "256² RGB", 256, "RGB", 3),
    png_row("png64-grey", "64² grey", 64, "L", 1),
    Row("loader", LOADER, inputs.pack, OUR_LOADER, (
        Peer(Way("torch DataLoader with Pillow, JPEG folder, 2 workers", "torch", "with_dataloader.shuffled",
                 "with_dataloader.in_order", threads=2), 40.0, Agreement(1.01, 0.5, "mirrored")),
        Peer(Way("FFCV, raw", "ffcv", "with_ffcv.shuffled", "with_ffcv.in_order", threads=2), 2.0, MIRRORED),
    ), GATHER_BYTES),
    Row("loader-first", f"{LOADER}, first epoch of a new process", inputs.pack,
        replace(OUR_LOADER, fresh=True), (
        Peer(Way("FFCV, raw", "ffcv", "with_ffcv.shuffled", "with_ffcv.in_order", threads=2, fresh=True), 10.0,
             MIRRORED),
    ), GATHER_BYTES),
    Row("uniform", "uniform float32 (numbers, not images)", inputs.nothing, ours("uniform"), (
        Peer(Way("NumPy Philox", PROJECT, "with_numpy.uniform"), None, NUMBERS),
        Peer(Way("torch", PROJECT, "with_torch.uniform"), None, NUMBERS),
    ), 4),
    Row("normal", "normal float32 (numbers, not images)", inputs.nothing, ours("normal"), (
        Peer(Way("NumPy Philox", PROJECT, "with_numpy.normal"), None, NUMBERS),
        Peer(Way("torch", PROJECT, "with_torch.normal"), None, NUMBERS),
    ), 4),
    threads("jpeg12", "178×218 JPEG of 12 KB → 64² RGB float32", inputs.large_jpeg, "jpeg", 12_000 + 4 * PIXELS),
    threads("resize", "resize uint8 256²×3 → 64²", inputs.large, "resize", 3 * (256 * 256 + SIDE * SIDE)),
    loader_threads("loader-threads", "loader from pack to tensor, 64², flip", "flipped"),
    loader_threads("loader-affine-threads", "loader from pack to tensor, 64², Keras affine, flip", "affine"),
]  # fmt: skip
