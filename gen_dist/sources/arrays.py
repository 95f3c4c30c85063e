"""Pixels in arrays, one image a row: what a source of such files has in common, wherever the rows are held."""

import hashlib
import math
import os
import stat
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np

from gen_dist.data.pack_meta import printable
from gen_dist.errors import UserError
from gen_dist.kernels.limits import DecodeError, Limits, UnsupportedError
from gen_dist.sources.members import DamagedError, read_at
from gen_dist.sources.source import Item, RejectedError

CHANNELS = (1, 3, 4)


class FileRows:
    """Rows of an array that stay in the file: reading one needs its memory only, and a file cut short is noticed."""

    def __init__(self, file: BinaryIO, offset: int, dtype: np.dtype, shape: tuple[int, ...]) -> None:
        self.shape, self.dtype = shape, dtype
        self.file, self._offset = file, offset
        self._row_bytes = dtype.itemsize * math.prod(shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, row: int) -> np.ndarray:
        data = read_at(self.file, self._row_bytes, self._offset + row * self._row_bytes)
        if len(data) != self._row_bytes:
            raise RejectedError("cut short")
        return np.frombuffer(data, self.dtype).reshape(self.shape[1:])


@dataclass(frozen=True)
class Part:
    """Images of one file or one array.

    Args:
        name: of the file, and the array in it.
        rows: n x H x W, or n x H x W x 1, 3 or 4: uint8, or floats from 0 to 1.
        labels: n integers, or None for no classes.
        block: of all items.
    """

    name: str
    rows: np.ndarray | FileRows
    labels: np.ndarray | None = None
    block: str = ""


@dataclass(frozen=True)
class Arrays:
    """What an `ArraySource` has once it is read. `class_names[label]` is a class; `files` are open."""

    parts: Sequence[Part]
    class_names: Sequence[str] | None = None
    files: Sequence[BinaryIO] = ()


class ArraySource:
    """A `Source`. Items are called FILE[N] in the order of the parts.

    Args:
        path: what the user gave.
        name: what errors call it.
        files: that decide the content, for the stamp.
        remedy: what errors tell the user to do.
        closing: called by `close`.
        read: called when an item, the total or the classes are first asked for. Raises UserError, or DamagedError,
            DecodeError, UnsupportedError or OSError to be turned into one.

    Raises:
        UserError: one of the files is none, or cannot be looked at.
    """

    rejected: Sequence[tuple[str, str]] = ()
    consecutive = False

    def __init__(
        self,
        path: Path,
        name: str,
        files: Sequence[Path],
        read: Callable[[], Arrays],
        remedy: str,
        closing: Callable[[], None] | None = None,
    ) -> None:
        self.description = printable(os.path.abspath(path))
        self._path, self._name, self._read, self._remedy = path, name, read, remedy
        self._closing = closing
        self._lock = threading.Lock()
        self._arrays: Arrays | None = None
        facts = [self._look_at(file) for file in files]
        self.total_bytes = sum(size for _, size, _ in facts)
        self._stamp = hashlib.sha256(repr(facts).encode()).hexdigest()

    def stamp(self) -> str:
        return self._stamp

    @property
    def total(self) -> int:
        return sum(len(part.rows) for part in self._have().parts)

    @property
    def class_names(self) -> tuple[str, ...] | None:
        names = self._have().class_names
        return None if names is None else tuple(names)

    def items(self) -> Iterator[Item]:
        arrays = self._have()
        for part in arrays.parts:
            for row in range(len(part.rows)):
                named = part.labels is not None and arrays.class_names is not None
                yield Item(
                    name=f"{part.name}[{row}]",
                    stamp=self._stamp,
                    load=partial(_load, part.rows, row),
                    class_name=arrays.class_names[part.labels[row]] if named else None,  # type: ignore[index]
                    block=part.block,
                    content_bytes=math.prod(part.rows.shape[1:]) * part.rows.dtype.itemsize,
                )

    def blocks(self) -> Mapping[str, int]:
        counts: Counter[str] = Counter()
        for part in self._have().parts:
            counts[part.block] += len(part.rows)
        return counts

    def close(self) -> None:
        for file in self._arrays.files if self._arrays else ():
            file.close()
        if self._closing is not None:
            self._closing()

    def _have(self) -> Arrays:
        with self._lock:
            if self._arrays is None:
                try:
                    self._arrays = self._read()
                except OSError as error:
                    raise self._refused(error.strerror or "cannot be read") from error
                except (DamagedError, DecodeError, UnsupportedError) as error:
                    raise self._refused(str(error)) from error
            return self._arrays

    def _look_at(self, file: Path) -> tuple[str, int, int]:
        try:
            about = os.stat(file)
        except OSError as error:
            raise self._refused(error.strerror or "cannot be read") from error
        if not stat.S_ISREG(about.st_mode):
            raise self._refused("not a regular file")
        return file.name, about.st_size, about.st_mtime_ns

    def _refused(self, why: str) -> UserError:
        return UserError(f"{self._name} '{self._path}': {why}; {self._remedy}")


