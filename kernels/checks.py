"""What an entry point asks of the arrays it is given; the compiled code behind it checks nothing."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def check_array(
    name: str, array: Any, dtype: type[np.generic], shape: Sequence[int | None], *, written: bool = False
) -> None:
    """Raises ValueError naming what is wanted and what came, unless `array` is a C-contiguous array of it.

    Args:
        name: what the caller's documentation calls the array.
        dtype: exact.
        shape: the length of each axis, None for any.
        written: whether the array must be writeable.
    """
    if isinstance(array, np.ndarray) and _fits(array.shape, shape):
        kind, flags = array.dtype, array.flags
        if kind.type is dtype and kind.isnative and flags.c_contiguous and (flags.writeable or not written):
            return
    axes = " × ".join("any" if want is None else str(want) for want in shape)
    wanted = f"a contiguous {'writeable ' if written else ''}array of {np.dtype(dtype).name}, {axes or 'no axes'}"
    raise ValueError(f"{name}: wants {wanted}; got {_description(array)}")


def _fits(lengths: tuple[int, ...], shape: Sequence[int | None]) -> bool:
    if lengths == shape:  # the usual case, at a tenth of the cost
        return True
    return len(lengths) == len(shape) and all(
        want is None or want == length for want, length in zip(shape, lengths, strict=True)
    )


def _description(array: Any) -> str:
    if not isinstance(array, np.ndarray):
        return type(array).__name__
    flaws = ["not contiguous"] * (not array.flags.c_contiguous) + ["read-only"] * (not array.flags.writeable)
    axes = " × ".join(map(str, array.shape)) or "no axes"
    return f"{array.dtype.name}, {axes}" + (f" ({', '.join(flaws)})" if flaws else "")


def check_numbers(name: str, array: np.ndarray, end: int, start: int = 0) -> None:
    """Raises ValueError unless all of an integer array are in [start, end)."""
    if array.size and (array.min() < start or array.max() >= end):
        raise ValueError(f"{name}: wants integers in [{start}, {end}); got {array.min()} to {array.max()}")


def read_only(array: np.ndarray) -> np.ndarray:
    """A plain read-only view, so that one compilation serves memory maps and all else."""
    view = array.view(np.ndarray)
    view.flags.writeable = False
    return view
