"""Standard `.npy` files, written without knowing their length and read without trusting them."""

import contextlib
import math
import os
import stat
from pathlib import Path
from typing import IO

import numpy as np

MAGIC = b"\x93NUMPY\x01\x00"
_BUFFER = 1 << 18
HEADER_BYTES = 128  # of the files we write: any count fits, and the data stay aligned


def map_npy(path: Path, dtype: type[np.generic], shape: tuple[int, ...]) -> np.memmap:
    """Maps the array in `path`, read-only, if it is one of exactly this `dtype` and `shape` (no length of zero).

    The header must be, word for word, what NumPy writes for such an array, which leaves no room for pickled objects or
    Fortran order, and must fit the file's length. Raises ValueError saying what is wrong, OSError if it cannot be read.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe would wait for ever
        raise ValueError("not a regular file")
    with open(path, "rb") as file:
        start = file.read(len(MAGIC) + 2)
        if len(start) < len(MAGIC) + 2 or not start.startswith(MAGIC):
            raise ValueError("not a NumPy array of format 1.0")
        text = file.read(int.from_bytes(start[-2:], "little"))
        found, expected = text.rstrip(b" \n").decode("latin-1"), _header_text(dtype, shape)
        if found != expected:
            raise ValueError(f"its header says {found[:120]!r}, expected {expected!r}")
        offset = file.tell()
        length = os.fstat(file.fileno()).st_size
        due = offset + int(np.dtype(dtype).itemsize) * math.prod(shape)
        if length != due:
            raise ValueError(f"has {length} bytes, {due} are due; it was cut short or changed")
        return np.memmap(file, dtype, "r", offset, shape)


class NpyStream:
    """An `.npy` file whose length is not known yet: its header is written again when it is closed.

    `kept`: how many items of a file that is there already to go on after; what follows them is cut off.
    """

    def __init__(
        self, path: Path, dtype: type[np.generic], item_shape: tuple[int, ...], kept: int | None = None
    ) -> None:
        self.path, self.dtype, self.item_shape, self.count = path, dtype, item_shape, kept or 0
        if kept is None:
            self._file = open(path, "w+b", _BUFFER)  # noqa: SIM115 - closed by close or discard
            self._file.write(bytes(HEADER_BYTES))
            return
        self._file = open(path, "r+b", _BUFFER)  # noqa: SIM115
        end = HEADER_BYTES + kept * np.dtype(dtype).itemsize * math.prod(item_shape)
        if os.fstat(self._file.fileno()).st_size < end:
            self._file.close()
            raise ValueError(f"'{path}' is shorter than {end} bytes")
        self._file.truncate(end)
        self._file.seek(end)

    def append(self, data: bytes | memoryview, count: int = 1) -> None:
        """`data`: the bytes of `count` items."""
        self._file.write(data)
        self.count += count

    def sync(self) -> None:
        """Brings what was appended to the disk."""
        sync(self._file)

    def close(self) -> None:
        """Writes the header and brings the file to the disk."""
        text = _header_text(self.dtype, (self.count, *self.item_shape)).ljust(HEADER_BYTES - 11) + "\n"
        self._file.seek(0)
        self._file.write(MAGIC + len(text).to_bytes(2, "little") + text.encode("ascii"))
        sync(self._file)
        self._file.close()

    def discard(self) -> None:
        """Closes the file, whatever state it is in."""
        with contextlib.suppress(OSError):  # what was buffered found no room; nobody will miss it
            self._file.close()


def sync(file: IO) -> None:
    """Brings what was written to `file` to the disk."""
    file.flush()
    os.fsync(file.fileno())


def _header_text(dtype: type[np.generic], shape: tuple[int, ...]) -> str:
    """The dictionary that NumPy writes into the header of such an array."""
    return f"{{'descr': '{np.dtype(dtype).newbyteorder('<').str}', 'fortran_order': False, 'shape': {shape}, }}"
