"""IDX, the format of MNIST: a header of big-endian sizes and the values; plain or in gzip.

Described at the end of http://yann.lecun.com/exdb/mnist/: two zero bytes, the type of the values, the number of axes,
the length of each axis (32 bits), then the values in C order.
"""

import math
import struct
import zlib

import numpy as np

from gen_dist.kernels.limits import DecodeError, Limits, UnsupportedError

_TYPES = {0x08: "uint8", 0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32", 0x0E: "float64"}
_UINT8 = 0x08
_MOST_AXES = 32
_HEADER_MOST = 4 + 4 * _MOST_AXES
_GZIP = b"\x1f\x8b"
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_GZIP_HEAD = 1 << 17  # holds gzip's own header, of up to 64 KB and a file's name, and our few bytes


def read(data: bytes | bytearray | memoryview, limits: Limits | None = None) -> np.ndarray:
    """The values: images n x H x W, labels n, or whatever the header says.

    Args:
        data: the file. With gzip, as much is inflated as the header promises, and one byte.
        limits: of the file's bytes, of the bytes of values, and, where there are three axes, of an image's sides;
            defaults to `Limits()`.

    Returns:
        uint8, C-contiguous, read-only where the file is a plain one: a view of `data`.

    Raises:
        DecodeError: damaged, over the limits, or with fewer or more values than its header says.
        UnsupportedError: values other than uint8.
    """
    limits = limits or Limits()
    view = memoryview(data).cast("B")
    limits.check_bytes(len(view))
    if view[:2] != _GZIP:
        shape, start = _read_header(view, limits)
        return _array(view[start:], shape)
    inflater = zlib.decompressobj(_GZIP_WINDOW)
    try:
        shape, start = _read_header(memoryview(inflater.decompress(view[:_GZIP_HEAD], _HEADER_MOST)), limits)
        # From the beginning: what was inflated of the values would otherwise have to be joined to the rest.
        inflater = zlib.decompressobj(_GZIP_WINDOW)
        plain = memoryview(inflater.decompress(view, start + math.prod(shape) + 1))
    except zlib.error as error:
        raise DecodeError(f"damaged: {error}") from None
    values = _array(plain[start:], shape)
    if not inflater.eof:  # then its checksum has not been seen either
        raise DecodeError("cut short: the gzip stream has no end")
    return values


def _read_header(view: memoryview, limits: Limits) -> tuple[tuple[int, ...], int]:
    """(shape, where the values begin)."""
    if len(view) < 4 or view[0] or view[1] or view[2] not in _TYPES:
        raise DecodeError("does not begin as an IDX file does")
    if view[2] != _UINT8:
        raise UnsupportedError(f"an IDX file of {_TYPES[view[2]]}")
    axes, start = view[3], 4 + 4 * view[3]
    if not 1 <= axes <= _MOST_AXES:
        raise DecodeError(f"an IDX file of {axes} axes")
    if len(view) < start:
        raise DecodeError("cut short in its header")
    shape = struct.unpack_from(f">{axes}I", view, 4)
    if axes == 3:
        limits.check_size(shape[2], shape[1])
    if (least := math.prod(max(1, length) for length in shape)) > limits.inflated_bytes:  # NumPy refuses such zeros too
        raise DecodeError(f"{least} bytes of values: more than {limits.inflated_bytes}")
    return shape, start


def _array(values: memoryview, shape: tuple[int, ...]) -> np.ndarray:
    count = math.prod(shape)
    if len(values) != count:
        found = "more" if len(values) > count else str(len(values))
        raise DecodeError(f"{count} values promised, {found} found")
    return np.frombuffer(values, np.uint8).reshape(shape)
