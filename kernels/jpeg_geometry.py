"""How a JPEG's planes lie: how large each is once its blocks are reduced, and where the samples that are kept go."""

import numpy as np

from gen_dist.kernels import idct
from gen_dist.kernels import jpeg_header as header
from gen_dist.kernels.jit import kernel
from gen_dist.kernels.jpeg_status import Integer

# Fields of a layout (int64), one row a component: pixels a side that a block becomes; the plane's size; where in the
# samples it is and how far its rows lie apart, in bytes; which of its pixels comes first there, and how many are there;
# whether its rows lie beside those of the component before it, so that the blocks of both are transformed at once.
BLOCK, PLANE_WIDTH, PLANE_HEIGHT, START, STRIDE, LEFT, TOP, KEPT_WIDTH, KEPT_HEIGHT, BESIDE, LAYOUT = range(11)


@kernel(fastmath=False)
def lay_planes(layout: np.ndarray, record: np.ndarray, block: Integer) -> None:
    """Choose what a block of each component becomes, where one of the finest component becomes block × block pixels.

    As libjpeg does: a component with fewer samples is reduced less, as far as that makes up for it in both directions.
    """
    for c in range(record[header.COMPONENTS]):
        place = header.COMPONENT + c * header.FIELDS
        across, down = record[place + header.ACROSS_FACTOR], record[place + header.DOWN_FACTOR]
        side = block
        while (
            side < 8
            and block * record[header.ACROSS] >= 2 * side * across
            and (block * record[header.DOWN] >= 2 * side * down)
        ):
            side *= 2
        layout[c, BLOCK] = side
        layout[c, PLANE_WIDTH] = _part(record[header.WIDTH] * across * side, record[header.ACROSS] * 8)
        layout[c, PLANE_HEIGHT] = _part(record[header.HEIGHT] * down * side, record[header.DOWN] * 8)


@kernel(fastmath=False)
def _part(number: Integer, divisor: Integer) -> Integer:
    return (number + divisor - 1) // divisor


@kernel(fastmath=False)
def keep_mcus(
    layout: np.ndarray, record: np.ndarray, left: Integer, right: Integer, top: Integer, bottom: Integer
) -> Integer:
    """Lay out the samples of the MCUs in columns [left, right) and rows [top, bottom): how many bytes they take."""
    total = 0
    chroma = 2 if 2 * (right - left) <= idct.LANES else 1  # components in a group
    for c in range(record[header.COMPONENTS]):
        place = header.COMPONENT + c * header.FIELDS
        wide = record[place + header.ACROSS_FACTOR] * layout[c, BLOCK]
        high = record[place + header.DOWN_FACTOR] * layout[c, BLOCK]
        layout[c, BESIDE] = chroma == 2 and c == 2
        blocks = (right - left) * record[place + header.ACROSS_FACTOR] * (chroma if c > 0 else 1)
        layout[c, START], layout[c, STRIDE] = total, whole_vectors(blocks) * layout[c, BLOCK]
        layout[c, LEFT], layout[c, TOP] = left * wide, top * high
        layout[c, KEPT_WIDTH] = min((right - left) * wide, layout[c, PLANE_WIDTH] - left * wide)
        layout[c, KEPT_HEIGHT] = min((bottom - top) * high, layout[c, PLANE_HEIGHT] - top * high)
        if c == 2 and chroma == 2:
            layout[c, START] = layout[1, START] + (right - left) * wide
        else:
            total += layout[c, STRIDE] * (bottom - top) * high
    return total


@kernel(fastmath=False)
def whole_vectors(blocks: Integer) -> Integer:
    """How many blocks are transformed where `blocks` are wanted: whole vectors, as a loop's remainder takes longer."""
    return (blocks + 7) & ~7


@kernel(fastmath=False)
def mcu_counts(record: np.ndarray) -> tuple[Integer, Integer]:
    """How many MCUs the image has across and down."""
    return (
        _part(record[header.WIDTH], 8 * record[header.ACROSS]),
        _part(record[header.HEIGHT], 8 * record[header.DOWN]),
    )
