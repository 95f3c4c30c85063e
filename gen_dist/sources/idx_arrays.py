"""The MNIST family: images and labels in IDX files, plain or in gzip, training and test images beside each other."""

import math
import mmap
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from gen_dist.errors import UserError
from gen_dist.kernels import idx
from gen_dist.kernels.limits import Limits
from gen_dist.sources.arrays import (
    Arrays,
    ArraySource,
    FileRows,
    Part,
    check_images,
    check_labels,
    numbered,
    read_whole,
)
from gen_dist.sources.inflating import GZIP
from gen_dist.sources.members import DamagedError

MOST_INFLATED = 8 << 30  # bytes of a file's values
_IMAGES = re.compile(r"(?P<set>.*(?P<block>train|t10k|test))-images[-.]idx3-ubyte(\.gz)?")
_BLOCKS = ("train", "t10k", "test")  # in the order of their images
_REMEDY = "give an images file such as train-images-idx3-ubyte.gz, or a folder with it and its labels"


def open_idx(
    path: Path,
    name: str = "SOURCE",
    class_names: Sequence[str] | None = None,
    limits: Limits | None = None,
    inflated_bytes: int = MOST_INFLATED,
) -> ArraySource:
    """The images of one IDX file, or of all in a folder: of the training set first, then of the test set.

    Labels are looked for beside the images, in the file called "labels" and "idx1" where those say "images" and
    "idx3". Blocks are "train" and "t10k" (or "test"), where the name says so. A plain file's images are read one at a
    time; those in gzip are held in memory, inflated. Classes are called by their numbers if no names are given.

    Args:
        class_names: by label, as of Fashion-MNIST.
        limits: of an image's sides and pixels.
        inflated_bytes: of a file.

    Raises:
        UserError: no such file, or no IDX images in the folder. Asked for an item or the total, also for a damaged
            file, labels that do not fit, or values that are not uint8.
    """
    files = image_files(path) if os.path.isdir(path) else [path]
    if not files:
        raise UserError(f"{name} '{path}': no IDX images in this folder; {_REMEDY}")
    pairs = [(file, labels_beside(file)) for file in files]
    all_files = [file for pair in pairs for file in pair if file is not None]
    limits = replace(limits or Limits(), inflated_bytes=inflated_bytes, file_bytes=inflated_bytes)
    return ArraySource(path, name, all_files, partial(_read, pairs, class_names, limits), _REMEDY)


def image_files(folder: Path) -> list[Path]:
    """IDX files of images in a folder by their names, one of a set: training before test; the plain one before gzip."""
    found: dict[tuple[int, str], Path] = {}
    for file in sorted(os.listdir(folder)):
        if match := _IMAGES.fullmatch(file):
            found.setdefault((_BLOCKS.index(match["block"]), match["set"]), folder / file)
    return [found[key] for key in sorted(found)]


def labels_beside(images: Path) -> Path | None:
    """The file of labels that belongs to a file of images, in gzip or not."""
    if "images" not in images.name:
        return None
    plain = images.name.removesuffix(".gz").replace("images", "labels").replace("idx3", "idx1")
    both = (images.with_name(plain), images.with_name(plain + ".gz"))
    return next((file for file in (both if images.suffix != ".gz" else both[::-1]) if file.is_file()), None)


def _read(pairs: Sequence[tuple[Path, Path | None]], class_names: Sequence[str] | None, limits: Limits) -> Arrays:
    parts, files = [], []
    try:
        for images, labels in pairs:
            rows = _rows(images, limits)
            if isinstance(rows, FileRows):
                files.append(rows.file)
            check_images(f"'{images.name}'", rows.dtype, rows.shape, limits, sure=True)
            held = None if labels is None else check_labels(f"'{labels.name}'", _values(labels, limits), len(rows))
            match = _IMAGES.fullmatch(images.name)
            parts.append(Part(images.name, rows, held, match["block"] if match else ""))
        return Arrays(*numbered(parts, class_names), files)
    except Exception:
        for file in files:
            file.close()
        raise


def _rows(path: Path, limits: Limits) -> np.ndarray | FileRows:
    """Of a plain file only the header is read here."""
    file = open(path, "rb")  # noqa: SIM115 - closed with the source
    try:
        length = os.fstat(file.fileno()).st_size
        if os.pread(file.fileno(), len(GZIP), 0) == GZIP or not length:
            file.close()
            return idx.read(read_whole(path, limits), limits)
        # Mapped, so that its length is compared with its header and its values are not touched.
        mapped = memoryview(mmap.mmap(file.fileno(), length, access=mmap.ACCESS_READ))
        shape = idx.read(mapped, limits).shape
        return FileRows(file, length - math.prod(shape), np.dtype(np.uint8), shape)
    except Exception:
        file.close()
        raise


def _values(path: Path, limits: Limits) -> np.ndarray:
    values = idx.read(read_whole(path, limits), limits)
    if values.ndim != 1:
        raise DamagedError(f"'{path.name}' has {values.ndim} axes, labels have one")
    return values
