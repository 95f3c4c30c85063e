"""The header of a foreign `.npy` file, read as the few words that NumPy writes and never evaluated."""

import math
import re
from dataclasses import dataclass

import numpy as np

from gen_dist.sources.members import DamagedError

MAGIC = b"\x93NUMPY"
MOST_HEADER = 10_000  # bytes; as NumPy itself allows
_LENGTH_BYTES = {1: 2, 2: 4, 3: 4}  # by version
_PAIR = re.compile(
    r"""\s*['"](?:(?P<kind>descr)['"]\s*:\s*['"](?P<descr>[<>|=]?[a-zA-Z][0-9]*)['"]"""
    r"""|(?P<order>fortran_order)['"]\s*:\s*(?P<fortran>True|False)"""
    r"""|(?P<axes>shape)['"]\s*:\s*\((?P<shape>[0-9, ]*)\))\s*(?:,|$)"""
)
_TYPE = re.compile(r"[<>|=]?(?:u1|i[1248]|u[248]|f[248]|b1)")
_MOST_AXES = 32
_MOST_DIGITS = 18


@dataclass(frozen=True)
class NpyHeader:
    """What follows it: an array of numbers or truth values."""

    dtype: np.dtype
    shape: tuple[int, ...]
    fortran: bool  # order of the values; no matter with less than two axes
    offset: int  # bytes, of the first value

    @property
    def file_bytes(self) -> int:
        """How long the file must be."""
        return self.offset + self.dtype.itemsize * math.prod(self.shape)


def read_npy_header(start: bytes) -> NpyHeader:
    """From the first `MOST_HEADER` bytes of a file, or all. Raises DamagedError, also for values that are objects,
    records, texts or complex.
    """
    if not start.startswith(MAGIC) or len(start) < len(MAGIC) + 2:
        raise DamagedError("it does not begin as a NumPy array does")
    if start[6] not in _LENGTH_BYTES:
        raise DamagedError(f"a NumPy array of format {start[6]}, which is not known")
    begin = len(MAGIC) + 2 + _LENGTH_BYTES[start[6]]
    offset = begin + int.from_bytes(start[len(MAGIC) + 2 : begin], "little")
    if offset > MOST_HEADER:
        raise DamagedError(f"a header of {offset} bytes, more than {MOST_HEADER}")
    if offset > len(start):
        raise DamagedError("cut short in its header")
    words = _words(start[begin:offset].decode("latin-1"))
    if not _TYPE.fullmatch(words["descr"]):
        raise DamagedError(f"an array of type {words['descr']}; integers and floats are read")
    axes = [axis.strip() for axis in words["shape"].split(",")]
    axes = axes[:-1] if axes[-1] == "" else axes  # "(3,)", and "()" for none
    if len(axes) > _MOST_AXES or not all(axis.isdigit() and len(axis) <= _MOST_DIGITS for axis in axes):
        raise DamagedError("its header has no valid shape")
    shape = tuple(map(int, axes))
    return NpyHeader(np.dtype(words["descr"]), shape, words["fortran"] == "True" and len(shape) > 1, offset)


def _words(text: str) -> dict[str, str]:
    """The values of the dictionary, as they stand there."""
    inside = text.strip()
    found: dict[str, str] = {}
    if inside.startswith("{") and inside.endswith("}"):
        inside, at = inside[1:-1].strip(), 0
        while at < len(inside) and (pair := _PAIR.match(inside, at)):
            found |= {key: value for key, value in pair.groupdict().items() if value is not None}
            at = pair.end()
        if at == len(inside) and {"descr", "fortran", "shape"} <= found.keys():
            return found
    raise DamagedError(f"its header says {text[:80].strip()!r}, which is no plain array of numbers")
