"""Encoded bytes to pixels, as a recipe wants them: by our kernels where they read the format, else in a subprocess."""

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Self

import numpy as np
from PIL import Image

from gen_dist.kernels import jpeg, png
from gen_dist.kernels.cropping import Window, window
from gen_dist.kernels.jpeg_status import TOO_LONG_A_SIDE, TOO_MANY_PIXELS
from gen_dist.kernels.limits import DecodeError, UnsupportedError
from gen_dist.kernels.resize import resize
from gen_dist.kernels.ycc import mix_grey
from gen_dist.preparing.decode import RefusedError, check_kept
from gen_dist.preparing.decoder_process import DecoderProcess
from gen_dist.preparing.exif import is_transposed, orientation_in, stored_box, upright
from gen_dist.preparing.jpeg_batches import damaged, decode_alike, decode_some, joined, portions, reduction
from gen_dist.preparing.keeping import encode
from gen_dist.preparing.outcome import Decoded, Outcome
from gen_dist.preparing.placing import lay, luma, place
from gen_dist.preparing.recipe import Recipe
from gen_dist.sources.signature import check_image
from gen_dist.sources.source import Content, RejectedError

READ_BY_KERNELS = ("jpeg", "png")
# Which of these `auto` gives to our kernels: those where docs/benchmarks.md has them ahead. But compiling them takes a
# new machine half a minute and more, so a source must be large enough to win that back.
AUTO, AUTO_FROM_BYTES = ("jpeg", "png"), 1 << 30
# Larger images go to the subprocess, whose memory is limited: here one takes up to 7 bytes a pixel in every thread.
MOST_PIXELS = 1 << 24
_JPEG = b"\xff\xd8\xff"
_XMP_ORIENTATION, _XMP_REACH = b"tiff:Orientation", 1 << 18  # which Pillow heeds too; and how far we look for it
_CHANNELS = (1, 3, 4)


