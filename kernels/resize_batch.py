"""Parts of many stored images, each brought to the size of a batch, in one compiled call without the GIL."""

import numpy as np

from gen_dist.kernels.checks import check_array, check_numbers, read_only
from gen_dist.kernels.jit import kernel
from gen_dist.kernels.resampling import resample, resample_scratch
from gen_dist.kernels.taps import FILTERS, fill_taps, taps_length


def resize_batch(
    out: np.ndarray,
    images: np.ndarray,
    indices: np.ndarray,
    rows: np.ndarray,
    boxes: np.ndarray,
    *,
    filter: str = "bilinear",
) -> None:
    """Write the part boxes[i] of images[indices[i]] to out[rows[i]], as `resize.resize` does one.

    Args:
        out: uint8, batch x h x w x C; rows not named are left alone. It must not overlap `images`.
        images: uint8, n x H x W x C, usually a memory map; C is 1 to 4.
        indices: int64, m; each in [0, n).
        rows: int64, m; each in [0, batch).
        boxes: float64, m x 4: left, top, right, bottom of each part. Filters read past its edges where the image goes
            on.
        filter: a name in `taps.FILTERS`.

    Raises ValueError for other arguments.
    """
    check_array("out", out, np.uint8, (None, None, None, None), written=True)
    channels = out.shape[3]
    check_array("images", images, np.uint8, (None, None, None, channels))
    check_array("indices", indices, np.int64, (None,))
    count = len(indices)
    check_array("rows", rows, np.int64, (count,))
    check_array("boxes", boxes, np.float64, (count, 4))
    check_numbers("indices", indices, len(images))
    check_numbers("rows", rows, len(out))
    if filter not in FILTERS:
        raise ValueError(f"filter: wants one of {', '.join(FILTERS)}; got {filter}")
    if not 1 <= channels <= 4 or 0 in images.shape or 0 in out.shape:
        raise ValueError(f"wants pixels of 1 to 4 channels; got images of {images.shape} and out of {out.shape}")
    height, width = images.shape[1:3]
    ends, least = boxes[:, 2:], 0.01  # boxes are rounded to float32 later on, and must not become empty then
    if count and not (
        boxes[:, :2].min() >= 0 and (ends <= (width, height)).all() and (ends - boxes[:, :2]).min() >= least
    ):
        raise ValueError(f"boxes: wants parts of images of {width} × {height} pixels; got others")
    if np.may_share_memory(out, images):
        raise ValueError("out: wants memory of its own; got memory that it shares with images")
    _resize(
        out.reshape(len(out), -1),
        read_only(images.reshape(len(images), -1)),
        read_only(indices),
        read_only(rows),
        read_only(boxes),
        FILTERS[filter],
        (height, width),
        out.shape[1:3],
        channels,
    )


@kernel(fastmath=False)
def _resize(
    out: np.ndarray,
    images: np.ndarray,
    indices: np.ndarray,
    rows: np.ndarray,
    boxes: np.ndarray,
    code: int,
    stored: tuple[int, int],
    size: tuple[int, int],
    channels: int,
) -> None:
    (height, width), (out_height, out_width) = stored, size
    longest = 0
    for i in range(indices.size):
        longest = max(longest, taps_length(width, out_width, boxes[i, 0], boxes[i, 2], code))
        longest = max(longest, taps_length(height, out_height, boxes[i, 1], boxes[i, 3], code))
    tables = np.empty((2, longest + (longest & 1)), np.int32)  # each begins with a whole float64
    scratch = np.empty(resample_scratch(channels, width, height, out_width), np.uint8)
    for i in range(indices.size):
        fill_taps(tables[0], width, out_width, boxes[i, 0], boxes[i, 2], code)
        fill_taps(tables[1], height, out_height, boxes[i, 1], boxes[i, 3], code)
        image, stride = images[indices[i]], width * channels
        resample(out[rows[i]], 0, out_width * channels, image, 0, stride, channels, tables[0], tables[1], scratch)
