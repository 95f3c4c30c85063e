"""Encoded bytes to a square of pixels: by our kernels where they read the format, else by libraries in a subprocess."""

from collections.abc import Callable, Collection
from typing import Self

import numpy as np

from gen_dist.config import DecodingSettings
from gen_dist.kernels import jpeg, png
from gen_dist.kernels.limits import DecodeError, Limits, UnsupportedError
from gen_dist.kernels.resize import resize
from gen_dist.preparing.decoder_process import DecoderProcess, Outcome
from gen_dist.preparing.exif import central_square, orientation, upright

FILTER = "lanczos"
READ_BY_KERNELS = ("jpeg", "png")
# Which of these `auto` gives to our kernels: those where docs/benchmarks.md has them ahead. But compiling them takes a
# new machine half a minute and more, so a folder must be large enough to win that back.
AUTO, AUTO_FROM_BYTES = ("jpeg", "png"), 1 << 30
# Larger images go to the subprocess, whose memory is limited: here one takes up to 7 bytes a pixel in every thread.
MOST_PIXELS = 1 << 24
_SIGNATURES = {b"\xff\xd8\xff": "jpeg", png.SIGNATURE: "png"}
_XMP_ORIENTATION = b"tiff:Orientation"  # which Pillow heeds too


class SquareDecoder:
    """The image in an encoded file as an RGB square: upright, on white, its centre, Lanczos to `size` pixels a side.

    The first frame of an animation; colour profiles are ignored. `formats`: those that our kernels are to read. For one
    thread at a time.
    """

    def __init__(self, size: int, limits: Limits, formats: Collection[str]) -> None:
        self.size, self.limits = size, limits
        self._process = DecoderProcess(size, limits)
        self._jpeg_scratch = jpeg.make_scratch()
        known: dict[str, Callable[[bytes], np.ndarray]] = {"jpeg": self._jpeg, "png": self._png}
        self._kernels = {format: known[format] for format in formats}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.close()

    def decode(self, data: bytes) -> Outcome:
        """uint8, size x size x 3, or why there is none. Never raises for what is in `data`."""
        format = next((name for start, name in _SIGNATURES.items() if data.startswith(start)), "")
        if format in self._kernels:
            try:
                return self._kernels[format](data)
            except DecodeError as error:
                return f"damaged, cut short or too large ({error})"
            except UnsupportedError:
                pass
            except MemoryError:
                return "takes more memory than there is"
        return self._process.decode(data)

    def _jpeg(self, data: bytes) -> np.ndarray:
        header = jpeg.read_header(data, self.limits, self._jpeg_scratch)
        _leave_large(header.width, header.height)
        turned = orientation(data)
        if turned == 1 and _XMP_ORIENTATION in data[: 1 << 18]:
            raise UnsupportedError("an orientation in XMP")
        box = central_square(header.width, header.height, turned)
        out = np.empty((self.size, self.size, 3), np.uint8)
        jpeg.decode_resized(
            out,
            data,
            box=box,
            filter=FILTER,
            reduce=_reduction(box[2] - box[0], self.size),
            limits=self.limits,
            scratch=self._jpeg_scratch,
        )
        return upright(out, turned)

    def _png(self, data: bytes) -> np.ndarray:
        chunks = png.read_chunks(data, self.limits)
        _leave_large(chunks.width, chunks.height)
        if chunks.may_be_turned:
            raise UnsupportedError("metadata that may hold an orientation")
        image = png.decode_chunks(chunks, self.limits)
        height, width, channels = image.shape
        if (height, width) != (self.size, self.size):
            out = np.empty((self.size, self.size, channels), np.uint8)
            resize(out, image, filter=FILTER, box=central_square(width, height))
            image = out
        return image if channels == 3 else np.repeat(image, 3, axis=2)


def kernel_formats(settings: DecodingSettings, folder_bytes: int) -> tuple[str, ...]:
    """The formats that our kernels are to read, in a folder whose files hold so many bytes."""
    if settings.decoder == "auto":
        return AUTO if folder_bytes >= AUTO_FROM_BYTES else ()
    return READ_BY_KERNELS if settings.decoder == "kernels" else ()


def limits_of(settings: DecodingSettings) -> Limits:
    return Limits(
        pixels=settings.pixels,
        side=settings.side,
        file_bytes=settings.file_bytes,
        scans=settings.scans,
        inflated_bytes=settings.inflated_bytes,
    )


def _leave_large(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise UnsupportedError("an image so large that its memory should be limited")


def _reduction(side: int, size: int) -> int:
    """How much the inverse transform may shrink: what is left is at least twice as large, for the filter to work on."""
    return next((factor for factor in (8, 4, 2) if side >= 2 * size * factor), 1)
