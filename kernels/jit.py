"""The one decorator of all kernels: compiled without the GIL, cached for these sources and this user only."""

import pickle
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core.caching import CompileResultCacheImpl, FunctionCache, UserProvidedCacheLocator
from numba.core.compiler import Compiler
from numba.core.dispatcher import Dispatcher

from gen_dist.kernels.code_cache import cache_folder, private_folder

F = TypeVar("F", bound=Callable[..., Any])

# What reading or writing a cache can meet: no space, no right, a folder taken away, a file cut short by a crash.
_CACHE_FAULTS = (OSError, EOFError, pickle.UnpicklingError)


def kernel(*, fastmath: bool, inline: bool = False, noalias: bool = False) -> Callable[[F], F]:
    """Compile a function with Numba in nopython mode; calls release the GIL.

    Args:
        fastmath: whether LLVM may reorder and contract float arithmetic. Written out at every kernel, because
            with True the values depend on the machine and on how a loop was vectorised.
        inline: whether LLVM must inline it where other kernels call it. By itself it does so with small functions
            only, and a loop with a call in it never becomes vector code.
        noalias: a promise that no array given overlaps one that is written. Without it LLVM cannot vectorise a loop
            that reads one array at computed places and writes another.

    Division by zero gives inf or nan as in NumPy. Compiled code is kept in `cache_folder()`; where there is
    none, every process compiles anew. With NUMBA_DISABLE_JIT=1 the function is returned as it is.
    """

    def decorate(function: F) -> F:
        options: dict[str, Any] = {"forceinline": inline, "error_model": "numpy"}
        if noalias:
            options["pipeline_class"] = _NoAliasCompiler
        compiled: Any = numba.njit(nogil=True, fastmath=fastmath, **options)(function)
        if isinstance(compiled, Dispatcher) and cache_folder() is not None:
            compiled._cache = _Cache(function)  # type: ignore[attr-defined]
        return cast(F, compiled)

    return decorate


class _NoAliasCompiler(Compiler):
    """Numba's, with a flag set that its decorator does not offer: arrays given are LLVM's `noalias`."""

    def define_pipelines(self) -> Any:
        self.state.flags.noalias = True
        return super().define_pipelines()


class _Locator(UserProvidedCacheLocator):
    """Puts compiled code straight into `cache_folder()`, so that every checkout of the same sources shares it."""

    def __init__(self, py_func: Callable[..., Any], py_file: str) -> None:
        self._py_file = py_file
        self._lineno = py_func.__code__.co_firstlineno
        self._cache_path = str(cache_folder())

    def ensure_cache_path(self) -> None:
        private_folder(Path(self._cache_path))  # Numba's own would make it anew for everyone to read

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> "_Locator":
        return cls(py_func, py_file)


class _CacheImpl(CompileResultCacheImpl):
    _locator_classes = [_Locator]  # noqa: RUF012 (Numba's attribute)


class _Cache(FunctionCache):
    """Numba's cache, for which a fault of the disk means compiling and not failing."""

    _impl_class = _CacheImpl

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except _CACHE_FAULTS:
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        # Numba numbers its files. Two processes that compile different signatures at once would pick the same
        # number, and the index could then name the wrong code; with unique names it can only lose an entry.
        self._cache_file._data_name_pattern = f"{self._impl.filename_base}.{uuid.uuid4().hex}.{{number:d}}.nbc"
        try:
            super().save_overload(sig, data)
        except _CACHE_FAULTS:
            return
