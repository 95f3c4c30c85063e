"""A node's side of a shipment: a pack that arrives in pieces becomes a pack in this machine's cache. Knows no Ray.

    shipped/<content hash>                                the pack, once it is whole and checked
    shipped/.<content hash>-<hash of meta.json>.partial   what has arrived of it
    shipped/<content hash>.lock                           held by whoever receives it

Where a shipment was cut off, the next one goes on. Two processes never write the same pack: the second is told to wait.
"""

import errno
import fcntl
import hashlib
import os
import re
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np

from gen_dist.data.cache import shipped_cache
from gen_dist.data.pack import Pack
from gen_dist.data.pack_bytes import PackLayout, check_layout
from gen_dist.data.partial_pack import PartialPack, remove
from gen_dist.errors import RunError, UserError

SLACK_BYTES = 64 << 20  # left free beside a pack: nothing works well on a disk that is full to the brim
MOST_EARLY = 16  # pieces that wait for the one before them


@dataclass(frozen=True)
class Announcement:
    """A pack is to come. Answered by what to do about it."""

    content_hash: str
    layout: PackLayout


@dataclass(frozen=True)
class Piece:
    """Bytes of its stream, from `start` on. Answered by how far it has come without a gap."""

    start: int


@dataclass(frozen=True)
class Completion:
    """All pieces were sent. Answered when the pack is checked and has its name."""


@dataclass(frozen=True)
class Abandonment:
    """Nothing more will come; what is there stays for the next shipment."""


Request = Announcement | Piece | Completion | Abandonment


class Progress(Enum):
    WHOLE = "whole"  # the pack is here, in `Standing.folder`
    WANTED = "wanted"  # the bytes from `Standing.position` on are waited for
    ELSEWHERE = "elsewhere"  # another shipment of this pack is under way here; announce it again later
    FULL = "full"  # the disk has less than `Standing.needed` bytes of room
    SPOILT = "spoilt"  # what an earlier shipment had left was no good, and is gone; announce it again


@dataclass(frozen=True)
class Standing:
    """How far a shipment is. `position`: bytes of the stream; `needed` and `free`: bytes of disk."""

    progress: Progress
    folder: Path
    position: int = 0
    needed: int = 0
    free: int = 0


class PackReceiver:
    """Receives one pack at a time, into `root` (None: the cache of this user). Any thread may call it."""

    def __init__(self, root: Path | None = None) -> None:
        self._root, self._guard = root, threading.Lock()
        self._arrival: Arrival | None = None

    def answer(self, request: Request, data: np.ndarray | None = None) -> Standing | None:
        """What a request asks for; `data` is a piece's, uint8 (n,), in any order.

        Raises, naming this machine, after which the shipment must be announced again:
            UserError: the disk refuses.
            RunError: what was sent is not what was announced.
        """
        with self._guard:
            try:
                with self._failures_named():
                    return self._answer(request, data)
            except BaseException:
                self._let_go()
                raise

    def _answer(self, request: Request, data: np.ndarray | None) -> Standing | None:
        if isinstance(request, Announcement | Abandonment):
            self._let_go()
            return self._announced(request) if isinstance(request, Announcement) else None
        if self._arrival is None:
            raise RunError("a piece of a pack was sent that nobody announced")
        if isinstance(request, Completion):
            standing = self._arrival.complete()
            self._let_go()
            return standing
        assert data is not None
        return self._arrival.receive(request.start, data)

    def _announced(self, announcement: Announcement) -> Standing:
        if not re.fullmatch("[0-9a-f]{64}", announcement.content_hash):
            raise RunError(f"'{announcement.content_hash[:80]}' is no content hash")
        folder = self.root / announcement.content_hash
        check_layout(folder, announcement.layout)
        self.root.mkdir(parents=True, exist_ok=True)
        lock = _lock(folder)
        if lock is None:
            return Standing(Progress.ELSEWHERE, folder)
        try:
            self._arrival = Arrival(folder, announcement, lock)
        except BaseException:
            os.close(lock)
            raise
        standing = self._arrival.begin()
        if standing.progress is not Progress.WANTED:
            self._let_go()
        return standing

    @property
    def root(self) -> Path:
        return self._root or shipped_cache()

    def _let_go(self) -> None:
        if self._arrival is not None:
            self._arrival.close()
            self._arrival = None

    @contextmanager
    def _failures_named(self) -> Iterator[None]:
        here = f"data on {socket.gethostname()}"
        try:
            yield
        except OSError as error:
            raise UserError(
                f"{here}: cannot keep a pack in '{self.root}': {error.strerror}; "
                "mend that, or set XDG_CACHE_HOME there to another folder before Ray is started"
            ) from None
        except (UserError, RunError) as error:
            raise type(error)(f"{here}: {error}") from None


