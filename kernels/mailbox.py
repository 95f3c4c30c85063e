"""Messages between processes that share memory: a row of numbers whose first one, the serial number, is written last.

The serial number is stored and loaded atomically, with release and acquire ordering: who has seen it sees the rest of
the row, and all else that the writer had written before.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba.core import types
from numba.extending import intrinsic, overload
from numba.np.arrayobj import make_array

from gen_dist.kernels.checks import check_array, read_only
from gen_dist.kernels.jit import kernel

WIDTH = 8  # numbers of a row, the serial number included: a cache line


def post(row: np.ndarray, numbers: np.ndarray, serial: int) -> None:
    """Write a message.

    Args:
        row: int64, 8; changed.
        numbers: int64, at most 7.
        serial: larger than that of the row's last message.

    Raises ValueError for other types and shapes.
    """
    check_array("row", row, np.int64, (WIDTH,), written=True)
    check_array("numbers", numbers, np.int64, (None,))
    if len(numbers) >= WIDTH:
        raise ValueError(f"numbers: wants at most {WIDTH - 1}; got {len(numbers)}")
    row[1 : 1 + len(numbers)] = numbers
    _post(row, serial)


def has_come(row: np.ndarray, serial: int, looks: int) -> bool:
    """Whether the message of this serial number is there; looks again and again before it says no.

    Args:
        row: int64, 8.
        looks: at most so often.

    Raises ValueError for other types and shapes.
    """
    check_array("row", row, np.int64, (WIDTH,))
    return bool(_has_come(read_only(row), serial, looks))


def store(row: np.ndarray, value: int) -> None:
    """row[0] = value, after all that was written before."""
    row[0] = value


def load(row: np.ndarray) -> int:
    """row[0], before all that is read later."""
    return int(row[0])


@overload(store)
def _overload_store(row: Any, value: Any) -> Callable[..., Any]:
    def compiled(row: Any, value: Any) -> Any:  # Numba wants the annotation of the outer function here too
        return _store_release(row, value)  # type: ignore[call-arg]

    return compiled


@overload(load)
def _overload_load(row: Any) -> Callable[..., Any]:
    def compiled(row: Any) -> Any:
        return _load_acquire(row)  # type: ignore[call-arg]

    return compiled


@intrinsic
def _store_release(typing_context: Any, row: Any, value: Any) -> tuple[Any, Callable[..., Any]]:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        first = make_array(signature.args[0])(context, builder, arguments[0]).data
        builder.store_atomic(arguments[1], first, "release", 8)
        return context.get_dummy_value()

    return types.void(row, types.int64), generate


@intrinsic
def _load_acquire(typing_context: Any, row: Any) -> tuple[Any, Callable[..., Any]]:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        first = make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.load_atomic(first, "acquire", 8)

    return types.int64(row), generate


@kernel(fastmath=False)
def _post(row: np.ndarray, serial: int) -> None:
    store(row, serial)


@kernel(fastmath=False)
def _has_come(row: np.ndarray, serial: int, looks: int) -> bool:
    for _ in range(looks):  # noqa: SIM110 (compiled)
        if load(row) >= serial:
            return True
    return False