class Decoder:
    """What `recipe` makes of files and pixels. `formats`: those that our kernels are to read, of READ_BY_KERNELS.

    The first frame of an animation unless the recipe wants all; colour profiles are ignored. For one thread at a time.
    JPEGs that are kept are always read by our kernels, as they will be in training.
    """

    def __init__(self, recipe: Recipe, formats: Collection[str]) -> None:
        self.recipe = recipe
        self._formats = {*formats, "jpeg"} if recipe.keep_jpeg else set(formats)
        self._process = DecoderProcess(recipe)
        self._scratch = jpeg.make_scratch()
        self._window = lru_cache(maxsize=256)(self._find_window)
        self._border = np.array(recipe.background if recipe.channels == 3 else [luma(recipe.background)], np.uint8)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.close()

    def decode(self, contents: Sequence[Content | str]) -> list[Outcome]:
        """The outcome of each; a str is a reason that was known before. Never raises for what is in `contents`."""
        outcomes: dict[int, Outcome] = {}
        jpegs: dict[int, bytes] = {}
        for i, content in enumerate(contents):
            if isinstance(content, str):
                outcomes[i] = content
            elif isinstance(content, np.ndarray):
                outcomes[i] = self._from_pixels(content)
            elif "jpeg" in self._formats and content.startswith(_JPEG):
                jpegs[i] = content
            else:
                outcomes[i] = self._from_other(content)
        for some in portions(jpegs):
            outcomes |= self._from_jpegs(some)
        return [outcomes[i] for i in range(len(contents))]

    def _from_pixels(self, pixels: np.ndarray) -> Outcome:
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in _CHANNELS:
            shape = "×".join(map(str, pixels.shape))
            return f"an array of {pixels.dtype} {shape}; wants uint8, height × width × 1, 3 or 4"
        height, width, channels = pixels.shape
        try:
            self.recipe.limits.check_size(width, height)
            check_kept(self.recipe, width, height)
            found = self._window(width, height)
        except (DecodeError, ValueError, RefusedError) as error:
            return str(error)
        if self.recipe.keep_jpeg or channels == 4 or not self._is_whole(found, width, height):
            image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
            flat = lay(image, self.recipe.background) if channels == 4 else image
            if self.recipe.keep_jpeg:
                return self._keep([np.asarray(flat).reshape(height, width, -1)], width, height)
            pixels = np.asarray(place(flat, self.recipe)).reshape(self.recipe.size, self.recipe.size, -1)
        return Decoded(np.array(self._in_channels(pixels)[None]), width, height)

    def _from_other(self, data: bytes) -> Outcome:
        try:
            if "png" in self._formats and data.startswith(png.SIGNATURE):
                return self._from_png(data)
        except DecodeError as error:
            return damaged(error)
        except UnsupportedError:
            pass
        except (ValueError, RefusedError) as error:  # the box is not within it; too large to be kept
            return str(error)
        except MemoryError:
            return "takes more memory than there is"
        return self._from_process(data)

    def _from_process(self, data: bytes) -> Outcome:
        try:
            check_image(data)
        except RejectedError as error:
            return str(error)
        outcome = self._process.decode(data)
        if isinstance(outcome, str) or not self.recipe.keep_jpeg:
            return outcome
        return self._keep(list(outcome.images), outcome.width, outcome.height)

    def _from_png(self, data: bytes) -> Outcome:
        chunks = png.read_chunks(data, self.recipe.limits)
        if chunks.width * chunks.height > MOST_PIXELS:
            raise UnsupportedError("an image so large that its memory should be limited")
        if chunks.may_be_turned or (chunks.animated and self.recipe.all_frames):
            raise UnsupportedError("metadata that may hold an orientation, or frames")
        check_kept(self.recipe, chunks.width, chunks.height)
        found = self._window(chunks.width, chunks.height)
        image = png.decode_chunks(chunks, self.recipe.limits, self.recipe.background)
        height, width, channels = image.shape
        if self.recipe.keep_jpeg:
            return self._keep([image], width, height)
        if not self._is_whole(found, width, height):
            small = np.empty((found.placed[3], found.placed[2], channels), np.uint8)
            resize(small, image, filter=self.recipe.filter, box=found.box)
            image = small
        return Decoded(self._bordered(self._in_channels(image)[None], found), width, height)

    def _from_jpegs(self, files: dict[int, bytes]) -> dict[int, Outcome]:
        """In one compiled call, but for what is turned or for other decoders, or where images are placed unlike."""
        numbers, stored = list(files), list(files.values())
        blob, offsets = joined(stored)
        headers = jpeg.read_headers(blob, offsets, self.recipe.limits, self._scratch)
        outcomes: dict[int, Outcome] = {}
        alike: dict[tuple[int, ...], list[tuple[int, Window]]] = {}
        sizes = list(zip(headers.widths.tolist(), headers.heights.tolist(), strict=True))
        fields = zip(headers.statuses.tolist(), headers.exif.tolist(), headers.other_metadata.tolist(), strict=True)
        for k, (status, exif, other_metadata) in enumerate(fields):
            found = self._look_at(stored[k], status, *sizes[k], exif, other_metadata)
            if isinstance(found, Window):
                alike.setdefault(found.placed[2:], []).append((k, found))
            else:
                outcomes[numbers[k]] = found
        for members in alike.values():
            windows = [found for _, found in members]
            some = decode_some(blob, offsets, [k for k, _ in members], windows, self.recipe, self._scratch)
            decoded = self._all_bordered(some, windows[0])
            for (k, _), image in zip(members, decoded, strict=True):
                if isinstance(image, str):
                    outcomes[numbers[k]] = image
                else:
                    outcomes[numbers[k]] = Decoded(image, *sizes[k], [stored[k]] if self.recipe.keep_jpeg else None)
        return outcomes

    def _look_at(
        self, data: bytes, status: int, width: int, height: int, exif: Sequence[int], other_metadata: bool
    ) -> Window | Outcome:
        """Where a JPEG that is to be decoded together with others lies; or what became of it otherwise."""
        try:
            if status:
                self.recipe.limits.check_bytes(len(data))
                if status in (TOO_LONG_A_SIDE, TOO_MANY_PIXELS):
                    self.recipe.limits.check_size(width, height)
                raise jpeg.error_for(status)
            check_kept(self.recipe, width, height)
            if width * height > MOST_PIXELS:
                return self._from_process(data)
            begin, end = exif
            number = orientation_in(data[begin:end]) if end else 1
            if number == 1:
                if other_metadata and _XMP_ORIENTATION in data[:_XMP_REACH]:
                    return self._from_process(data)
                return self._window(width, height)
            return self._from_process(data) if self.recipe.keep_jpeg else self._turn(data, width, height, number)
        except DecodeError as error:
            return damaged(error)
        except UnsupportedError:
            return self._from_process(data)
        except (ValueError, RefusedError) as error:  # the box is not within it; too large to be kept
            return str(error)
        except MemoryError:
            return "takes more memory than there is"

    def _turn(self, data: bytes, width: int, height: int, number: int) -> Decoded:
        """A JPEG whose stored pixels are not upright, alone."""
        if is_transposed(number):
            width, height = height, width
        found = self._window(width, height)
        box = stored_box(found.box, width, height, number)
        shape = found.placed[2:] if is_transposed(number) else (found.placed[3], found.placed[2])
        out = np.empty((*shape, self.recipe.channels), np.uint8)
        options = {"box": box, "filter": self.recipe.filter, "reduce": reduction(found)}
        jpeg.decode_resized(out, data, **options, limits=self.recipe.limits, scratch=self._scratch)  # type: ignore[arg-type]
        return Decoded(self._bordered(upright(out, number)[None], found), width, height)

    def _decode_alike(self, files: list[bytes], windows: list[Window]) -> list[np.ndarray | str]:
        """JPEGs that become images of one size, before borders: 1 x size x size x channels or a reason for each."""
        return self._all_bordered(decode_alike(files, windows, self.recipe, self._scratch), windows[0])

    def _all_bordered(self, decoded: Sequence[np.ndarray | str], found: Window) -> list[np.ndarray | str]:
        return [one if isinstance(one, str) else self._bordered(one, found) for one in decoded]

    def _keep(self, images: list[np.ndarray], width: int, height: int) -> Outcome:
        """Images of the file's own size, as JPEGs and what our kernels make of these."""
        try:
            jpegs = [encode(image, self.recipe.channels) for image in images]
            small = self._decode_alike(jpegs, [self._window(width, height)] * len(jpegs))
        except ValueError as error:  # the box is not within it
            return str(error)
        except MemoryError:
            return "takes more memory than there is"
        reasons = [one for one in small if isinstance(one, str)]
        return reasons[0] if reasons else Decoded(np.concatenate(small), width, height, jpegs)

    def _find_window(self, width: int, height: int) -> Window:
        return window(width, height, self.recipe.size, self.recipe.size, self.recipe.mode, self.recipe.box)

    def _is_whole(self, found: Window, width: int, height: int) -> bool:
        """Whether the whole image, at its own size, is what the recipe wants."""
        own_size = width == height == self.recipe.size
        return own_size and found.crop[2:] == found.placed[2:] == (width, height)

    def _in_channels(self, image: np.ndarray) -> np.ndarray:
        """Pixels of 1 or 3 channels in those of the recipe."""
        if image.shape[2] == self.recipe.channels:
            return image
        if self.recipe.channels == 3:
            return np.repeat(image, 3, axis=2)
        grey = np.empty(image.shape[:2], np.uint8)
        mix_grey(grey.reshape(-1), *(np.ascontiguousarray(image[..., c]).reshape(-1) for c in range(3)))
        return grey[..., None]

    def _bordered(self, images: np.ndarray, found: Window) -> np.ndarray:
        """n images, as placed, within the recipe's square."""
        size = self.recipe.size
        if images.shape[1:3] == (size, size):
            return images
        left, top, width, height = found.placed
        whole = np.empty((len(images), size, size, self.recipe.channels), np.uint8)
        whole[:] = self._border
        whole[:, top : top + height, left : left + width] = images
        return whole


def kernel_formats(decoder: str, source_bytes: int) -> tuple[str, ...]:
    """The formats that our kernels are to read, for a recipe's `decoder` and a source that holds so many bytes."""
    if decoder == "auto":
        return AUTO if source_bytes >= AUTO_FROM_BYTES else ()
    return READ_BY_KERNELS if decoder == "kernels" else ()
