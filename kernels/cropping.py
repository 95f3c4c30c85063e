"""Which part of an image goes where when it is brought to a given size."""

from collections.abc import Sequence
from dataclasses import dataclass

MODES = ("center", "fit", "stretch", "pad", "box")


@dataclass(frozen=True)
class Window:
    """The pixels `crop` of the image, resized, become the pixels `placed` of the target.

    Both are (left, top, width, height), each width and height 1 or more. What `placed` leaves is border.
    """

    crop: tuple[int, int, int, int]
    placed: tuple[int, int, int, int]

    @property
    def box(self) -> tuple[float, float, float, float]:
        """`crop` as (x0, y0, x1, y1)."""
        left, top, width, height = self.crop
        return float(left), float(top), float(left + width), float(top + height)


def window(
    width: int, height: int, out_width: int, out_height: int, mode: str, box: Sequence[int] | None = None
) -> Window:
    """The window for an image of width × height pixels and a target of out_width × out_height.

    Args:
        mode: "center", the largest central part with the target's aspect; "stretch", the whole image, its aspect lost;
            "fit", the whole image, its aspect kept, at the target's top left; "pad", the same in the target's centre;
            "box", the part `box`, its aspect lost. Halves of pixels are rounded up in sizes, down in positions.
        box: X, Y, W, H in whole pixels; for mode "box" only.

    Raises ValueError for a size below 1, an unknown mode, a box that is missing, unused or not within the image.
    """
    for name, size in (("width", width), ("height", height), ("out_width", out_width), ("out_height", out_height)):
        if size < 1:
            raise ValueError(f"{name}: {size}; must be at least 1")
    if mode not in MODES:
        raise ValueError(f"mode: {mode!r}; must be one of {', '.join(MODES)}")
    if (box is not None) != (mode == "box"):
        raise ValueError(f"box: {box!r} with mode {mode!r}; mode 'box' takes X, Y, W, H, the others none")
    if box is not None:
        return Window(_checked_box(box, width, height), (0, 0, out_width, out_height))
    if mode == "center":
        crop_width, crop_height = _largest(out_width, out_height, width, height)
        left, top = (width - crop_width) // 2, (height - crop_height) // 2
        return Window((left, top, crop_width, crop_height), (0, 0, out_width, out_height))
    whole = (0, 0, width, height)
    if mode == "stretch":
        return Window(whole, (0, 0, out_width, out_height))
    placed_width, placed_height = _largest(width, height, out_width, out_height)
    if mode == "fit":
        return Window(whole, (0, 0, placed_width, placed_height))
    left, top = (out_width - placed_width) // 2, (out_height - placed_height) // 2
    return Window(whole, (left, top, placed_width, placed_height))


def _largest(width: int, height: int, most_width: int, most_height: int) -> tuple[int, int]:
    """The largest size with the aspect width : height, rounded, within the other one."""
    if width * most_height >= height * most_width:
        return most_width, max(1, (2 * height * most_width + width) // (2 * width))
    return max(1, (2 * width * most_height + height) // (2 * height)), most_height


def _checked_box(box: Sequence[int], width: int, height: int) -> tuple[int, int, int, int]:
    if len(box) != 4 or any(number // 1 != number for number in box):
        raise ValueError(f"box: {box!r}; must be four whole numbers X, Y, W, H")
    left, top, box_width, box_height = (int(number) for number in box)
    if min(left, top) < 0 or min(box_width, box_height) < 1 or left + box_width > width or top + box_height > height:
        raise ValueError(
            f"box: {left},{top},{box_width},{box_height} is not within the image of {width}×{height} pixels;"
            " X and Y must be at least 0, W and H at least 1, X + W and Y + H at most the image's width and height"
        )
    return left, top, box_width, box_height
