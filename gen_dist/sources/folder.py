"""The files of a folder of images, in an order that does not depend on the file system."""

import contextlib
import os
import stat
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from gen_dist.data.pack import printable
from gen_dist.errors import UserError
from gen_dist.sources.signature import SIGNATURE_BYTES, check_image
from gen_dist.sources.source import RejectedError


@dataclass(frozen=True)
class Listing:
    """`files`: paths relative to `folder`, sorted by their bytes. `rejected`: (name, reason) of folders not read."""

    folder: Path  # absolute
    files: list[str]
    rejected: list[tuple[str, str]]

    def __len__(self) -> int:
        return len(self.files)

    def total_bytes(self) -> int:
        """Of all files that can be looked at."""
        total = 0
        for name in self.files:
            with contextlib.suppress(OSError):
                total += os.stat(self.folder / name).st_size
        return total


def list_folder(folder: Path, name: str = "SOURCE") -> Listing:
    """Every file in `folder`, at any depth; hidden ones are left out.

    Links to folders are followed, but each folder is read once, so loops end. Raises UserError, which calls the folder
    `name`, if there is no such folder or no file in it.
    """
    if not os.path.isdir(folder):
        what = "not a folder" if os.path.exists(folder) else "no such folder"
        raise UserError(f"{name} '{folder}': {what}; give a folder of images or a pack made by 'gen-dist prepare'")
    listing = Listing(Path(os.path.abspath(folder)), [], [])
    _walk(listing)
    listing.files.sort(key=os.fsencode)
    listing.rejected.sort(key=lambda one: os.fsencode(one[0]))
    if not listing.files:
        why = f" ({printable(listing.rejected[0][0])}: {listing.rejected[0][1]})" if listing.rejected else ""
        raise UserError(f"{name} '{folder}': the folder is empty{why}; give a folder with images in it")
    return listing


def _walk(listing: Listing) -> None:
    seen: set[tuple[int, int]] = set()
    folders = deque([""])
    while folders:
        relative = folders.popleft()
        try:
            about = os.stat(listing.folder / relative)
            if (about.st_dev, about.st_ino) in seen:
                listing.rejected.append((relative, "a link to a folder that was read already"))
                continue
            seen.add((about.st_dev, about.st_ino))
            with os.scandir(listing.folder / relative) as entries:
                for entry in sorted(entries, key=lambda entry: os.fsencode(entry.name)):
                    if entry.name.startswith("."):
                        continue
                    inside = os.path.join(relative, entry.name)
                    is_folder = os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()
                    (folders if is_folder else listing.files).append(inside)
        except OSError as error:
            listing.rejected.append((relative or ".", error.strerror or "cannot be read"))


def read_image_file(path: str | os.PathLike[str], most_bytes: int) -> bytes:
    """The bytes of a file that starts like an image of a format we decode. Raises RejectedError with the reason."""
    try:
        about = os.stat(path)
        if not stat.S_ISREG(about.st_mode):  # opening a pipe would wait for ever
            raise RejectedError("not a regular file")
        if not about.st_size:
            raise RejectedError("empty file")
        if about.st_size > most_bytes:
            raise RejectedError(f"{about.st_size} bytes, more than {most_bytes}")
        with open(path, "rb") as file:
            start = file.read(SIGNATURE_BYTES)
            check_image(start)
            return start + file.read()
    except OSError as error:
        raise RejectedError(error.strerror or "cannot be read") from error
