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
    if (
        isinstance(array, np.ndarray)
        and array.dtype == dtype
        and array.ndim == len(shape)
        and all(want is None or want == length for want, length in zip(shape, array.shape, strict=True))
        and array.flags.c_contiguous
        and (array.flags.writeable or not written)
    ):
        return
    axes = " × ".join("any" if want is None else str(want) for want in shape)
    wanted = f"a contiguous {'writeable ' if written else ''}array of {np.dtype(dtype).name}, {axes or 'no axes'}"
    raise ValueError(f"{name}: wants {wanted}; got {_description(array)}")


def _description(array: Any) -> str:
    if not isinstance(array, np.ndarray):
        return type(array).__name__
    flaws = ["not contiguous"] * (not array.flags.c_contiguous) + ["read-only"] * (not array.flags.writeable)
    axes = " × ".join(map(str, array.shape)) or "no axes"
    return f"{array.dtype.name}, {axes}" + (f" ({', '.join(flaws)})" if flaws else "")


def check_numbers(name: str, array: np.ndarray, end: int) -> None:
    """Raises ValueError unless all of an integer array are in [0, end)."""
    if array.size and (array.min() < 0 or array.max() >= end):
        raise ValueError(f"{name}: wants integers in [0, {end}); got {array.min()} to {array.max()}")
