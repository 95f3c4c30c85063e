"""Many JPEG files in one call of our kernels."""

from collections.abc import Iterator, Sequence

import numpy as np

from gen_dist.kernels import jpeg
from gen_dist.kernels.cropping import Window
from gen_dist.kernels.jpeg_planes import Scratch
from gen_dist.preparing.recipe import Recipe

# What the inverse transform leaves, at least, for the filter to work on: so many times the wanted size.
# docs/decoding.md says what that costs.
LEFT = 4 / 3
MOST_JOINED_BYTES = 8 << 20  # of files in one call, which wants them in one piece


def decode_alike(files: list[bytes], windows: list[Window], recipe: Recipe, scratch: Scratch) -> list[np.ndarray | str]:
    """JPEGs that are placed alike, without borders: uint8, 1 x h x w x channels, or a reason for each."""
    return decode_some(*joined(files), range(len(files)), windows, recipe, scratch)


def decode_some(
    blob: np.ndarray,
    offsets: np.ndarray,
    indices: Sequence[int],
    windows: list[Window],
    recipe: Recipe,
    scratch: Scratch,
) -> list[np.ndarray | str]:
    """The same of those at `indices` among files that `joined` has put one behind the other."""
    width, height = windows[0].placed[2:]
    numbers = {id(found): (found.box, reduction(found)) for found in windows}  # few, for files of few sizes
    try:
        out = np.empty((len(indices), height, width, recipe.channels), np.uint8)
        statuses = np.zeros(len(indices), np.int32)
        jpeg.decode_batch(
            out,
            blob,
            offsets,
            statuses,
            indices=np.array(indices, np.int64),
            boxes=np.array([numbers[id(found)][0] for found in windows]),
            filter=recipe.filter,
            reduce=np.array([numbers[id(found)][1] for found in windows], np.int64),
            limits=recipe.limits,
            scratch=scratch,
        )
    except MemoryError:
        if len(indices) == 1:
            return ["takes more memory than there is"]
        ones = zip(indices, windows, strict=True)
        return [decode_some(blob, offsets, [k], [found], recipe, scratch)[0] for k, found in ones]
    return [damaged(jpeg.error_for(status)) if status else out[i : i + 1] for i, status in enumerate(statuses.tolist())]


def portions(files: dict[int, bytes]) -> Iterator[dict[int, bytes]]:
    """All of them, in portions of which the kernels may have a copy."""
    some, length = dict[int, bytes](), 0
    for i, data in files.items():
        if some and length + len(data) > MOST_JOINED_BYTES:
            yield some
            some, length = {}, 0
        some[i] = data
        length += len(data)
    if some:
        yield some


def joined(files: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """The files one behind the other (uint8), and where each begins and the last ends (int64)."""
    offsets = np.zeros(len(files) + 1, np.int64)
    np.cumsum([len(data) for data in files], out=offsets[1:])
    return np.frombuffer(files[0] if len(files) == 1 else b"".join(files), np.uint8), offsets


def reduction(found: Window) -> int:
    """How much the inverse transform may shrink, before the filter does the rest."""
    shrinking = min(found.crop[2] / found.placed[2], found.crop[3] / found.placed[3])
    return next((factor for factor in (8, 4, 2) if shrinking >= LEFT * factor), 1)


def damaged(error: Exception) -> str:
    """The reason for what a decoder of ours refused."""
    return f"damaged, cut short or too large ({error})"
