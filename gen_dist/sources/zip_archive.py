"""Zip archives, read in place: the directory at the end once, then each member where it lies.

Follows PKWARE's APPNOTE.TXT (6.3.10), with Zip64. Written for archives from anywhere: nothing is believed that the
file's length contradicts, and a member is inflated no further than the directory says.
"""

import bz2
import os
import stat
import struct
import zlib
from array import array
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

import numpy as np

from gen_dist.sources.members import MOST_MEMBERS, DamagedError, Gathering, Members, read_at
from gen_dist.sources.signature import SIGNATURE_BYTES
from gen_dist.sources.source import RejectedError

_END = struct.Struct("<4s4H2LH")  # of the central directory
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_LONGEST_COMMENT = (1 << 16) - 1
_MOST_DIRECTORY = 1 << 30  # bytes; ten million members with names of sixty
_ENCRYPTED = 1 | 1 << 6 | 1 << 13
_UTF8_NAME, _ZIP64 = 0x7075, 0x0001  # extra fields
_MOST_TABLES = 1024  # bytes; deflate's Huffman tables, which stand before the first byte, take a third of it
_UNIX = (3, 19)  # systems whose attributes hold a file's kind
STORED, _DEFLATED, _BZIP2 = 0, 8, 12
_METHODS = {9: "deflate64", 14: "LZMA", 93: "Zstandard", 95: "XZ", 99: "AES"}
_KINDS = {stat.S_IFLNK: "a link", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
OVERLAPS = "its data overlap another member's"


class Entry(NamedTuple):
    """A line of the directory; `offset` is that of the local header, in the file."""

    name: bytes
    reason: str  # why it cannot be read, "" if it can
    folder: bool
    offset: int
    stored: int  # bytes
    size: int  # bytes, inflated
    crc: int
    method: int


class ZipReader:
    """The members of a zip that need at most `most_bytes` each, stored and inflated. Owns no file."""

    def __init__(self, file: BinaryIO, most_bytes: int) -> None:
        self._file, self._most_bytes = file, most_bytes

    def members(self) -> Members:
        """Numbers: offset of the local header, where the member must have ended, stored and inflated bytes, CRC-32,
        method. Raises DamagedError.
        """
        names, reasons, table, start = self._directory()
        ends, overlap = _ends(table, [len(name) for name in names], start)
        gathering = Gathering(6)
        for i in range(len(names)):
            name, names[i] = names[i], b""  # a million of them need not be held twice
            offset, stored, size, crc, method = table[i].tolist()
            reason = reasons.get(i, "")
            if not reason and max(stored, size) > self._most_bytes:
                reason = f"{max(stored, size)} bytes, more than {self._most_bytes}"
            if not reason and overlap[i]:
                reason = OVERLAPS
            if not name.endswith(b"/"):
                gathering.add(name, (offset, int(ends[i]), stored, size, crc, method), reason)
        return gathering.finish()

    def _directory(self) -> tuple[list[bytes], dict[int, str], np.ndarray, int]:
        """(names, those of folders with "/" at their end; reasons of the unreadable; int64 n x 5; where it starts)."""
        names: list[bytes] = []
        reasons: dict[int, str] = {}
        numbers = array("q")
        start, length, count = _find_directory(self._file)
        for entry in _entries(os.pread(self._file.fileno(), length, start)):
            if entry.offset + _LOCAL.size + len(entry.name) + entry.stored > start:
                raise DamagedError("a member reaches beyond the end: it was cut short or changed")
            if entry.reason:
                reasons[len(names)] = entry.reason
            names.append(entry.name if not entry.folder or entry.name.endswith(b"/") else entry.name + b"/")
            numbers.extend((entry.offset, entry.stored, min(entry.size, 1 << 62), entry.crc, entry.method))
            if len(names) > MOST_MEMBERS:
                raise DamagedError(f"more than {MOST_MEMBERS} members")
        if (len(names) - count) % (1 << 16):  # those with more, but without Zip64, count on from zero
            raise DamagedError(f"{count} members promised, {len(names)} found: it was cut short or changed")
        return names, reasons, np.frombuffer(numbers, np.int64).reshape(-1, 5), start

    def stamp(self, numbers: np.ndarray) -> str:
        """Another text when a member's content differs."""
        return f"{int(numbers[4]):08x} {numbers[3]}"

    def tells_changes(self, numbers: np.ndarray) -> bool:
        """Always: a member's stamp holds its checksum."""
        return True

    def size(self, numbers: np.ndarray) -> np.ndarray:
        """Bytes of the members whose numbers are the rows of an array."""
        return numbers[..., 3]

    def load(self, numbers: np.ndarray, check: Callable[[bytes], None]) -> bytes:
        """The content of a member; `check` sees its first bytes, before the rest is inflated, and may raise.

        From any thread. Raises RejectedError.
        """
        _, _, stored, size, crc, method = numbers.tolist()
        data = read_at(self._file, stored, self.data_offset(numbers))
        if len(data) < stored:
            raise RejectedError("cut short")
        content = _expand(data, size, method, check)
        if zlib.crc32(content) != crc:
            raise RejectedError("damaged: its checksum is wrong")
        return content

    def begin(self, numbers: np.ndarray, most: int) -> bytes:
        """The first `most` bytes of a member, or less, unchecked. Raises RejectedError."""
        _, _, stored, _, _, method = numbers.tolist()
        stored = min(stored, most + _MOST_TABLES) if method != _BZIP2 else stored
        return _begin(read_at(self._file, stored, self.data_offset(numbers)), most, method)

    def stored_plainly(self, numbers: np.ndarray) -> bool:
        """Whether a member's bytes in the file are its content."""
        return int(numbers[5]) == STORED

    def data_offset(self, numbers: np.ndarray) -> int:
        """Where a member's bytes begin in the file. Raises RejectedError."""
        offset, end, stored, _, _, method = numbers.tolist()
        local = os.pread(self._file.fileno(), _LOCAL.size, offset)
        if len(local) < _LOCAL.size or not local.startswith(b"PK\3\4"):
            raise RejectedError("damaged: no member where the archive's directory says")
        _, _, flags, found, *_, name_length, extra_length = _LOCAL.unpack(local)
        start = offset + _LOCAL.size + name_length + extra_length
        if found != method or flags & _ENCRYPTED or start + stored > end:
            raise RejectedError("damaged: its own header and the archive's directory differ")
        return int(start)


def _ends(table: np.ndarray, name_lengths: list[int], start: int) -> tuple[np.ndarray, np.ndarray]:
    """(where each member must have ended: where the next begins; which ones overlap another, as those of bombs do)."""
    offsets = table[:, 0]
    order = np.argsort(offsets, kind="stable")
    ends = np.full(len(table), start, np.int64)
    ends[order[:-1]] = offsets[order[1:]]
    least = (offsets + _LOCAL.size + np.array(name_lengths, np.int64) + table[:, 1])[order]
    furthest = np.maximum.accumulate(least)
    overlap = np.zeros(len(table), bool)
    overlap[order] = least > ends[order]
    overlap[order[1:]] |= furthest[:-1] > offsets[order[1:]]
    return ends, overlap


def _find_directory(file: BinaryIO) -> tuple[int, int, int]:
    """(offset in the file, bytes, members)."""
    length = os.fstat(file.fileno()).st_size
    tail_start = max(0, length - _END.size - _LONGEST_COMMENT)
    tail = os.pread(file.fileno(), length - tail_start, tail_start)
    found = tail.rfind(b"PK\5\6", 0, max(0, len(tail) - _END.size + 4))
    if found < 0:
        raise DamagedError("its directory, which is the end of a zip, is missing: it was cut short")
    _, disk, first_disk, here, count, size, offset, _ = _END.unpack_from(tail, found)
    end = tail_start + found
    if locator := _zip64(file, end):
        end, disk, first_disk, here, count, size, offset = locator
    if disk or first_disk or here != count:
        raise DamagedError("one part of a zip in several; join them with 'zip -s 0'")
    if offset + size != end:  # two zips joined have one directory for the second half
        raise DamagedError("its directory is not where it should be: it was cut short, or something was put before it")
    if size > _MOST_DIRECTORY:
        raise DamagedError(f"a directory of {size} bytes, more than {_MOST_DIRECTORY}")
    return offset, size, count


def _zip64(file: BinaryIO, end: int) -> tuple[int, ...] | None:
    """(where the Zip64 end of the directory stands, then as in the plain one), if there is one."""
    before = _LOCATOR64.size + _END64.size
    if end < before:
        return None
    data = os.pread(file.fileno(), before, end - before)
    if len(data) < before or data[_END64.size :][:4] != b"PK\6\7":
        return None
    _, _, offset, disks = _LOCATOR64.unpack_from(data, _END64.size)
    at = end - before
    if not data.startswith(b"PK\6\6"):  # something follows it: then it is where the locator says
        at, data = offset, os.pread(file.fileno(), _END64.size, offset) if offset < end else b""
        if len(data) < _END64.size or not data.startswith(b"PK\6\6"):
            raise DamagedError("its Zip64 directory is missing: it was cut short or changed")
    _, _, _, _, disk, first_disk, here, count, size, offset = _END64.unpack_from(data)
    return at, disk or disks > 1, first_disk, here, count, size, offset


def _entries(directory: bytes) -> Iterator[Entry]:
    at = 0
    while at < len(directory):
        if directory.startswith(b"PK\5\5", at):  # a signature of it all
            return
        if len(directory) - at < _ENTRY.size or not directory.startswith(b"PK\1\2", at):
            raise DamagedError("its directory is damaged")
        (_, made_by, _, flags, method, _, _, crc, stored, size, *lengths, _, _, attributes, offset) = (
            _ENTRY.unpack_from(directory, at)
        )
        extra_at = at + _ENTRY.size + lengths[0]
        name, extra = directory[at + _ENTRY.size : extra_at], directory[extra_at : extra_at + lengths[1]]
        at = extra_at + lengths[1] + lengths[2]
        if at > len(directory):
            raise DamagedError("its directory is damaged")
        if extra:
            name, size, stored, offset = _with_extra(extra, name, size, stored, offset)
        kind = stat.S_IFMT(attributes >> 16) if made_by >> 8 in _UNIX else 0
        folder = kind == stat.S_IFDIR or name.endswith(b"/")
        yield Entry(name, _reason(kind, flags, method), folder, offset, stored, size, crc, method)


def _reason(kind: int, flags: int, method: int) -> str:
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return f"{_KINDS.get(kind, 'a device')}, not a regular file"
    if flags & _ENCRYPTED:
        return "encrypted"
    if method not in (STORED, _DEFLATED, _BZIP2):
        return f"compressed with {_METHODS.get(method, f'method {method}')}; deflate, bzip2 and none are read"
    return ""


def _with_extra(extra: bytes, name: bytes, size: int, stored: int, offset: int) -> tuple[bytes, int, int, int]:
    """The values that did not fit: 64-bit numbers, and a name that the archiver's own character set lacks."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        body = extra[at + 4 : at + 4 + length]
        at += 4 + length
        if kind == _ZIP64:
            values = [size, stored, offset]
            for i in (i for i, value in enumerate(values) if value == 0xFFFFFFFF):
                if len(body) < 8:
                    raise DamagedError("its directory is damaged: a number is missing")
                values[i], body = int.from_bytes(body[:8], "little"), body[8:]
            size, stored, offset = values
        elif kind == _UTF8_NAME and body[:5] == b"\1" + zlib.crc32(name).to_bytes(4, "little"):
            name = body[5:]
    return name, size, stored, offset


def _expand(data: bytes, size: int, method: int, check: Callable[[bytes], None]) -> bytes:
    """At most one byte more than `size` is ever inflated."""
    if method == STORED:
        check(data[:SIGNATURE_BYTES])
        content, whole = data, True
    else:
        check(_begin(data, SIGNATURE_BYTES, method))
        content, whole = _inflate(data, size + 1, method)
    if len(content) != size or not whole:
        raise RejectedError("damaged: cut short, or longer than the archive's directory says")
    return content


def _begin(data: bytes, most: int, method: int) -> bytes:
    """The first `most` bytes of a member, or less."""
    if method == STORED:
        return data[:most]
    return _inflate(data[: most + _MOST_TABLES] if method == _DEFLATED else data, most, method)[0]


def _inflate(data: bytes, most: int, method: int) -> tuple[bytes, bool]:
    """(at most so many bytes, whether that is all)."""
    expander = zlib.decompressobj(-zlib.MAX_WBITS) if method == _DEFLATED else bz2.BZ2Decompressor()
    try:
        return expander.decompress(data, most), expander.eof
    except (zlib.error, OSError) as error:
        raise RejectedError(f"damaged ({error})") from None
