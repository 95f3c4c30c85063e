"""Images in NumPy's files: `.npy`, and `.npz` with several arrays. Values that are not needed yet stay in the file."""

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np

from gen_dist.kernels.limits import Limits
from gen_dist.sources.arrays import Arrays, ArraySource, FileRows, Part, check_images, check_labels, numbered
from gen_dist.sources.members import DamagedError
from gen_dist.sources.npy_header import MOST_HEADER, NpyHeader, read_npy_header
from gen_dist.sources.source import RejectedError
from gen_dist.sources.zip_archive import ZipReader

MOST_INFLATED = 4 << 30  # bytes of a compressed array
_MOST_KEYS = 1000
_IMAGES, _LABELS = ("images", "x", "x_train", "arr_0"), ("labels", "y", "y_train")
_TEST_IMAGES, _TEST_LABELS = "x_test", "y_test"  # beside x_train and y_train
_ANY_BYTES = 1 << 62
_REMEDY = "give images as uint8, n × height × width × channels"


def open_npy(path: Path, name: str = "SOURCE", limits: Limits | None = None) -> ArraySource:
    """The images in a `.npy` file: uint8, or floats from 0 to 1; n x H x W, or n x H x W x 1, 3 or 4.

    Images are read one at a time. A float image with other values is rejected. Raises UserError if there is no such
    file; asked for an item or the total, also if it holds anything else, is damaged or in Fortran order.
    """
    return ArraySource(path, name, [path], partial(_read_npy, path, limits or Limits()), _REMEDY)


def open_npz(
    path: Path, name: str = "SOURCE", limits: Limits | None = None, inflated_bytes: int = MOST_INFLATED
) -> ArraySource:
    """The images in a `.npz` file, as in `open_npy`.

    Images are the array called `images`, `x`, `x_train` or `arr_0`, or the only one of three or four axes; classes are
    the integers in `labels`, `y` or `y_train`. Where `x_train` is, `x_test` (with `y_test`) is read too, and they are
    blocks called "train" and "test". Arrays that are not compressed stay in the file (and their checksums unasked);
    others are inflated to memory, up to `inflated_bytes` each. Raises UserError as `open_npy` does.
    """
    return ArraySource(path, name, [path], partial(_read_npz, path, limits or Limits(), inflated_bytes), _REMEDY)


def _read_npy(path: Path, limits: Limits) -> Arrays:
    file = open(path, "rb")  # noqa: SIM115 - closed with the source
    try:
        header = read_npy_header(os.pread(file.fileno(), MOST_HEADER, 0))
        _check(path.name, header, os.fstat(file.fileno()).st_size)
        check_images("the array", header.dtype, header.shape, limits)
    except Exception:
        file.close()
        raise
    return Arrays([Part(path.name, FileRows(file, header.offset, header.dtype, header.shape))], None, [file])


def _check(name: str, header: NpyHeader, length: int) -> None:
    if header.fortran:
        raise DamagedError(f"{name} is in Fortran order; save np.ascontiguousarray(array) instead")
    if 0 in header.shape:
        raise DamagedError(f"{name} is empty")
    if header.file_bytes != length:
        raise DamagedError(f"{name} has {length} bytes, {header.file_bytes} are due; it was cut short or changed")


@dataclass(frozen=True)
class _Member:
    numbers: np.ndarray  # where it is, as the zip's reader knows it
    header: NpyHeader


def _read_npz(path: Path, limits: Limits, inflated_bytes: int) -> Arrays:
    file = open(path, "rb")  # noqa: SIM115 - closed with the source
    try:
        npz = _Npz(path.name, file, inflated_bytes)
        parts = [npz.part(*keys, limits) for keys in choose_keys({key: npz.shape(key) for key in npz.members})]
        return Arrays(*numbered(parts), [file])
    except RejectedError as error:
        file.close()
        raise DamagedError(str(error)) from error
    except Exception:
        file.close()
        raise


def choose_keys(shapes: dict[str, tuple[int, ...]]) -> list[tuple[str, str | None, str]]:
    """(images, labels, block) of the arrays to read, by the arrays' names and shapes. Raises DamagedError."""
    found = [key for key in _IMAGES if key in shapes] or [key for key, shape in shapes.items() if len(shape) in (3, 4)]
    labels = [key for key in _LABELS if key in shapes]
    if len(found) != 1 or len(labels) > 1:
        held = ", ".join(f"{key} {'×'.join(map(str, shape))}" for key, shape in list(shapes.items())[:20]) or "none"
        what = "images" if len(found) != 1 else "labels"
        raise DamagedError(f"it is not clear which array holds the {what} ({held}); call them 'images' and 'labels'")
    if found == ["x_train"] and _TEST_IMAGES in shapes:
        test_labels = _TEST_LABELS if _TEST_LABELS in shapes else None
        return [("x_train", labels[0] if labels else None, "train"), (_TEST_IMAGES, test_labels, "test")]
    return [(found[0], labels[0] if labels else None, "")]


class _Npz:
    def __init__(self, name: str, file: BinaryIO, inflated_bytes: int) -> None:
        self._name, self._file, self._inflated_bytes = name, file, inflated_bytes
        self._zip = ZipReader(file, _ANY_BYTES)
        listed = self._zip.members()
        if len(listed.names) > _MOST_KEYS:
            raise DamagedError(f"{len(listed.names)} arrays, more than {_MOST_KEYS}")
        self.members: dict[str, np.ndarray] = {
            os.fsdecode(key).removesuffix(".npy"): numbers
            for key, numbers in zip(listed.names, listed.numbers, strict=True)
            if key.endswith(b".npy")
        }

    def shape(self, key: str) -> tuple[int, ...]:
        """() of what is no array of numbers: it may stand beside the images."""
        try:
            return read_npy_header(self._zip.begin(self.members[key], MOST_HEADER)).shape
        except DamagedError:
            return ()

    def part(self, images: str, labels: str | None, block: str, limits: Limits) -> Part:
        header = read_npy_header(self._zip.begin(self.members[images], MOST_HEADER))
        check_images(f"'{images}'", header.dtype, header.shape, limits)
        rows = self._rows(images)
        held = None if labels is None else check_labels(f"'{labels}'", self._values(labels), header.shape[0])
        return Part(f"{self._name}/{images}", rows, held, block)

    def _rows(self, key: str) -> np.ndarray | FileRows:
        numbers = self.members[key]
        if not self._zip.stored_plainly(numbers):
            return self._values(key)
        header = read_npy_header(self._zip.begin(numbers, MOST_HEADER))
        _check(f"'{key}'", header, int(self._zip.size(numbers)))
        return FileRows(self._file, self._zip.data_offset(numbers) + header.offset, header.dtype, header.shape)

    def _values(self, key: str) -> np.ndarray:
        numbers = self.members[key]
        if (size := int(self._zip.size(numbers))) > self._inflated_bytes:
            raise DamagedError(f"'{key}' has {size} bytes, more than {self._inflated_bytes}; save it with np.savez")
        content = self._zip.load(numbers, lambda start: None)
        header = read_npy_header(content[:MOST_HEADER])
        _check(f"'{key}'", header, len(content))
        return np.frombuffer(content, header.dtype, offset=header.offset).reshape(header.shape)
