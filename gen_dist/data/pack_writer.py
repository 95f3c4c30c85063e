"""Packs written in one go, whole or not at all."""

import os
import secrets
import shutil
from pathlib import Path
from typing import Self

import numpy as np

from gen_dist.atomic import sync_folder
from gen_dist.data.pack_files import PART_BYTES, About, PackFiles
from gen_dist.data.pack_index import Entry
from gen_dist.errors import UserError


class PackWriter:
    """Writes a pack of images of `shape` (H, W, C) at `path`, image by image, in a folder beside it until `finish`.

        with PackWriter(path, (64, 64, 3)) as writer:
            writer.append(image, label)  # as in PackFiles
            writer.finish(About(source, counts, class_names, rejected))

    Memory does not grow with the number of images. Left without `finish`, it leaves nothing behind. Raises UserError
    where `path` exists or cannot be written, and where the disk is full.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        shape: tuple[int, int, int],
        part_bytes: int = PART_BYTES,
        *,
        kept: str = "pixels",
    ) -> None:
        self.path = Path(path)
        check_free(self.path)
        self._folder = self.path.parent / f".{self.path.name}.{secrets.token_hex(4)}.tmp"
        try:
            self._folder.mkdir(parents=True)
            self._files = PackFiles(self._folder, shape, kept=kept, part_bytes=part_bytes)
        except OSError as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise unwritable(self.path, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._files.discard()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def images(self) -> int:
        """How many there are so far."""
        return self._files.images

    def append(self, image: np.ndarray | bytes, label: int | None = None, size: tuple[int, int] = (0, 0)) -> None:
        """Adds an image as `PackFiles.append` does. Raises UserError if it cannot be written."""
        try:
            self._files.append(image, label, size)
        except OSError as error:
            raise unwritable(self.path, error) from error

    def note(self, entry: Entry) -> None:
        """What became of an item of the source. Raises UserError if it cannot be written."""
        try:
            self._files.note(entry)
        except OSError as error:
            raise unwritable(self.path, error) from error

    def finish(self, about: About) -> None:
        """Completes the pack and gives it its name. Raises UserError for no images or when it cannot write."""
        if not self.images:
            raise UserError(f"pack '{self.path}': no image to put in it")
        try:
            self._files.complete(about)
            publish(self._folder, self.path)
        except OSError as error:
            raise unwritable(self.path, error) from error


def publish(folder: Path, path: Path) -> None:
    """Gives a finished folder its name. A reader sees all of it or nothing. Raises OSError."""
    sync_folder(folder)
    folder.rename(path)
    sync_folder(path.parent)


def check_free(path: Path) -> None:
    """Raises UserError where there is something at `path`."""
    if os.path.lexists(path):
        raise UserError(f"pack '{path}': exists already; give another name or remove it first")


def unwritable(path: Path, error: OSError) -> UserError:
    return UserError(f"pack '{path}': cannot write it: {error.strerror}; give a folder with room to write in")
