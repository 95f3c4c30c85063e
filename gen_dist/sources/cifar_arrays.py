"""CIFAR-10 and CIFAR-100 in their binary version: a folder of `.bin` files, one of them, or their archive."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from gen_dist.errors import UserError
from gen_dist.kernels.limits import DecodeError, Limits
from gen_dist.sources.archive import ArchiveSource
from gen_dist.sources.arrays import Arrays, ArraySource, Part, numbered, read_whole
from gen_dist.sources.members import DamagedError
from gen_dist.sources.source import RejectedError

META = {10: "batches.meta.txt", 100: "fine_label_names.txt"}
_FILES = re.compile(r"(?P<ten>(data_batch_[1-9]|test_batch)\.bin)|(?P<hundred>(train|test)\.bin)")
_MOST_META = 1 << 16  # bytes
_REMEDY = "give the folder with data_batch_1.bin and the others, or train.bin and test.bin of CIFAR-100"


def open_cifar(path: Path, name: str = "SOURCE", limits: Limits | None = None) -> ArraySource:
    """The images of one of CIFAR's `.bin` files, or of all in a folder: of the training set first, then the test set.

    Blocks are "train" and "test". Class names stand in a text file beside them; without it, classes are called by
    their numbers. All images are held in memory. Raises UserError if there is no such file; asked for an item or the
    total, also if it is damaged.
    """
    folder = path if os.path.isdir(path) else path.parent
    names = batches(os.listdir(folder)) if folder == path else [path.name]
    if not batches(names):
        raise UserError(f"{name} '{path}': no file of CIFAR; {_REMEDY}")
    meta = folder / META[classes_of(names[0])]
    files = [folder / file for file in names] + ([meta] if meta.is_file() else [])
    return ArraySource(path, name, files, partial(_read_files, files, limits or Limits()), _REMEDY)


def cifar_in_archive(archive: ArchiveSource, path: Path, name: str = "SOURCE") -> ArraySource | None:
    """The images of CIFAR's own archive, `cifar-10-binary.tar.gz` or the like; None if it is another one.

    The result closes the archive when it is closed itself.
    """
    names = {os.path.basename(member): member for member in archive.names()}
    wanted = batches(names)
    if not wanted or len({os.path.dirname(names[file]) for file in wanted}) > 1:
        return None
    meta = META[classes_of(wanted[0])]
    wanted += [meta] if meta in names else []

    def read() -> Arrays:
        try:
            return read_cifar({file: archive.read(names[file]) for file in wanted})
        except RejectedError as error:
            raise DamagedError(str(error)) from error

    return ArraySource(path, name, [path], read, _REMEDY, archive.close)


def batches(names: Iterable[str]) -> list[str]:
    """Those that are called like CIFAR's files of images, training before test."""
    found = [file for file in names if _FILES.fullmatch(file)]
    return sorted(found, key=lambda file: (file.startswith("test"), file))


def classes_of(file: str) -> int:
    """10 or 100, by the name of a file that `batches` lists."""
    match = _FILES.fullmatch(file)
    return 10 if match and match["ten"] else 100


def read_cifar(files: Mapping[str, bytes], limits: Limits | None = None) -> Arrays:
    """The images and labels in files by their names; one of them may be the text with the names of the classes.

    Raises DamagedError or DecodeError.
    """
    from gen_dist.kernels import cifar  # here, since it imports Numba

    names = batches(files)
    if len({classes_of(file) for file in names}) != 1:
        raise DamagedError("files of CIFAR-10 and CIFAR-100 side by side" if names else "no file of CIFAR")
    classes = classes_of(names[0])
    parts = []
    for file in names:
        try:
            images, labels = cifar.read(files[file], classes, limits)
        except DecodeError as error:
            raise DecodeError(f"'{file}': {error}") from None
        parts.append(Part(file, images, labels, "test" if file.startswith("test") else "train"))
    meta = META[classes]
    return Arrays(*numbered(parts, _class_names(meta, files[meta], classes) if meta in files else None))


def _class_names(file: str, text: bytes, classes: int) -> list[str]:
    lines = [line.strip() for line in text[:_MOST_META].decode("utf-8", "replace").splitlines() if line.strip()]
    if len(lines) != classes or len(set(lines)) != classes:
        raise DamagedError(f"'{file}': {len(set(lines))} names of classes, {classes} are due")
    return lines


def _read_files(files: Sequence[Path], limits: Limits) -> Arrays:
    return read_cifar({file.name: read_whole(file, limits) for file in files}, limits)
