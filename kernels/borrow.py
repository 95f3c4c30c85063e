"""Arrays inside a kernel without their reference counts.

Numba counts a reference for every slice, atomically: two locked instructions, as long as dozens of pixels take. A
kernel that slices rows borrows its arguments first, and then no slice of them counts.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba.core import types
from numba.extending import intrinsic, overload
from numba.np.arrayobj import make_array


def borrowed(array: np.ndarray) -> np.ndarray:
    """The same array; to be used only where someone else keeps it alive, as a caller does its arguments.

    A read-only array becomes writeable to the compiler, so that rows of a store and rows of scratch are of one type.
    """
    return array


@overload(borrowed)
def _overload_borrowed(array: Any) -> Callable[[Any], Any]:
    def compiled(array: Any) -> Any:  # Numba wants the annotation of the outer function here too
        return _without_owner(array)  # type: ignore[call-arg]

    return compiled


@intrinsic
def _without_owner(typing_context: Any, array: Any) -> tuple[Any, Callable[..., Any]]:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = make_array(signature.return_type)(context, builder, arguments[0])
        view.meminfo = context.get_constant_null(types.MemInfoPointer(types.voidptr))
        return view._getvalue()

    return array.copy(readonly=False)(array), generate