def check_images(name: str, dtype: np.dtype, shape: tuple[int, ...], limits: Limits, sure: bool = False) -> None:
    """Raises DamagedError or DecodeError unless an array holds images; nothing is guessed about its axes.

    Args:
        name: what errors call the array.
        limits: of an image's sides and pixels.
        sure: n x H x W is known to be meant, however small W is.
    """
    text = "×".join(map(str, shape)) or "one number"
    if dtype != np.uint8 and dtype.kind != "f":
        raise DamagedError(f"{name} holds {dtype.name}; uint8 and floats from 0 to 1 are read")
    if len(shape) == 4 and shape[3] not in CHANNELS and shape[1] in CHANNELS:
        raise DamagedError(f"{name} is {text}, channels first; save array.transpose(0, 2, 3, 1) instead")
    if len(shape) == 3 and shape[2] in CHANNELS and not sure:
        raise DamagedError(
            f"{name} is {text}, one image or many grey ones; save array[None] or array[..., None] instead"
        )
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in CHANNELS):
        raise DamagedError(f"{name} is {text}, not n images of 1, 3 or 4 channels")
    if not shape[0]:
        raise DamagedError(f"{name} is {text}: no images")
    limits.check_size(shape[2], shape[1])


def check_labels(name: str, labels: np.ndarray, count: int) -> np.ndarray:
    """The labels of `count` images, int64. Raises DamagedError."""
    if labels.shape == (count, 1):
        labels = labels[:, 0]
    if labels.dtype.kind not in "iu" or labels.shape != (count,):
        text = "×".join(map(str, labels.shape)) or "one"
        raise DamagedError(f"{name}: {text} labels of {labels.dtype.name} for {count} images")
    if labels.max() > np.iinfo(np.int64).max:
        raise DamagedError(f"{name}: a label of {labels.max()}")
    return labels.astype(np.int64)


def numbered(parts: Sequence[Part], class_names: Sequence[str] | None = None) -> tuple[list[Part], list[str] | None]:
    """(parts whose labels are positions among the names, the names): those given, or the labels in numeric order.

    Raises DamagedError if there are labels of some parts only, or without a name.
    """
    labels = [part.labels for part in parts if part.labels is not None]
    if len(labels) not in (0, len(parts)):
        missing = next(part.name for part in parts if part.labels is None)
        raise DamagedError(f"'{missing}' has no labels, others have")
    if not labels:
        return list(parts), None
    values = np.unique(np.concatenate(labels))
    if class_names is not None:
        if values[0] < 0 or values[-1] >= len(class_names):
            raise DamagedError(f"labels from {values[0]} to {values[-1]}, but {len(class_names)} class names")
        return list(parts), list(class_names)
    places = [np.searchsorted(values, one) for one in labels]
    found = [Part(part.name, part.rows, place, part.block) for part, place in zip(parts, places, strict=True)]
    return found, [str(value) for value in values]


def read_whole(path: Path, limits: Limits) -> bytes:
    """A file of at most `limits.file_bytes`. Raises DecodeError for a longer one, OSError."""
    with open(path, "rb") as file:
        limits.check_bytes(os.fstat(file.fileno()).st_size)
        return file.read()


def _load(rows: np.ndarray | FileRows, row: int) -> np.ndarray:
    """uint8, H x W x C."""
    try:
        image = rows[row]
    except OSError as error:
        raise RejectedError(error.strerror or "cannot be read") from error
    image = image if image.ndim == 3 else image[:, :, None]
    if image.dtype == np.uint8:
        return np.ascontiguousarray(image)
    values = image.astype(np.float64)
    if not np.isfinite(values).all():
        raise RejectedError("not all values are finite")
    if values.min() < 0 or values.max() > 1:
        raise RejectedError(f"values from {values.min():g} to {values.max():g}; floats must be from 0 to 1")
    return np.rint(values * 255).astype(np.uint8)
