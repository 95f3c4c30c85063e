"""A shuffle of bytes in registers, which LLVM has and Numba's loops do not lead to."""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, overload
from numba.np.arrayobj import make_array

GROUP = 16  # pixels of 3 bytes

_ORDER = [3 * (GROUP - 1 - pixel) + channel for pixel in range(GROUP) for channel in range(3)]


def reverse_group(target: np.ndarray, start: int, line: np.ndarray, begin: int) -> None:
    """Write the 16 pixels of three bytes at line[begin:] to target[start:] in reverse order; unchecked."""
    size = 3 * GROUP
    target[start : start + size] = line[begin : begin + size].reshape(GROUP, 3)[::-1].reshape(size)


@overload(reverse_group)
def _overload_reverse_group(target: Any, start: Any, line: Any, begin: Any) -> Callable[..., Any]:
    def compiled(target: Any, start: Any, line: Any, begin: Any) -> Any:
        return _reverse_group(target, start, line, begin)  # type: ignore[call-arg]

    return compiled


@intrinsic
def _reverse_group(
    typing_context: Any, target: Any, start: Any, line: Any, begin: Any
) -> tuple[Any, Callable[..., Any]]:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(ir.IntType(8), len(_ORDER))
        order = ir.Constant(ir.VectorType(ir.IntType(32), len(_ORDER)), _ORDER)

        def address(array_type: Any, array: Any, offset: Any) -> Any:
            data = make_array(array_type)(context, builder, array).data
            return builder.bitcast(builder.gep(data, [offset]), vector.as_pointer())

        pixels = builder.load(address(line, arguments[2], arguments[3]), align=1)
        pixels = builder.shuffle_vector(pixels, ir.Constant(vector, ir.Undefined), order)
        builder.store(pixels, address(target, arguments[0], arguments[1]), align=1)
        return context.get_dummy_value()

    return types.void(target, types.intp, line, types.intp), generate
