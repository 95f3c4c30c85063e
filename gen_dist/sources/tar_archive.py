"""Tar archives, read in place: one walk along the headers, then each member where it lies.

POSIX.1-2001 (ustar and pax), GNU's long names and what version 7 wrote. Written for archives from anywhere: every
header's checksum must be right, every size must fit into the file, and the walk only ever goes forward.
"""

import os
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

import numpy as np

from gen_dist.sources.members import DamagedError, Gathering, Members
from gen_dist.sources.signature import SIGNATURE_BYTES
from gen_dist.sources.source import RejectedError

BLOCK = 512
_MOST_HEADER = 1 << 20  # bytes of a pax header or a long name
_REGULAR, _FOLDER, _SPARSE = b"\x0007", b"5D", b"S"
_LONG_NAME, _LONG_LINK, _PAX, _GLOBAL_PAX = b"L", b"K", b"xX", b"g"
_WITHOUT_DATA = b"123456"  # whatever their size says
_KINDS = {b"1": "a hard link", b"2": "a link", b"3": "a device", b"4": "a device", b"6": "a pipe"}
_SPARSE_KEYS, _SPARSE_NAME = b"GNU.sparse.", b"GNU.sparse.name"
_MOST_PADDING = 16 << 20  # bytes; tar pads to records of 10 KB, or as large as a tape wants them


class Header(NamedTuple):
    """One block of 512 bytes."""

    name: bytes
    size: int  # bytes that follow, padded to blocks
    date: int  # seconds since 1970
    kind: bytes  # one byte
    goes_on: bool  # of a sparse file: its map goes on in the next block


class TarReader:
    """The members of an uncompressed tar that need at most `most_bytes` each. Owns no file."""

    def __init__(self, file: BinaryIO, most_bytes: int) -> None:
        self._file, self._most_bytes = file, most_bytes

    def members(self) -> Members:
        """Numbers: offset of the content, bytes, date in seconds. Raises DamagedError."""
        gathering = Gathering(3)
        for name, reason, offset, size, date in _walk(self._file):
            if not reason and size > self._most_bytes:
                reason = f"{size} bytes, more than {self._most_bytes}"
            gathering.add(name, (offset, size, date), reason)
        return gathering.finish()

    def stamp(self, numbers: np.ndarray) -> str:
        """Another text when a member's content may differ."""
        return f"{numbers[2]} {numbers[1]}"

    def tells_changes(self, numbers: np.ndarray) -> bool:
        """Whether `stamp` may be trusted, of all members: where they have one date, it was set, and says nothing."""
        return bool(np.ptp(numbers[:, 2])) if len(numbers) else True

    def size(self, numbers: np.ndarray) -> np.ndarray:
        """Bytes of the members whose numbers are the rows of an array."""
        return numbers[..., 1]

    def load(self, numbers: np.ndarray, check: Callable[[bytes], None]) -> bytes:
        """The content of a member; `check` sees its first bytes and may raise.

        From any thread. Raises RejectedError.
        """
        offset, size, _ = numbers.tolist()
        start = os.pread(self._file.fileno(), min(size, SIGNATURE_BYTES), offset)
        check(start)
        content = start + os.pread(self._file.fileno(), size - len(start), offset + len(start))
        if len(content) != size:
            raise RejectedError("cut short")
        return content


def begins_as_tar(block: bytes) -> bool:
    """Whether 512 bytes are a header, which no file of another kind happens to be: they hold their own sum."""
    return len(block) >= BLOCK and any(block[:BLOCK]) and _sum_is_right(block[:BLOCK])


