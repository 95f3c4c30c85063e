"""The one decorator of all kernels: compiled without the GIL, cached for these sources and this user only."""

import functools
import hashlib
import os
import pickle
import platform
import stat
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import llvmlite.binding
import numba
from numba.core.caching import CompileResultCacheImpl, FunctionCache, UserProvidedCacheLocator
from numba.core.dispatcher import Dispatcher

F = TypeVar("F", bound=Callable[..., Any])

# What reading or writing a cache can meet: no space, no right, a folder taken away, a file cut short by a crash.
_CACHE_FAULTS = (OSError, EOFError, pickle.UnpicklingError)
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def kernel(*, fastmath: bool) -> Callable[[F], F]:
    """Compile a function with Numba in nopython mode; calls release the GIL.

    Args:
        fastmath: whether LLVM may reorder and contract float arithmetic. Written out at every kernel, because
            with True the values depend on the machine and on how a loop was vectorised.

    Division by zero gives inf or nan as in NumPy. Compiled code is kept in `cache_folder()`; where there is
    none, every process compiles anew. With NUMBA_DISABLE_JIT=1 the function is returned as it is.
    """

    def decorate(function: F) -> F:
        compiled: Any = numba.njit(nogil=True, fastmath=fastmath, error_model="numpy")(function)
        if isinstance(compiled, Dispatcher) and cache_folder() is not None:
            compiled._cache = _Cache(function)  # type: ignore[attr-defined]
        return cast(F, compiled)

    return decorate


@functools.cache
def cache_folder() -> Path | None:
    """The folder for compiled kernels, made if it is missing, or None if it cannot be made or trusted.

    It lies in `$XDG_CACHE_HOME` (or `~/.cache`) under `gen-dist/numba-<hash>`. The hash covers the kernels'
    sources, because Numba does not notice that a kernel called from another file has changed.
    """
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return private_folder(base / "gen-dist" / f"numba-{_fingerprint(Path(__file__).parent)}")
    except (OSError, RuntimeError):  # RuntimeError: this user has no home folder
        return None


def private_folder(path: Path) -> Path:
    """Make `path` with mode 0700, or check that it is a folder of this user that no other user can write to.

    What it holds is pickle: whoever can write there, or put another folder in its place, can run code as this user. So
    the folder it lies in must be this user's too; where others may write to that one, they no longer may afterwards.

    Raises PermissionError if a check fails, OSError if a folder cannot be made or its mode not be changed.
    """
    parent = path.parent
    parent.parent.mkdir(parents=True, exist_ok=True)
    parent.mkdir(mode=0o700, exist_ok=True)
    mode = _own_folder(parent)
    if mode & _OTHERS_WRITE:  # the cache of packs lies there too, and may have made it under a umask of 002
        parent.chmod(mode & ~_OTHERS_WRITE)
    path.mkdir(mode=0o700, exist_ok=True)
    if _own_folder(path) & _OTHERS_WRITE:  # not to be mended: someone may have written there
        raise PermissionError(f"{path}: not a private folder of this user")
    return path


def _own_folder(path: Path) -> int:
    """The permission bits of a folder of this user. Raises PermissionError if it is a link or someone else's."""
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise PermissionError(f"{path}: not a private folder of this user")
    return stat.S_IMODE(status.st_mode)


def _fingerprint(folder: Path) -> str:
    """Sixteen hex digits over the sources in `folder` and all else that compiled code depends on."""
    machine = (numba.__version__, platform.python_version(), llvmlite.binding.get_host_cpu_name())
    digest = hashlib.sha256(repr(machine).encode())
    for source in sorted(folder.rglob("*.py")):
        content = source.read_bytes()
        digest.update(f"{source.relative_to(folder)} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


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
