"""Baseline JPEG: stored bytes to pixels, also straight to a resized batch, in one compiled call without the GIL.

Read are sequential Huffman-coded JPEGs of 8 bits (SOF0 and SOF1) with one scan, of 1 component or 3, whose first is
sampled as finely as the others or twice as finely across, down or both. Other kinds raise UnsupportedError.

A file is whole or it is refused: nothing is made up for what is missing. Where the header bends the rules, libjpeg's
reading of them decides. libjpeg and Pillow take, with grey or wrong blocks, what is refused here: data that end before
the last block, codes that no table has, blocks of more than 64 coefficients, restart markers missing or out of order.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from gen_dist.kernels import jpeg_header as header
from gen_dist.kernels import jpeg_images as images
from gen_dist.kernels import jpeg_status as status
from gen_dist.kernels.checks import check_array, check_numbers, read_only
from gen_dist.kernels.jpeg_planes import Scratch, make_scratch
from gen_dist.kernels.jpeg_status import check_status, error_for
from gen_dist.kernels.limits import Limits
from gen_dist.kernels.taps import FILTERS

__all__ = [
    "JpegHeader",
    "JpegHeaders",
    "decode",
    "decode_batch",
    "decode_resized",
    "error_for",
    "make_scratch",
    "read_header",
    "read_headers",
]

Bytes = bytes | bytearray | memoryview | np.ndarray

_COLOURS = {header.GREY: "grey", header.YCBCR: "YCbCr", header.RGB: "RGB"}
_REDUCTIONS = (0, 1, 2, 4, 8)


@dataclass(frozen=True)
class JpegHeader:
    """What a JPEG says of itself.

    Args:
        width, height: in pixels.
        components: 1 or 3.
        sampling: the first component's factors across and down, against 1 × 1 of the others: (2, 2) is 4:2:0.
        colour: "grey", "YCbCr" or "RGB".
        restart_interval: MCUs between restart markers, 0 for none.
    """

    width: int
    height: int
    components: int
    sampling: tuple[int, int]
    colour: str
    restart_interval: int


class JpegHeaders(NamedTuple):
    """What n JPEGs say of themselves; each field has one entry an image.

    Args:
        statuses: int32; 0, or what `error_for` turns into an exception. Then the other fields may be 0.
        widths, heights: int64, in pixels.
        components: int64, 1 or 3.
        exif: int64, n x 2: where in the file the first EXIF block begins and ends; 0 and 0 for none.
        other_metadata: whether there is another APP1 segment, such as XMP.
    """

    statuses: np.ndarray
    widths: np.ndarray
    heights: np.ndarray
    components: np.ndarray
    exif: np.ndarray
    other_metadata: np.ndarray


def read_headers(
    blob: np.ndarray, offsets: np.ndarray, limits: Limits | None = None, scratch: Scratch | None = None
) -> JpegHeaders:
    """Read n JPEGs up to their scans, as `read_header` does each, in one compiled call.

    Args:
        blob, offsets: as of `decode_batch`.

    Raises: ValueError for a wrong argument; for a damaged file nothing.
    """
    check_array("offsets", offsets, np.int64, (None,))
    count = max(offsets.size - 1, 0)
    spans = _spans(blob, offsets, None, count)
    limits = limits or Limits()
    found, statuses = np.empty((count, header.RECORD), np.int64), np.empty(count, np.int32)
    bounds = limits.file_bytes, limits.side, limits.pixels
    images.read_chunk(found, statuses, read_only(blob), read_only(spans), bounds, _scratch(scratch))
    return JpegHeaders(
        statuses=statuses,
        widths=found[:, header.WIDTH],
        heights=found[:, header.HEIGHT],
        components=found[:, header.COMPONENTS],
        exif=found[:, header.EXIF : header.EXIF_END + 1],
        other_metadata=found[:, header.OTHER_APP1] != 0,
    )


def read_header(data: Bytes, limits: Limits | None = None, scratch: Scratch | None = None) -> JpegHeader:
    """Read a JPEG up to its scan. `scratch`: from `make_scratch`, for one thread at a time; made anew if None.

    Raises:
        DecodeError: it is damaged, or over the limits.
        UnsupportedError: it is of a kind that is not read here.
    """
    record = _parse(_bytes(data), limits or Limits(), _scratch(scratch))
    return JpegHeader(
        width=int(record[header.WIDTH]),
        height=int(record[header.HEIGHT]),
        components=int(record[header.COMPONENTS]),
        sampling=(int(record[header.ACROSS]), int(record[header.DOWN])),
        colour=_COLOURS[int(record[header.COLOUR])],
        restart_interval=int(record[header.RESTART]),
    )


def decode(data: Bytes, limits: Limits | None = None, scratch: Scratch | None = None) -> np.ndarray:
    """Decode at full size, to the pixels of libjpeg's accurate transform and smooth upsampling.

    Args:
        data: the file.
        scratch: from `make_scratch`, for one thread at a time; made anew if None.

    Returns: uint8, height x width x 3 (RGB) or x 1 (grey).

    Raises: as `read_header`.
    """
    stored, scratch = _bytes(data), _scratch(scratch)
    record = _parse(stored, limits or Limits(), scratch)
    out = np.empty((record[header.HEIGHT], record[header.WIDTH], record[header.COMPONENTS]), np.uint8)
    check_status(images.decode_whole(out, stored, scratch))
    return out


def decode_resized(
    out: np.ndarray,
    data: Bytes,
    *,
    box: tuple[float, float, float, float] | None = None,
    filter: str = "bilinear",
    reduce: int | None = None,
    low: float = 0.0,
    high: float = 1.0,
    limits: Limits | None = None,
    scratch: Scratch | None = None,
) -> None:
    """Decode and resize one JPEG into `out`, without ever having it at full size and in colour.

    Each plane is resized from its own resolution, as the inverse transform leaves it; colours are made of the result.

    Args:
        out: uint8 or float32, h x w x 3 (RGB; a grey image three times) or x 1 (luma).
        box: left, top, right, bottom in pixels of the full image, the part to be resized; None for all of it.
        filter: a name in `taps.FILTERS`; antialiased as Pillow's.
        reduce: let the inverse transform make the image this much smaller: 1, 2, 4 or 8; None for the largest that
            leaves the box at least as large as `out`.
        low, high: what pixels 0 and 255 become, if `out` is float32.
        scratch: from `make_scratch`, for one thread at a time; made anew if None.

    Raises: ValueError for a wrong argument; else as `read_header`, and then `out` is zero.
    """
    check_array("out", out, _dtype(out), (None, None, None), written=True)
    stored = _bytes(data)
    statuses = np.zeros(1, np.int32)
    decode_batch(
        out[None],
        stored,
        np.array([0, stored.size]),
        statuses,
        boxes=None if box is None else np.array([box], np.float64),
        filter=filter,
        reduce=reduce,
        low=low,
        high=high,
        limits=limits,
        scratch=scratch,
    )
    check_status(int(statuses[0]))


def decode_batch(
    out: np.ndarray,
    blob: np.ndarray,
    offsets: np.ndarray,
    statuses: np.ndarray,
    *,
    indices: np.ndarray | None = None,
    boxes: np.ndarray | None = None,
    filter: str = "bilinear",
    reduce: int | np.ndarray | None = None,
    low: float = 0.0,
    high: float = 1.0,
    limits: Limits | None = None,
    scratch: Scratch | None = None,
) -> None:
    """Decode and resize n JPEGs, as `decode_resized` does each, in one compiled call.

    Args:
        out: uint8 or float32, n x h x w x 3 or n x h x w x 1; images that fail are left zero.
        blob: uint8, the files one behind the other.
        offsets: int64, n + 1; file i is blob[offsets[i] : offsets[i + 1]].
        indices: int64, n: which of the files, if `offsets` has more of them; then image i is file indices[i].
        statuses: int32, n; written: 0 for each image that is there, else what `error_for` turns into an exception.
        boxes: float64, n x 4: left, top, right, bottom of each; None for whole images.
        reduce: as of `decode_resized`, for all; or int64, n, for each, with 0 in place of None.

    Raises: ValueError for a wrong argument; for a damaged file nothing.
    """
    check_array("out", out, _dtype(out), (None, None, None, None), written=True)
    count, height, width, channels = out.shape
    if height < 1 or width < 1 or channels not in (1, 3):
        raise ValueError(f"out: wants at least 1 × 1 pixels of 1 or 3 channels; got {height} × {width} × {channels}")
    spans = _spans(blob, offsets, indices, count)
    check_array("statuses", statuses, np.int32, (count,), written=True)
    if boxes is not None:
        check_array("boxes", boxes, np.float64, (count, 4))
    if filter not in FILTERS:
        raise ValueError(f"filter: wants one of {', '.join(FILTERS)}; got {filter}")
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(f"low and high: want finite numbers; got {low} and {high}")
    limits = limits or Limits()
    floats = out.dtype == np.float32
    images.decode_chunk(
        np.empty((0, height, width, channels), np.uint8) if floats else out,
        out if floats else np.empty((0, height, width, channels), np.float32),
        statuses,
        read_only(blob),
        read_only(spans),
        read_only(np.empty((0, 4)) if boxes is None else boxes),
        read_only(_reductions(reduce, count)),
        FILTERS[filter],
        np.float32(low),
        np.float32(high),
        (limits.file_bytes, limits.side, limits.pixels),
        _scratch(scratch),
    )


def _reductions(given: int | np.ndarray | None, count: int) -> np.ndarray:
    """One for each image, 0 for None."""
    if isinstance(given, np.ndarray):
        check_array("reduce", given, np.int64, (count,))
        if not set(given.tolist()) <= set(_REDUCTIONS):
            raise ValueError(f"reduce: wants integers among {', '.join(map(str, _REDUCTIONS))}; got others")
        return given
    if given is not None and (given == 0 or given not in _REDUCTIONS):
        raise ValueError(f"reduce: wants None or one of {', '.join(map(str, _REDUCTIONS[1:]))}; got {given}")
    return np.full(count, given or 0)


def _parse(data: np.ndarray, limits: Limits, scratch: Scratch) -> np.ndarray:
    """The record of a header. Raises DecodeError or UnsupportedError."""
    limits.check_bytes(data.size)
    record = scratch.record
    bounds = limits.file_bytes, limits.side, limits.pixels
    fault = header.parse(record, scratch.quantisations, scratch.specifications, data, bounds)
    if fault in (status.TOO_LONG_A_SIDE, status.TOO_MANY_PIXELS):
        limits.check_size(int(record[header.WIDTH]), int(record[header.HEIGHT]))
    check_status(fault)
    return record


def _spans(blob: np.ndarray, offsets: np.ndarray, indices: np.ndarray | None, count: int) -> np.ndarray:
    """Where each of `count` files begins and ends: int64, count x 2. Looks only at those that are wanted."""
    check_array("blob", blob, np.uint8, (None,))
    if indices is None:
        check_array("offsets", offsets, np.int64, (count + 1,))
        spans = np.stack((offsets[:-1], offsets[1:]), axis=1)
    else:
        check_array("offsets", offsets, np.int64, (None,))
        check_array("indices", indices, np.int64, (count,))
        check_numbers("indices", indices, offsets.size - 1)
        spans = np.stack((offsets[indices], offsets[indices + 1]), axis=1)
    if count and (spans.min() < 0 or spans.max() > blob.size or (spans[:, 1] < spans[:, 0]).any()):
        raise ValueError(f"offsets: wants an ascending sequence within the blob's {blob.size} bytes")
    return spans


def _scratch(given: Scratch | None) -> Scratch:
    if given is None:
        return make_scratch()
    if not isinstance(given, Scratch):
        raise ValueError(f"scratch: wants one from make_scratch; got {type(given).__name__}")
    return given


def _bytes(data: Bytes) -> np.ndarray:
    if not isinstance(data, np.ndarray):
        return np.frombuffer(data, np.uint8)
    check_array("data", data, np.uint8, (None,))
    return data


def _dtype(out: Any) -> type[np.generic]:
    """The dtype that `out` should have: its own, if that is one of the two."""
    return np.float32 if isinstance(out, np.ndarray) and out.dtype == np.float32 else np.uint8
