"""The pictures that a run made while it trained, read back: the folder may be a stranger's."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from gen_dist.errors import UserError
from gen_dist.results.files import check_pixels


def training_pictures(run: Path, kind: str) -> list[Path]:
    """Files of `samples` or `reconstructions`, the first step's first."""
    return sorted((run / kind).glob("step-[0-9]*.png"), key=lambda path: (len(path.name), path.name))


def spread(paths: list[Path], most: int) -> list[Path]:
    """At most so many of them, evenly, the first and the last among them."""
    return [paths[round(place)] for place in np.linspace(0, len(paths) - 1, min(most, len(paths)))]


def step_of(path: Path) -> int:
    return int("".join(filter(str.isdecimal, path.stem)) or 0)


def training_frames(run: Path, most: int) -> list[np.ndarray]:
    """The pictures of samples, uint8 (H, W, C), at most so many, evenly over training; none where there are none.

    Raises:
        UserError: they are damaged, too large, or not all alike.
    """
    chosen = spread(training_pictures(run, "samples"), most)
    sizes = {size_of_picture(path) for path in chosen}
    if len(sizes) > 1:
        raise UserError(f"run folder '{run}': its pictures are not all of one size; they are not of one run")
    for width, height in sizes:
        check_pixels(len(chosen), height, width, "--frames")
    frames = [read_picture(path) for path in chosen]
    if len({frame.shape for frame in frames}) > 1:
        raise UserError(f"run folder '{run}': some of its pictures are grey; they are not of one run")
    return frames


def size_of_picture(path: Path) -> tuple[int, int]:
    """Width and height. Raises UserError for what is no PNG."""
    with opened_picture(path) as picture:
        return picture.size


def read_picture(path: Path) -> np.ndarray:
    """Of a run folder, which may be a stranger's, when its size is known: uint8, H x W x C. Raises UserError."""
    with opened_picture(path) as picture:
        grey = picture.mode in ("L", "1")
        found = np.asarray(picture.convert("L" if grey else "RGB"))
    return found[..., None] if grey else found


@contextmanager
def opened_picture(path: Path) -> Iterator[Image.Image]:
    """Raises UserError, also from inside, for anything but a whole PNG file."""
    try:
        if not path.is_file():
            raise UserError(f"picture '{path}': is no file; remove it")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # its size is looked at here
            with Image.open(path, formats=["PNG"]) as picture:
                yield picture
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or "damaged"
        raise UserError(f"picture '{path}': {reason}; remove it") from None