class Arrival:
    """A pack that is arriving at `folder`; `lock` is the descriptor of its locked file. Raises OSError and RunError."""

    def __init__(self, folder: Path, announcement: Announcement, lock: int) -> None:
        self.folder, self._lock = folder, lock
        self.content_hash, self.layout = announcement.content_hash, announcement.layout
        stamp = hashlib.sha256(self.layout.meta).hexdigest()[:16]
        self._partial = PartialPack(folder.with_name(f".{folder.name}-{stamp}.partial"), self.layout)
        self._early: dict[int, np.ndarray] = {}

    def begin(self) -> Standing:
        """Find out what is there already, and whether there is room for the rest."""
        if holds(self.folder, self.content_hash):
            return Standing(Progress.WHOLE, self.folder)
        remove(self.folder)
        for other in self.folder.parent.glob(f".{self.folder.name}-*.partial"):
            if other != self._partial.folder:  # the same images, but in other files
                remove(other)
        position = self._partial.position
        needed = self.layout.total - position + SLACK_BYTES
        free = shutil.disk_usage(self.folder.parent).free
        if free < needed:
            return Standing(Progress.FULL, self.folder, position, needed, free)
        return Standing(Progress.WANTED, self.folder, position)

    def receive(self, start: int, data: np.ndarray) -> Standing:
        """Keep a piece: write it, and those that waited for it, or let it wait for the one before it."""
        total = self.layout.total
        if data.dtype != np.uint8 or data.ndim != 1 or not 0 <= start < start + len(data) <= total:
            raise RunError(f"{data.dtype} {data.shape} were sent for byte {start} of a pack of {total} bytes")
        self._early[start] = data
        try:
            while self._early and (first := min(self._early)) <= self._partial.position:
                self._partial.append(self._early.pop(first)[self._partial.position - first :])
        except OSError as error:
            if error.errno == errno.ENOSPC:
                self._partial.remove()  # a full disk troubles others too
            raise
        if len(self._early) > MOST_EARLY:
            raise RunError(f"byte {self._partial.position} of a pack was waited for in vain")
        return Standing(Progress.WANTED, self.folder, self._partial.position)

    def complete(self) -> Standing:
        """Check what has arrived, and give it its name."""
        if fault := self._partial.fault(self.content_hash):
            self._partial.remove()
            if self._partial.taken_over:  # by what a crash of the machine left, say
                return Standing(Progress.SPOILT, self.folder)
            raise RunError(
                f"what arrived is not the pack that was sent: {fault}; check that one with 'gen-dist verify'"
            )
        self._partial.publish(self.folder)
        return Standing(Progress.WHOLE, self.folder, self.layout.total)

    def close(self) -> None:
        self._early.clear()
        self._partial.close()
        os.close(self._lock)  # which unlocks it


def holds(folder: Path, content_hash: str) -> bool:
    """Whether there is a usable pack of this content."""
    try:
        return Pack.open(folder).content_hash == content_hash
    except UserError:
        return False


def _lock(folder: Path) -> int | None:
    """A descriptor that holds the lock beside `folder` until it is closed; None: another process holds it."""
    path = folder.with_name(f"{folder.name}.lock")
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    except BaseException:
        os.close(lock)
        raise
    return lock
