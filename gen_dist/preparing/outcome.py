"""What decoding a file gives."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Decoded:
    """The image of a file, or the frames of an animation.

    Args:
        images: uint8, k x size x size x channels: what the recipe makes of each frame.
        width, height: in pixels, upright, before that.
        jpegs: for a recipe that keeps JPEGs, k of them: upright, of width x height pixels, and read by our kernels.
    """

    images: np.ndarray
    width: int
    height: int
    jpegs: list[bytes] | None = None


Outcome = Decoded | str  # or why there is none, in a few words for the user
