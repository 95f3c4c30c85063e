"""From stored uint8 images to finished rows of a batch, one pass per image: gather, crop, affine map, flip, colour,
normalise.

Shapes: n images of H x W x C in the store, m of them wanted, h x w x C in the batch; C = 1, 3 or 4.
"""

from typing import Any, NamedTuple

import numpy as np

from gen_dist.kernels.affine import FARTHEST, FILL_MODES, locate
from gen_dist.kernels.borrow import borrowed
from gen_dist.kernels.checks import check_array, check_numbers, read_only
from gen_dist.kernels.color import adjust
from gen_dist.kernels.jit import kernel
from gen_dist.kernels.rows import BYTES, NCHW, NHWC, cut, finish, reverse, widen
from gen_dist.kernels.sampling import fill_table, sample

_LAYOUTS = {"NHWC": NHWC, "NCHW": NCHW}

_NO_FLOATS, _NO_BYTES = np.empty((1, 0), np.float32), np.empty((1, 0), np.uint8)
_NO_CROPS, _NO_FLIPS = np.empty((0, 2), np.int64), np.empty((0, 2), np.bool_)
_NO_MATRICES, _NO_COLORS = np.empty((0, 2, 3)), np.empty((0, 3), np.float32)


class Scratch(NamedTuple):
    """What one thread works in; never to be used by two at a time. Made by `make_scratch`."""

    size: tuple[int, int, int]
    arrays: tuple[np.ndarray, ...]


def make_scratch(height: int, width: int, channels: int) -> Scratch:
    """For batches of height x width x channels: about 9 bytes a value of one image."""
    values = height * width * channels
    arrays = (
        np.zeros(values + channels, np.uint32),  # cells
        np.zeros(width, np.uint32),  # places
        np.zeros(width, np.float32),  # down
        np.zeros(width, np.float32),  # right
        np.zeros(values, np.uint8),  # window
        np.zeros(width * channels, np.uint8),  # mirrored
        np.zeros(values, np.float32),  # values
    )
    return Scratch((height, width, channels), arrays)


