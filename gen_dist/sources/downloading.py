"""The files of named data sets, fetched into the cache: checked, continued after a break, from any of their mirrors."""

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from gen_dist.errors import UserError
from gen_dist.sources.catalogue import Entry, RemoteFile, find
from gen_dist.sources.transfer import Transfer, TransferError


class Progress(Protocol):
    """Called with a file's name, how many of its bytes are there, and how many it has, None if that is not known."""

    def __call__(self, file: str, done: int, total: int | None, /) -> None: ...


def fetch(name: str | Entry, cache: Path, progress: Progress | None = None, *, wait: float = 1.0) -> list[Path]:
    """The files of a data set, in the order of its entry, in `cache`/`name`. What is there already is only checked.

    `wait`: seconds before a second try. Raises UserError for a name that is not known, for a set that only a person can
    get, without a network, for a file that is not the published one, and if the cache cannot be written.
    """
    entry = find(name) if isinstance(name, str) else name
    folder = Path(cache) / entry.name
    if entry.by_hand:
        raise UserError(f"data set '{entry.name}': {by_hand(entry)}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [_fetch_file(entry, file, folder, progress, wait) for file in entry.files]
    except OSError as error:
        what = error.strerror or str(error)
        raise UserError(f"cache '{folder}': {what}; make room, or set XDG_CACHE_HOME to another folder") from error


def by_hand(entry: Entry) -> str:
    """What to do to get a set that is not downloaded."""
    return f"{entry.by_hand}, see {entry.home}; then give its folder: --from DIR"


def _fetch_file(entry: Entry, file: RemoteFile, folder: Path, progress: Progress | None, wait: float) -> Path:
    reasons = []
    for url in file.urls:
        report = _reporting(progress, file.name)
        transfer = Transfer(folder / f"{file.name}.part", file.bytes, report, wait)
        try:
            return _retrieve(entry, file, url, folder, transfer)
        except TransferError as error:
            reasons.append(f"{url}: {error}")
    raise UserError(
        f"data set '{entry.name}': cannot download {file.name} ({'; '.join(reasons)}); try again later, or give a "
        f"folder that holds it: --from DIR"
    )


def _retrieve(entry: Entry, file: RemoteFile, url: str, folder: Path, transfer: Transfer) -> Path:
    import pooch

    pooch.get_logger().setLevel(logging.WARNING)  # it would write to the terminal, through our progress bar
    while True:
        try:
            return Path(pooch.retrieve(url, file.checksum, file.name, folder, downloader=transfer))
        except ValueError as error:  # the checksum is wrong; pooch has removed the file
            if transfer.resumed:  # perhaps the first half was of another version
                continue
            got = re.search(r"but got (\w+)", str(error))
            raise UserError(
                f"data set '{entry.name}': {file.name} from {url} is not the published file: expected {file.checksum}, "
                f"got {got[1] if got else 'another'}; it was removed. Try again, or give a folder: --from DIR"
            ) from None


def _reporting(progress: Progress | None, name: str) -> Callable[[int, int | None], None] | None:
    if progress is None:
        return None
    return lambda done, total: progress(name, done, total)
