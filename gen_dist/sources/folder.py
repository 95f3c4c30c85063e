"""The files of a folder of images, in an order that does not depend on the file system."""

import contextlib
import functools
import hashlib
import os
import stat
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from gen_dist.data.pack_meta import FIRST_PARTS, META, is_pack, printable
from gen_dist.errors import UserError
from gen_dist.sources.signature import SIGNATURE_BYTES, check_image
from gen_dist.sources.source import UNREADABLE, Item, RejectedError

_PACK_FILES = frozenset((META, *FIRST_PARTS))

_AT_ONCE = 1 << 18  # bytes of a file that are read before it is known to be an image


class Folder:
    """A Source: every file in a folder at any depth, by the bytes of the names; hidden ones are left out.

    So are packs below it: one that is made of this folder may lie in it, and must not become a part of itself.
    Links to folders are followed, but each folder is read once, so loops end. Top-level folders are the classes.
    Raises UserError, which calls the folder `name`, if there is no such folder or no file in it.
    """

    class_names = None
    consecutive = False

    def __init__(self, folder: Path, most_bytes: int, name: str = "SOURCE") -> None:
        if not os.path.isdir(folder):
            what = "not a folder" if os.path.exists(folder) else "no such folder"
            raise UserError(f"{name} '{folder}': {what}; give a folder of images or a pack made by 'gen-dist prepare'")
        self.folder = Path(os.path.abspath(folder))
        self.most_bytes = most_bytes
        self.files, self.rejected = _walk(self.folder)
        if not self.files:
            why = f" ({printable(self.rejected[0][0])}: {self.rejected[0][1]})" if self.rejected else ""
            raise UserError(f"{name} '{folder}': the folder is empty{why}; give a folder with images in it")

    @property
    def description(self) -> str:
        return str(self.folder)

    @property
    def total(self) -> int:
        return len(self.files)

    @property
    def total_bytes(self) -> int:
        """Of all files that can be looked at."""
        return int(self._facts[:, 0].sum())

    def stamp(self) -> str:
        """Changes with the name, length and date of every file."""
        digest = hashlib.sha256(self._facts.tobytes())
        for name in self.files:
            digest.update(os.fsencode(name) + b"\0")
        return digest.hexdigest()

    def items(self) -> Iterator[Item]:
        for name, (size, changed, readable) in zip(self.files, self._facts.tolist(), strict=True):
            block = os.path.dirname(name)
            class_name = name.split("/", 1)[0] if block else None
            load = functools.partial(read_image_file, f"{self.folder}/{name}", self.most_bytes)
            stamp = f"{size} {changed}{'' if readable else UNREADABLE}"
            yield Item(name, stamp, load, class_name, block, min(size, self.most_bytes))

    @functools.cached_property
    def _facts(self) -> np.ndarray:
        """int64, n x 3: length, date in nanoseconds, whether it can be read, which may change without another date.

        Looked at once, before anything is read: what changes meanwhile is then seen the next time.
        """
        facts = np.zeros((len(self.files), 3), np.int64)
        for row, name in enumerate(self.files):
            path = f"{self.folder}/{name}"
            with contextlib.suppress(OSError):
                about = os.stat(path)
                facts[row] = about.st_size, about.st_mtime_ns, os.access(path, os.R_OK)
        return facts

    def blocks(self) -> Mapping[str, int]:
        return Counter(os.path.dirname(name) for name in self.files)

    def close(self) -> None:
        """Nothing stays open."""


def read_image_file(path: str | os.PathLike[str], most_bytes: int) -> bytes:
    """The bytes of a file that starts like an image of a format we decode. Raises RejectedError with the reason."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would be waited for
    except OSError as error:
        raise RejectedError(error.strerror or "cannot be read") from error
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise RejectedError("not a regular file")
        if not about.st_size:
            raise RejectedError("empty file")
        if about.st_size > most_bytes:
            raise RejectedError(f"{about.st_size} bytes, more than {most_bytes}")
        start = os.read(descriptor, max(SIGNATURE_BYTES, min(about.st_size, _AT_ONCE)))
        check_image(start)
        return start if len(start) == about.st_size else start + _rest(descriptor, about.st_size - len(start))
    except OSError as error:
        raise RejectedError(error.strerror or "cannot be read") from error
    finally:
        os.close(descriptor)


def _rest(descriptor: int, length: int) -> bytes:
    data = os.read(descriptor, length)
    while len(data) < length and (more := os.read(descriptor, length - len(data))):
        data += more
    return data


def _walk(folder: Path) -> tuple[list[str], list[tuple[str, str]]]:
    """Paths of files relative to `folder`, and (name, reason) of folders not read; both sorted by their bytes."""
    files: list[str] = []
    rejected: list[tuple[str, str]] = []
    seen: set[tuple[int, int]] = set()
    folders = deque([""])
    while folders:
        relative = folders.popleft()
        try:
            about = os.stat(folder / relative)
            if (about.st_dev, about.st_ino) in seen:
                rejected.append((relative, "a link to a folder that was read already"))
                continue
            seen.add((about.st_dev, about.st_ino))
            with os.scandir(folder / relative) as scanned:
                entries = sorted(scanned, key=lambda entry: os.fsencode(entry.name))
            if relative and _PACK_FILES.intersection(entry.name for entry in entries) and is_pack(folder / relative):
                continue
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                is_folder = os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()
                (folders if is_folder else files).append(os.path.join(relative, entry.name))
        except OSError as error:
            rejected.append((relative or ".", error.strerror or "cannot be read"))
    files.sort(key=os.fsencode)
    rejected.sort(key=lambda one: os.fsencode(one[0]))
    return files, rejected