def augment(
    out: np.ndarray,
    images: np.ndarray,
    indices: np.ndarray,
    rows: np.ndarray,
    *,
    crops: np.ndarray | None = None,
    flips: np.ndarray | None = None,
    matrices: np.ndarray | None = None,
    colors: np.ndarray | None = None,
    fill_mode: str = "nearest",
    fill_value: int = 0,
    low: float = 0.0,
    high: float = 1.0,
    layout: str = "NHWC",
    scratch: Scratch | None = None,
) -> None:
    """Write images[indices[i]], changed by the i-th parameters in the order of the arguments, into out[rows[i]].

    A pixel is written as (pixel * (1 / 255)) * (high - low) + low in float32, in that order and never contracted:
    so that 0 gives low, and 255 high but for the rounding of (high - low) + low, which for (-1, 1) and (0, 1) is none.
    Equal input and parameters give equal bits wherever the image stands in the batch and whatever else is in it.

    Args:
        out: float32 or uint8, batch x h x w x C, or batch x C x h x w (float32 only); rows not named are left alone.
            uint8 is rounded to nearest and not normalised. It must not overlap `images`.
        images: uint8, n x H x W x C, usually a memory map.
        indices: int64, m; each in [0, n).
        rows: int64, m; each in [0, batch), all different.
        crops: int64, m x 2; row and column of the window's top left corner in the image, which may lie anywhere within
            2**30 pixels. What lies outside is filled as by numpy.pad's edge, symmetric, wrap and constant modes. None
            is (0, 0), and asks for h x w = H x W.
        flips: bool, m x 2; mirror horizontally (along w), vertically (along h), after the affine map.
        matrices: float64, m x 2 x 3; from `kernels.affine.matrices`, for h x w: the map is of the window, and what lies
            outside it is filled as by scipy.ndimage.affine_transform (order=1).
        colors: float32, m x 3; factors of brightness, contrast and saturation, finite and at least 0.
        fill_mode: nearest, reflect, wrap or constant.
        fill_value: in [0, 255], for constant.
        low, high: what pixels 0 and 255 become, taken as float32.
        layout: NHWC or NCHW, of `out`.
        scratch: from `make_scratch(h, w, C)`, not in use by any other thread; None makes one.

    Raises ValueError for other arguments.
    """
    kind, (height, width, channels) = _check_out(out, layout)
    check_array("images", images, np.uint8, (None, None, None, channels))
    check_array("indices", indices, np.int64, (None,))
    m = len(indices)
    check_array("rows", rows, np.int64, (m,))
    if m == 0:
        return
    check_numbers("indices", indices, len(images))
    check_numbers("rows", rows, len(out))
    if crops is None:
        check_array("images, uncropped", images, np.uint8, (None, height, width, channels))
    else:
        check_array("crops", crops, np.int64, (m, 2))
        check_numbers("crops", crops, 2**30, -(2**30))
    if min(images.shape) < 1 or out.size < 1:
        raise ValueError(f"wants pixels; got images of {images.shape} and out of {out.shape}")
    if flips is not None:
        check_array("flips", flips, np.bool_, (m, 2))
    if matrices is not None:
        check_array("matrices", matrices, np.float64, (m, 2, 3))
        _check_reach(matrices, height, width)
    if colors is not None:
        check_array("colors", colors, np.float32, (m, 3))
        if not (colors.min() >= 0 and colors.max() < np.inf):  # as a comparison with nan is false
            raise ValueError(f"colors: wants finite factors of at least 0; got {colors.min()} to {colors.max()}")
    if fill_mode not in FILL_MODES:
        raise ValueError(f"fill_mode: wants one of {', '.join(FILL_MODES)}; got {fill_mode!r}")
    if fill_value not in range(256):
        raise ValueError(f"fill_value: wants an integer in [0, 255]; got {fill_value!r}")
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(f"low and high: want finite numbers; got {low} and {high}")
    if np.may_share_memory(out, images):
        raise ValueError("out: wants memory of its own; got memory that it shares with images")
    if scratch is None:
        scratch = make_scratch(height, width, channels)
    elif not isinstance(scratch, Scratch):
        raise ValueError(f"scratch: wants one from make_scratch; got {type(scratch).__name__}")
    elif scratch.size != (height, width, channels):
        raise ValueError(f"scratch: wants one for {(height, width, channels)}; got one for {scratch.size}")
    _augment(
        _NO_FLOATS if kind == BYTES else _flat(out),
        _flat(out) if kind == BYTES else _NO_BYTES,
        kind,
        read_only(_flat(images)),
        read_only(indices),
        read_only(rows),
        read_only(_NO_CROPS if crops is None else crops),
        read_only(_NO_FLIPS if flips is None else flips),
        read_only(_NO_MATRICES if matrices is None else matrices),
        read_only(_NO_COLORS if colors is None else colors),
        FILL_MODES[fill_mode],
        np.uint8(fill_value),
        np.float32(low),
        np.float32(high),
        images.shape[1:3],
        (height, width),
        channels,
        *scratch.arrays,
    )


def _check_out(out: Any, layout: str) -> tuple[int, tuple[int, int, int]]:
    """How rows are written, and (h, w, C)."""
    if layout not in _LAYOUTS:
        raise ValueError(f"layout: wants one of {', '.join(_LAYOUTS)}; got {layout!r}")
    kind = _LAYOUTS[layout]
    if kind == NHWC and getattr(out, "dtype", None) == np.uint8:
        kind = BYTES
    check_array("out", out, np.uint8 if kind == BYTES else np.float32, (None, None, None, None), written=True)
    _, height, width, channels = out.shape
    if kind == NCHW:
        height, width, channels = width, channels, height
    if channels not in (1, 3, 4):
        raise ValueError(f"out: wants 1, 3 or 4 channels; got {channels}")
    if height * width * channels >= 2**31 - 4:
        raise ValueError(f"out: wants images of fewer than 2**31 values; got {height} × {width} × {channels}")
    return kind, (height, width, channels)


