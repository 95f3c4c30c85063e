"""Compressed tars, inflated once to a file without a name: then they are read like plain ones."""

import bz2
import gzip
import io
import lzma
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from gen_dist.sources.members import DamagedError

GZIP, BZIP2, XZ = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0"
_CHUNK = 1 << 20
_XZ_MEMORY = 256 << 20  # bytes; the strongest preset needs 65 MB


def inflate(file: BinaryIO, most_inflated: int, folder: Path | None = None) -> BinaryIO:
    """What `file` (gzip, bzip2 or xz) contains, as a file that is gone when it is closed.

    Args:
        file: from where it stands.
        most_inflated: bytes.
        folder: where the disk space is taken from; None is where temporary files go (TMPDIR).

    Raises:
        DamagedError: damaged, cut short, too long, or the disk is full.
    """
    with ExitStack() as stack:
        # Without a buffer, so that nothing is left to be written when it is closed because the disk is full.
        inflated, written = stack.enter_context(tempfile.TemporaryFile(dir=folder, buffering=0)), 0
        for chunk in _chunks(file):
            written += len(chunk)
            if written > most_inflated:
                raise DamagedError(f"it inflates to more than {most_inflated} bytes")
            _write(inflated, chunk, folder)
        stack.pop_all()
        return inflated


def _write(file: io.FileIO, chunk: bytes, folder: Path | None) -> None:
    left = memoryview(chunk)
    try:
        while left:
            left = left[file.write(left) :]
    except OSError as error:
        where = folder or tempfile.gettempdir()
        why = f"cannot be inflated into '{where}': {error.strerror}"
        raise DamagedError(f"{why} (TMPDIR chooses another folder)") from error


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    start = file.read(len(XZ))
    file.seek(-len(start), 1)
    try:
        if start.startswith(GZIP):
            with gzip.GzipFile(fileobj=file) as stream:
                yield from iter(lambda: stream.read(_CHUNK), b"")
        elif start.startswith(BZIP2):
            with bz2.BZ2File(file) as bz2_stream:
                yield from iter(lambda: bz2_stream.read(_CHUNK), b"")
        else:
            yield from _xz_chunks(file)
    except EOFError:
        raise DamagedError("cut short") from None
    except (zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise DamagedError(f"damaged: {error}") from None
    except OSError as error:  # which is how bz2 calls it
        raise DamagedError(f"damaged: {error.strerror or error}") from None


def _xz_chunks(file: BinaryIO) -> Iterator[bytes]:
    """Like lzma.LZMAFile, but within a limit of memory: a hostile file asks for 4 GB."""
    data = file.read(_CHUNK)
    while data:
        decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
        while not decompressor.eof:
            if decompressor.needs_input and not (data := data or file.read(_CHUNK)):
                raise EOFError
            yield decompressor.decompress(data, _CHUNK)
            data = b""
        data = (decompressor.unused_data or file.read(_CHUNK)).lstrip(b"\0")
