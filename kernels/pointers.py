"""Vectors given by their addresses: so many arrays as a kernel gets them, where Numba would compile for each number."""

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import carray
from numba.core import types
from numba.extending import intrinsic, overload


def vector_at(address: int, elements: int, like: np.ndarray) -> np.ndarray:
    """So many elements of the type of `like`; to be used only where someone else keeps them alive."""
    there: Any = (ctypes.c_char * (elements * like.itemsize)).from_address(int(address))
    vector: np.ndarray = np.frombuffer(there, like.dtype)
    return vector


@overload(vector_at)
def _overload_vector_at(address: Any, elements: Any, like: Any) -> Callable[..., Any]:
    def compiled(address: Any, elements: Any, like: Any) -> Any:  # Numba wants the annotation of the outer function too
        return carray(_pointer(address, like), (elements,))  # type: ignore[call-arg]

    return compiled


@intrinsic
def _pointer(typing_context: Any, address: Any, like: Any) -> tuple[Any, Callable[..., Any]]:
    pointer = types.CPointer(like.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(pointer))

    return pointer(address, like), generate
