"""Where a pack grows until it is whole: a hidden folder beside it, which a killed process leaves and the next takes up.

.NAME.partial/lock          held by the process that writes
.NAME.partial/journal.json  how far it is, see `Journal`; written after the files it speaks of are on the disk
.NAME.partial/pack/         becomes NAME when it is whole
.NAME.partial/old/          a pack that is being replaced
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from gen_dist.atomic import sync_folder, write_atomic
from gen_dist.data.pack_files import Written
from gen_dist.data.pack_writer import unwritable
from gen_dist.errors import UserError
from gen_dist.preparing.intake import Tally

_JOURNAL = "journal.json"


class Journal(BaseModel):
    """How far a pack is.

    key: of the source as it is and the settings; another key, and the folder is of no use.
    tally: of what is done. files: how much of each pack in the folder that is, by name.
    classes, loose: see `intake.Classes`, bytes of names as Latin-1. whole: nothing is missing but the name.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    key: str
    tally: Tally = Tally()
    files: dict[str, Written] = {}
    classes: tuple[str, ...] = ()
    loose: bool = False
    whole: bool = False


def work_folder_of(pack: Path) -> Path:
    return pack.parent / f".{pack.name}.partial"


class WorkFolder:
    """The hidden folder of the pack at `path`, locked while this is open.

    Raises UserError if it cannot be written, or if another process is at it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = work_folder_of(path)
        self.pack = self.folder / "pack"
        self._old = self.folder / "old"
        self._lock: IO | None = None
        self._made = _missing(path.parent)

    def __enter__(self) -> Self:
        try:
            while self._lock is None:
                self._lock = self._locked()
        except BlockingIOError:
            raise UserError(f"pack '{self.path}': another process is making it; wait for that, or stop it") from None
        except OSError as error:
            raise unwritable(self.path, error) from error
        return self

    def __exit__(self, *exception: object) -> None:
        if self._lock is not None:
            self._lock.close()

    def journal(self) -> Journal | None:
        """What the last process left; None where that is nothing, or nothing that can be read."""
        try:
            return Journal.model_validate_json((self.folder / _JOURNAL).read_bytes())
        except (OSError, ValidationError):
            return None

    def write(self, journal: Journal) -> None:
        """Raises OSError."""
        write_atomic(self.folder / _JOURNAL, journal.model_dump_json().encode())

    def start_anew(self) -> None:
        """Forgets what the last process left, but for a pack that it was about to replace. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            (self.folder / _JOURNAL).unlink()
        shutil.rmtree(self.pack, ignore_errors=True)
        self.pack.mkdir()
        self._put_back()

    def publish(self) -> None:
        """Gives the pack its name, in place of one that had it, and removes the folder. Raises OSError."""
        sync_folder(self.pack)
        shutil.rmtree(self._old, ignore_errors=True)
        if os.path.lexists(self.path):
            self.path.rename(self._old)
        self.pack.rename(self.path)
        sync_folder(self.path.parent)
        self.remove()

    def remove(self) -> None:
        """The folder and everything in it, and those above it that were made for it and hold nothing.

        A pack that was about to be replaced gets its place back first.
        """
        try:
            self._put_back()
        except OSError:
            return  # better this folder than no pack
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # not empty
            for folder in self._made:
                folder.rmdir()

    def sides(self, names: Sequence[str]) -> dict[str, Path]:
        """The folders of the packs in it; "" is the name of an only one."""
        folders = {name: self.pack / name for name in names}
        for folder in folders.values():
            folder.mkdir(exist_ok=True)
        return folders

    def _put_back(self) -> None:
        """Raises OSError."""
        if os.path.lexists(self._old) and not os.path.lexists(self.path):
            self._old.rename(self.path)

    def _locked(self) -> IO | None:
        """The lock; None if another process has just removed the folder with the file in which it is."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / "lock"
        with ExitStack() as stack:
            lock = stack.enter_context(open(file, "w"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not file.exists() or not os.path.samestat(os.fstat(lock.fileno()), file.stat()):
                return None
            stack.pop_all()
            return lock


def _missing(folder: Path) -> list[Path]:
    """It and those above it, as far as they are not there; the deepest first."""
    missing = []
    while not os.path.lexists(folder):
        missing.append(folder)
        folder = folder.parent
    return missing
