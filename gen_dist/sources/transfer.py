"""One file over HTTP, continued where the last try stopped: the `downloader` that pooch calls."""

import fcntl
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from gen_dist.errors import UserError

if TYPE_CHECKING:
    import requests

CHUNK_BYTES = 1 << 14  # at most so much is lost with a connection
TRIES = 5  # in a row, each of which brought less than this:
PROGRESS_BYTES = 1 << 20
CONNECT_SECONDS, READ_SECONDS = 15.0, 30.0  # without a byte
# Words in an error for which another try is in vain, and what they mean.
HOPELESS = {
    "resol": "the server's name is not found",
    "refused": "the server refuses the connection",
    "unreachable": "the network cannot be reached",
    "certificate": "the server's certificate is not trusted",
    "proxy": "the proxy does not let us through",
}
BUSY = (408, 425, 429, 500, 502, 503, 504)  # worth another try


class TransferError(Exception):
    """Why a server does not give a file, in a few words for the user."""


@dataclass
class Transfer:
    """Calls itself a downloader: `transfer(url, output_file, pooch)`.

    What has come is kept in `part` until it is whole; beside it, `part` + ".from" holds its URL and the server's mark
    of this version of the file, so that halves of two versions are not joined.

    Args:
        part: grows; moved to `output_file` at the end.
        length: in bytes, None if not known.
        progress: called with (bytes that are there, bytes in all or None).
        wait: seconds before the second try; doubled for each next one.
        resumed: whether the last call continued an older part.
    """

    part: Path
    length: int | None = None
    progress: Callable[[int, int | None], None] | None = None
    wait: float = 1.0
    resumed: bool = False

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        """Raises TransferError; UserError where another process is at it; OSError from the disk."""
        self.resumed = self.part.exists() and self.part.stat().st_size > 0
        with open(self.part, "ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(f"file '{self.part}': another process is downloading it; wait for that one") from None
            self._until_whole(url, file)
            os.replace(self.part, output_file)
        self._origin.unlink(missing_ok=True)

    @property
    def _origin(self) -> Path:
        return self.part.with_name(self.part.name + ".from")

    def _until_whole(self, url: str, file: IO[bytes]) -> None:
        import requests

        failures = 0
        with requests.Session() as session:
            while True:
                before = _size(file)
                try:
                    self._ask(session, url, file)
                    return
                except requests.RequestException as error:
                    reason = _plain(error)
                    if reason in HOPELESS.values() or isinstance(error, requests.ConnectTimeout):
                        raise TransferError(reason) from None
                except _BusyError as error:
                    reason = str(error)
                failures = 1 if _size(file) - before >= PROGRESS_BYTES else failures + 1
                if failures >= TRIES:
                    raise TransferError(f"{reason}, {TRIES} times in a row")
                time.sleep(self.wait * 2 ** (failures - 1))

    def _ask(self, session: "requests.Session", url: str, file: IO[bytes]) -> None:
        """Goes on from what the part holds. Raises requests' errors, _BusyError, TransferError."""
        have = _size(file)
        if have == self.length:
            return  # only its checksum is missing
        headers = {"Accept-Encoding": "identity"}  # the bytes that the checksum is of
        if have:
            headers["Range"] = f"bytes={have}-"
            if mark := self._mark_of(url):
                headers["If-Range"] = mark
        with session.get(url, headers=headers, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS)) as response:
            if response.status_code in BUSY:
                raise _BusyError(f"the server says {response.status_code} {response.reason}")
            begin, total = _span(response, have)
            if begin is None:  # nothing to send: the part is whole, or is of something else
                if have == total:
                    return
                file.truncate(0)
                raise _BusyError("the server has another file than the one that was begun")
            if have and not begin:
                file.truncate(0)
                self.resumed = False
            expected = self.length if self.length is not None else total
            if expected is not None and total is not None and total != expected:
                raise TransferError(f"the server's file has {total} bytes, the published one {expected}")
            self._origin.write_text(f"{url}\n{_mark(response)}\n")
            self._copy(response, file, begin, expected)

    def _copy(self, response: "requests.Response", file: IO[bytes], done: int, expected: int | None) -> None:
        import requests

        # A server may call a .gz file a compressed transfer: it would be unpacked on the way.
        response.raw.headers.pop("Content-Encoding", None)
        for chunk in response.iter_content(CHUNK_BYTES):
            done += len(chunk)
            if expected is not None and done > expected:
                file.truncate(0)
                raise TransferError(f"the server sends more than the file's {expected} bytes")
            file.write(chunk)
            if self.progress is not None:
                self.progress(done, expected)
        file.flush()
        if expected is not None and done < expected:
            raise requests.ConnectionError("the connection was lost")

    def _mark_of(self, url: str) -> str:
        """What the server called the version that the part is of; "" if it did not, or it was another server."""
        try:
            origin, mark, *_ = self._origin.read_text().split("\n")
        except (OSError, ValueError):
            return ""
        return mark if origin == url else ""


def _size(file: IO[bytes]) -> int:
    file.flush()
    return os.fstat(file.fileno()).st_size


class _BusyError(Exception):
    """A reason that may pass."""


def _span(response: "requests.Response", have: int) -> tuple[int | None, int | None]:
    """(where the body begins in the file, the file's length), None for no body and for not known."""
    status = response.status_code
    ranges = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", response.headers.get("Content-Range", ""))
    if status == 416:
        return None, int(ranges[2]) if ranges and ranges[2] != "*" else None
    if status == 206:
        if ranges is None or ranges[1] is None or int(ranges[1]) != have:
            raise TransferError("the server sends another part of the file than it was asked for")
        return have, None if ranges[2] == "*" else int(ranges[2])
    if status != 200:
        raise TransferError(f"the server says {status} {response.reason}")
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


def _mark(response: "requests.Response") -> str:
    """A strong ETag, or else the date; weak ones may not be used with ranges."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


def _plain(error: Exception) -> str:
    """In a few words: requests wraps its errors in three others."""
    import requests

    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {CONNECT_SECONDS:g} seconds"
    if isinstance(error, requests.ReadTimeout):
        return f"nothing came for {READ_SECONDS:g} seconds"
    text = str(error)
    for sign, words in HOPELESS.items():
        if sign in text:
            return words
    if "Read timed out" in text:
        return f"nothing came for {READ_SECONDS:g} seconds"
    if isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
        return "the connection was lost"
    return " ".join(text.split()) or type(error).__name__