def _check_reach(matrices: np.ndarray, height: int, width: int) -> None:
    """That no pixel is read so far away that fixed-point coordinates could overflow, and nothing is nan."""
    farthest = (np.abs(matrices) @ np.array([height, width, 1.0])).max()
    if not farthest < FARTHEST:
        raise ValueError(f"matrices: wants places within {FARTHEST:.0f} pixels; got {farthest}")


def _flat(images: np.ndarray) -> np.ndarray:
    """The same memory, a row an image."""
    return images.reshape(len(images), -1)


@kernel(fastmath=False)
def _augment(
    floats: np.ndarray,
    whole: np.ndarray,
    kind: int,
    images: np.ndarray,
    indices: np.ndarray,
    rows: np.ndarray,
    crops: np.ndarray,
    flips: np.ndarray,
    matrices: np.ndarray,
    colors: np.ndarray,
    mode: int,
    fill: np.uint8,
    low: np.float32,
    high: np.float32,
    stored: tuple[int, int],
    size: tuple[int, int],
    channels: int,
    cells: np.ndarray,
    places: np.ndarray,
    down: np.ndarray,
    right: np.ndarray,
    window: np.ndarray,
    mirrored: np.ndarray,
    values: np.ndarray,
) -> None:
    floats, whole, images = borrowed(floats), borrowed(whole), borrowed(images)
    indices, rows, crops, flips = borrowed(indices), borrowed(rows), borrowed(crops), borrowed(flips)
    matrices, colors, cells, places = borrowed(matrices), borrowed(colors), borrowed(cells), borrowed(places)
    down, right, window, mirrored = borrowed(down), borrowed(right), borrowed(window), borrowed(mirrored)
    values = borrowed(values)
    (height, width), row, scale = size, size[1] * channels, high - low
    for i in range(indices.size):
        image = images[indices[i]]
        target, whole_target = floats[rows[i] if kind != BYTES else 0], whole[rows[i] if kind == BYTES else 0]
        top, left = (crops[i, 0], crops[i, 1]) if crops.shape[0] else (0, 0)
        mirror, upturn = (flips[i, 0], flips[i, 1]) if flips.shape[0] else (False, False)
        colored = colors.shape[0] > 0 and (colors[i, 0] != 1 or colors[i, 1] != 1 or colors[i, 2] != 1)
        if top != 0 or left != 0 or stored != size:
            cut(window, image, stored, (top, left), width, channels, mode, fill)
            image = window
        if matrices.shape[0]:
            fill_table(cells, image, width, channels, fill)
            for y in range(height):
                source = height - 1 - y if upturn else y
                line = values[y * row : (y + 1) * row] if colored else values[:row]
                locate(places, down, right, matrices[i], source, mirror, height, width, channels, mode)
                sample(line, cells, places, down, right, channels)
                if not colored:
                    finish(target, whole_target, kind, y * width, line, channels, low, scale)
        elif mirror or upturn:
            for y in range(height):
                source = height - 1 - y if upturn else y
                line = image[source * row : (source + 1) * row]
                if mirror:
                    reverse(mirrored, line, channels)
                    line = mirrored
                if colored:
                    widen(values[y * row : (y + 1) * row], line)
                else:
                    finish(target, whole_target, kind, y * width, line, channels, low, scale)
        elif colored:
            widen(values, image)
        else:
            finish(target, whole_target, kind, 0, image, channels, low, scale)
        if colored:
            adjust(values, channels, colors[i, 0], colors[i, 1], colors[i, 2])
            finish(target, whole_target, kind, 0, values, channels, low, scale)