def _walk(file: BinaryIO) -> Iterator[tuple[bytes, str, int, int, int]]:
    """(name, reason, offset, bytes, date) of all members but folders. Raises DamagedError."""
    length = os.fstat(file.fileno()).st_size
    at, long_name, general, special = 0, b"", dict[bytes, bytes](), dict[bytes, bytes]()
    while (header := _header(file, at)) is not None:
        at = _after_map(file, at) if header.kind == _SPARSE and header.goes_on else at + BLOCK
        about_next = header.kind in _LONG_NAME + _LONG_LINK + _PAX + _GLOBAL_PAX
        facts = {} if about_next else general | special
        size = 0 if header.kind in _WITHOUT_DATA else _pax_size(facts, header.size)
        if at + size > length:
            raise DamagedError(f"cut short: {length} bytes, but a member ends at byte {at + size}")
        if about_next:
            if size > _MOST_HEADER:
                raise DamagedError(f"a header of {size} bytes, more than {_MOST_HEADER}")
            body = os.pread(file.fileno(), size, at)
            if header.kind == _LONG_NAME:
                long_name = body.split(b"\0", 1)[0]
            elif header.kind == _GLOBAL_PAX:
                general |= _pax(body)
            elif header.kind in _PAX:
                special |= _pax(body)
        else:
            name = facts.get(_SPARSE_NAME) or facts.get(b"path") or long_name or header.name
            if header.kind not in _FOLDER and not (header.kind in _REGULAR and name.endswith(b"/")):
                yield name, _reason(header.kind, facts), at, size, header.date
            long_name, special = b"", {}
        at += -(-size // BLOCK) * BLOCK
    _check_end(file, at, length)


def _after_map(file: BinaryIO, at: int) -> int:
    """Where the content begins of a sparse file whose map goes on behind its header at `at`."""
    at += BLOCK
    while os.pread(file.fileno(), BLOCK, at)[504:505] not in (b"", b"\0"):
        at += BLOCK
    return at + BLOCK


def _reason(kind: bytes, facts: dict[bytes, bytes]) -> str:
    if kind == _SPARSE or _SPARSE_KEYS in facts:
        return "a sparse file"
    if kind in _REGULAR:
        return ""
    return f"{_KINDS.get(kind, f'of kind {kind!r}')}, not a regular file"


def _header(file: BinaryIO, at: int) -> Header | None:
    """The header at `at`; None where a block of zeros ends the archive."""
    block = os.pread(file.fileno(), BLOCK, at)
    if len(block) < BLOCK:
        raise DamagedError("cut short: the zeros at its end are missing")
    if block.count(0) == BLOCK:
        return None
    if not _sum_is_right(block):
        raise DamagedError(f"its header at byte {at} is damaged" if at else "it does not begin as a tar does")
    name = block[:100].split(b"\0", 1)[0]
    prefix = block[345:500].split(b"\0", 1)[0] if block[257:263] == b"ustar\0" else b""
    size, date = _number(block[124:136]), _number(block[136:148])
    if size is None or not 0 <= size < 1 << 62:
        raise DamagedError(f"its header at byte {at} has no valid size")
    date = date if date is not None and abs(date) < 1 << 62 else 0
    return Header(prefix + b"/" + name if prefix else name, size, date, block[156:157], block[482] != 0)


def _sum_is_right(block: bytes) -> bool:
    promised = _number(block[148:156])
    plain = sum(block) - sum(block[148:156]) + 8 * ord(" ")
    if promised == plain:
        return True
    high = sum(byte > 127 for byte in block) - sum(byte > 127 for byte in block[148:156])
    return promised == plain - 256 * high  # as some old systems count, whose characters have a sign


def _number(field: bytes) -> int | None:
    """Octal digits, or binary with the highest bit set; None if it is neither."""
    if field[0] in (0x80, 0xFF):
        return int.from_bytes(field[1:], "big") - (256 ** (len(field) - 1) if field[0] == 0xFF else 0)
    digits = field.split(b"\0", 1)[0].strip(b" ")
    if digits.translate(None, b"01234567"):
        return None
    return int(digits or b"0", 8)


def _pax(body: bytes) -> dict[bytes, bytes]:
    """Records of "LENGTH KEY=VALUE\\n"; those that matter, so that there are few however many come."""
    found, at = dict[bytes, bytes](), 0
    while at < len(body):
        digits, space, _ = body[at : at + 21].partition(b" ")
        end = at + int(digits) if space and digits.isdigit() else 0
        record = body[at + len(digits) + 1 : end]
        if end <= at or end > len(body) or not record.endswith(b"\n") or b"=" not in record:
            raise DamagedError("a pax header is damaged")
        key, _, value = record[:-1].partition(b"=")
        if key in (b"path", b"size", _SPARSE_NAME):
            found[key] = value
        if key.startswith(_SPARSE_KEYS):
            found[_SPARSE_KEYS] = b"yes"
        at = end
    return found


def _pax_size(facts: dict[bytes, bytes], size: int) -> int:
    if (text := facts.get(b"size")) is None:
        return size
    if not text.isdigit() or len(text) > 18:
        raise DamagedError("a pax header has no valid size")
    return int(text)


def _check_end(file: BinaryIO, at: int, length: int) -> None:
    """Raises DamagedError if another archive follows, as when they were joined with cat: tar would not read it, and
    nobody would notice that images are missing.
    """
    for start in range(at, min(length, at + _MOST_PADDING), BLOCK):
        if begins_as_tar(block := os.pread(file.fileno(), BLOCK, start)):
            raise DamagedError(f"another archive follows its end, at byte {start}; join them with 'tar -A'")
        if block.count(0) != len(block):
            return  # rubbish in the padding
