"""Zips and tars give what the unpacked folder gives, and nothing that a hostile one wants."""

import bz2
import contextlib
import gzip
import io
import lzma
import os
import random
import stat
import struct
import subprocess
import tarfile
import tracemalloc
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gen_dist.errors import UserError
from gen_dist.sources import inflating, members, zip_archive
from gen_dist.sources.archive import ArchiveSource, open_archive
from gen_dist.sources.folder import Folder
from gen_dist.sources.members import TWICE, common_folder
from gen_dist.sources.source import RejectedError
from tests.mutations import mutated

MOST = 1 << 20
PNG = b"\x89PNG\r\n\x1a\n"
TREE = {
    "b/2.png": PNG + b"two" * 500,
    "b/10.png": PNG + b"ten",
    "a/x/1.jpg": b"\xff\xd8\xff one",
    "a-b/1": b"BM" + bytes(3000),
    "ä/é.png": PNG,
    "notes.txt": b"no image",
    "empty": b"",
    ".hidden": PNG,
    "b/.DS_Store": b"x",
    ".git/config.png": PNG,
}
SEEN = sorted((name for name in TREE if "." not in (name[0], name.split("/")[-1][0])), key=os.fsencode)


def folder_of(root: Path) -> Path:
    for name, content in TREE.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    (root / os.fsdecode(b"b/\xff\xfe.png")).write_bytes(PNG)
    return root


def outcome(load) -> bytes | str:
    try:
        return load()
    except RejectedError as error:
        return str(error)


def content_of(source: ArchiveSource) -> list[tuple]:
    return [(item.name, item.class_name, item.block, outcome(item.load)) for item in source.items()]


def zip_of(path: Path, members: dict, **options) -> Path:
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def tar_bytes(*members: tarfile.TarInfo | tuple[str, bytes], format=tarfile.PAX_FORMAT) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w", format=format) as archive:
        for member in members:
            info, content = (
                (member, b"") if isinstance(member, tarfile.TarInfo) else (tarfile.TarInfo(member[0]), member[1])
            )
            if content:
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return held.getvalue()


def put(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


MAKERS = {
    "zip": ["zip", "-qr"],
    "stored.zip": ["zip", "-qr0"],
    "bz2.zip": ["zip", "-qrZ", "bzip2"],
    "tar": ["tar", "-cf"],
    "ustar.tar": ["tar", "--format=ustar", "-cf"],
    "v7.tar": ["tar", "--format=v7", "-cf"],
    "pax.tar": ["tar", "--format=pax", "-cf"],
    "tar.gz": ["tar", "-czf"],
    "tar.bz2": ["tar", "-cjf"],
    "tar.xz": ["tar", "-cJf"],
}


@pytest.mark.parametrize("inside", [".", "faces", "faces/*"])
@pytest.mark.parametrize("kind", MAKERS)
def test_an_archive_gives_what_the_folder_gives(tmp_path: Path, kind: str, inside: str) -> None:
    folder = folder_of(tmp_path / "faces")
    archive = tmp_path / f"archive.{kind}"
    where = folder if inside == "." else tmp_path if inside == "faces" else folder
    what = [inside] if inside != "faces/*" else sorted(os.listdir(folder))
    made = subprocess.run([*MAKERS[kind], str(archive), *what], cwd=where, capture_output=True, text=True)
    if made.returncode and kind == "bz2.zip" and "not supported" in made.stderr + made.stdout:
        pytest.skip("zip without bzip2")
    assert made.returncode == 0, made.stderr
    listing = Folder(folder, MOST)
    source = open_archive(archive, MOST)
    found = content_of(source)
    assert found == content_of(listing)
    assert source.rejected == []
    assert source.blocks() == listing.blocks()
    assert source.total == listing.total
    assert source.total_bytes == listing.total_bytes
    assert content_of(source) == found  # again
    source.close()


@pytest.mark.parametrize(
    ("names", "common"),
    [
        ([], ""),
        (["a"], ""),
        (["a/b"], "a/"),
        (["a/b", "a/b"], "a/"),
        (["a/b", "a/c"], "a/"),
        (["a/b/1", "a/b/2"], "a/b/"),
        (["a/b/1", "a/c/2"], "a/"),
        (["a/b/1", "a/2"], "a/"),
        (["a/1", "b/1"], ""),
        (["a/1", "ab/1"], ""),
        (["a/1", "a"], ""),
        (["a/bc/1", "a/b/1"], "a/"),
    ],
)
def test_folders_that_hold_everything(names: list[str], common: str) -> None:
    assert common_folder([name.encode() for name in names]) == common.encode()


def test_what_does_not_count_at_the_top(tmp_path: Path) -> None:
    members = {
        "__MACOSX/faces/._1.png": b"x",
        ".DS_Store": b"x",
        "other/": b"",
        "./faces//a/1.png": PNG,
        "faces/b/2": PNG,
    }
    source = open_archive(zip_of(tmp_path / "a.zip", members), MOST)
    assert [(item.name, item.class_name) for item in source.items()] == [("a/1.png", "a"), ("b/2", "b")]
    source.close()


BAD_NAMES = [
    ("../1.png", "leads out of its folder"),
    ("a/../../1.png", "leads out of its folder"),
    ("a/..", "leads out of its folder"),
    ("/etc/1.png", "an absolute name"),
    ("C:/1.png", "an absolute name"),
    ("c:1.png", "an absolute name"),
    ("a\\1.png", "a NUL or a backslash"),
    ("..\\1.png", "a NUL or a backslash"),
    ("n" * 5000, "a name of 5000 bytes, more than 4096"),
]


@pytest.mark.parametrize(("name", "reason"), BAD_NAMES)
@pytest.mark.parametrize("kind", ["zip", "tar", "gnu"])
def test_bad_names_are_rejected(tmp_path: Path, kind: str, name: str, reason: str) -> None:
    if kind == "zip":
        path = zip_of(tmp_path / "a", {name: PNG, "good.png": PNG})
    else:
        format = tarfile.GNU_FORMAT if kind == "gnu" else tarfile.PAX_FORMAT
        path = put(tmp_path / "a", tar_bytes((name, PNG), ("good.png", PNG), format=format))
    source = open_archive(path, MOST)
    assert [item.name for item in source.items()] == ["good.png"]
    assert source.rejected[0][0] == name[:200]
    assert reason in source.rejected[0][1]
    source.close()


def test_names_with_nul(tmp_path: Path) -> None:
    data = zip_of(tmp_path / "a", {"a_b.png": PNG, "good.png": PNG}).read_bytes().replace(b"a_b", b"a\0b")
    source = open_archive(put(tmp_path / "b", data), MOST)
    assert source.rejected == [("a\0b.png", "a name with a NUL or a backslash in it")]
    source.close()


def zip_with_kind(path: Path, kind: int) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("bad.png")
        info.create_system, info.external_attr = 3, (kind | 0o644) << 16
        archive.writestr(info, b"good.png")
        archive.writestr("good.png", PNG)
    return path


def changed_entry(path: Path, offset: int, value: bytes) -> Path:
    """Bytes of the first entry in the directory changed."""
    data = bytearray(zip_of(path, {"bad.png": PNG * 9, "good.png": PNG}).read_bytes())
    at = data.index(b"PK\1\2") + offset
    data[at : at + len(value)] = value
    return put(path, data)


def info(kind: bytes, **facts) -> tarfile.TarInfo:
    member = tarfile.TarInfo("bad.png")
    member.type = kind
    for key, value in facts.items():
        setattr(member, key, value)
    return member


def tar_with(path: Path, *members) -> Path:
    return put(path, tar_bytes(*members, ("good.png", PNG)))


REJECTED = {
    "zip link": (lambda path: zip_with_kind(path, stat.S_IFLNK), "a link, not a regular file"),
    "zip pipe": (lambda path: zip_with_kind(path, stat.S_IFIFO), "a pipe, not a regular file"),
    "zip device": (lambda path: zip_with_kind(path, stat.S_IFBLK), "a device, not a regular file"),
    "zip encrypted": (lambda path: changed_entry(path, 8, b"\1"), "encrypted"),
    "zip method": (lambda path: changed_entry(path, 10, b"\x5d\0"), "compressed with Zstandard; deflate"),
    "zip other method": (lambda path: changed_entry(path, 10, b"\x63\7"), "compressed with method 1891"),
    "zip long": (lambda path: zip_of(path, {"bad.png": bytes(MOST + 1), "good.png": PNG}), "1048577 bytes, more than"),
    "zip announced": (lambda path: changed_entry(path, 24, b"\xfe\xff\xff\xff"), "4294967294 bytes, more than"),
    "tar link": (lambda path: tar_with(path, info(tarfile.SYMTYPE, linkname="good.png")), "a link, not a regular"),
    "tar hard link": (lambda path: tar_with(path, info(tarfile.LNKTYPE, linkname="good.png")), "a hard link"),
    "tar device": (lambda path: tar_with(path, info(tarfile.CHRTYPE)), "a device, not a regular file"),
    "tar pipe": (lambda path: tar_with(path, info(tarfile.FIFOTYPE)), "a pipe, not a regular file"),
    "tar other": (lambda path: tar_with(path, info(b"Q")), "of kind b'Q', not a regular file"),
    "tar sparse": (lambda path: tar_with(path, info(tarfile.GNUTYPE_SPARSE)), "a sparse file"),
    "tar pax sparse": (
        lambda path: tar_with(path, info(b"0", pax_headers={"GNU.sparse.major": "1", "GNU.sparse.name": "bad.png"})),
        "a sparse file",
    ),
    "tar long": (lambda path: tar_with(path, ("bad.png", bytes(MOST + 1))), "1048577 bytes, more than"),
}


@pytest.mark.parametrize("case", REJECTED)
def test_members_that_are_rejected(tmp_path: Path, case: str) -> None:
    make, reason = REJECTED[case]
    source = open_archive(make(tmp_path / "archive"), MOST)
    assert [item.name for item in source.items()] == ["good.png"]
    (rejected,) = source.rejected
    assert rejected[0] == "bad.png"
    assert rejected[1].startswith(reason)
    source.close()


def test_a_real_sparse_file(tmp_path: Path) -> None:
    with open(tmp_path / "sparse.png", "wb") as file:
        for place in range(1, 60, 2):  # more holes than a header's map holds
            file.seek(place << 16)
            file.write(PNG)
    (tmp_path / "z.png").write_bytes(PNG)
    for format in ("gnu", "pax"):
        path = tmp_path / "s.tar"
        command = ["tar", f"--format={format}", "--sparse", "-cf", str(path), "sparse.png", "z.png"]
        subprocess.run(command, cwd=tmp_path, check=True)
        source = open_archive(path, 1 << 30)
        assert [item.name for item in source.items()] == ["z.png"]
        assert source.rejected == [("sparse.png", "a sparse file")]
        source.close()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_of_one_name_the_last_is_read(tmp_path: Path, kind: str) -> None:
    path, contents = tmp_path / "archive", [PNG + b"1", PNG + b"2", PNG + b"3"]
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in zip(["a/1", "a/1", "./a//1"], contents, strict=True):
                archive.writestr(name, content)
    else:
        put(path, tar_bytes(*(("a/1", content) for content in contents)))
    source = open_archive(path, MOST)
    assert [(item.name, item.load()) for item in source.items()] == [("1", contents[2])]
    assert source.rejected == [("1", TWICE)] * 2
    source.close()


LOAD_DAMAGE = {
    "content": (lambda data: data.replace(b"pixels", b"pixelz"), "damaged: its checksum is wrong"),
    "encrypted after all": (lambda data: data[:6] + b"\1" + data[7:], "its own header and the archive's directory"),
    "local name longer": (lambda data: data[:26] + b"\xff\0" + data[28:], "its own header and the archive's directory"),
    "local method": (lambda data: data[:8] + b"\x08" + data[9:], "its own header and the archive's directory"),
}


@pytest.mark.parametrize("case", LOAD_DAMAGE)
def test_damage_to_a_stored_member(tmp_path: Path, case: str) -> None:
    change, reason = LOAD_DAMAGE[case]
    data = zip_of(tmp_path / "a", {"1.png": PNG + b"pixels", "2.png": PNG}).read_bytes()
    source = open_archive(put(tmp_path / "b", change(data)), MOST)
    first, second = source.items()
    with pytest.raises(RejectedError, match=reason):
        first.load()
    assert second.load() == PNG
    source.close()


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
@pytest.mark.parametrize("content", [PNG + b"x" * 60_000, PNG])
@pytest.mark.parametrize("off", [-1, 1])
def test_inflated_to_another_length(tmp_path: Path, method: int, content: bytes, off: int) -> None:
    data = bytearray(zip_of(tmp_path / "a", {"1.png": content}, compression=method).read_bytes())
    struct.pack_into("<L", data, data.index(b"PK\1\2") + 24, len(content) + off)
    source = open_archive(put(tmp_path / "b", data), MOST)
    with pytest.raises(RejectedError, match="cut short, or longer than"):
        next(source.items()).load()
    source.close()


@pytest.mark.parametrize("announced", [100, MOST])
def test_a_bomb_costs_nothing(tmp_path: Path, announced: int) -> None:
    """A gigabyte of zeros behind a PNG's signature, announced as less."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    start = squeeze.compress(PNG) + squeeze.flush(zlib.Z_FULL_FLUSH)
    zeros = squeeze.compress(bytes(1 << 24)) + squeeze.flush(zlib.Z_FULL_FLUSH)  # may be repeated
    bomb = start + 64 * zeros + squeeze.flush()
    data = bytearray(zip_of(tmp_path / "a", {"1.png": bomb}).read_bytes())
    at = data.index(b"PK\1\2")
    data[8:10] = data[at + 10 : at + 12] = b"\x08\0"
    struct.pack_into("<L", data, at + 24, announced)
    source = open_archive(put(tmp_path / "b", data), 2 * MOST)
    tracemalloc.start()
    with pytest.raises(RejectedError, match="cut short, or longer"):
        next(source.items()).load()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * (announced + len(bomb))
    source.close()


def overlapping(count: int, quoted: bool) -> bytes:
    """The two ways of a zip bomb: all members share one content, or each quotes the header of the next."""
    kernel, parts, entries = PNG + bytes(100), [], []
    names = [b"%03d.png" % i for i in range(count)]
    headers = [struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 0, 0, 0, 0, len(name), 0) + name for name in names]
    at = 0
    for name, header in zip(names, headers, strict=True):
        entries.append((name, at))
        if quoted:
            parts.append(header)
            at += len(header)
    if not quoted:
        parts.append(headers[0])
    whole = b"".join(parts) + kernel
    directory = b""
    for name, offset in entries:
        stored = len(whole) - offset - 30 - len(name)
        content = whole[len(whole) - stored :]
        fields = (b"PK\1\2", 20, 20, 0, 0, 0, 0, zlib.crc32(content), stored, stored, len(name), 0, 0, 0, 0, 0, offset)
        directory += struct.pack("<4s6H3L5H2L", *fields) + name
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(directory), len(whole), 0)
    return whole + directory + end


@pytest.mark.parametrize("quoted", [False, True])
def test_members_that_overlap_are_rejected(tmp_path: Path, quoted: bool) -> None:
    with zipfile.ZipFile(io.BytesIO(overlapping(5, quoted))) as archive:
        assert len(archive.namelist()) == 5  # a zip to others
    source = open_archive(put(tmp_path / "bomb", overlapping(5, quoted)), MOST)
    assert source.total == 0
    assert len(source.rejected) == 5
    assert {why for _, why in source.rejected} == {"its data overlap another member's"}
    source.close()
    source = open_archive(put(tmp_path / "bomb", overlapping(1, quoted)), MOST)
    assert source.total == 1
    source.close()


GOOD_ZIP_MEMBERS = {"a/1.png": PNG * 20, "b/2.png": PNG * 30}


def good_zip() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, content in GOOD_ZIP_MEMBERS.items():
            archive.writestr(name, content)
    return held.getvalue()


def good_tar() -> bytes:
    return tar_bytes(*GOOD_ZIP_MEMBERS.items())


def end_of(data: bytes, offset: int, value: bytes) -> bytes:
    at = data.rindex(b"PK\5\6") + offset
    return data[:at] + value + data[at + len(value) :]


def resummed(data: bytes, at: int, value: bytes) -> bytes:
    """A tar with other bytes in its first header, whose checksum is right again."""
    block = bytearray(data[:512])
    block[at : at + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + data[512:]


def pax_record(value: bytes) -> bytes:
    member = tarfile.TarInfo("x")
    member.type, member.size = b"x", len(value)
    return member.tobuf() + value.ljust(512, b"\0") + good_tar()


REFUSED = {
    "empty": (lambda: b"", "neither a zip nor a tar"),
    "text": (lambda: b"no archive" * 100, "neither a zip nor a tar"),
    "zip cut": (lambda: good_zip()[:-30], "the end of a zip, is missing: it was cut short"),
    "zip cut long": (lambda: good_zip()[:50], "the end of a zip, is missing: it was cut short"),
    "zip within cut": (lambda: good_zip()[:40] + good_zip()[60:], "its directory is not where it should be"),
    "zip joined": (lambda: good_zip() * 2, "its directory is not where it should be"),
    "zip parts": (lambda: end_of(good_zip(), 4, b"\1"), "one part of a zip in several"),
    "zip count": (lambda: end_of(good_zip(), 8, b"\3\0\3\0"), "3 members promised, 2 found"),
    "zip entry": (lambda: good_zip().replace(b"PK\1\2", b"PK\1\3"), "its directory is damaged"),
    "zip lengths": (
        lambda: good_zip().replace(b"b/2.png", b"b/2.pn\0").replace(b"\7\0\0\0\0\0\0", b"\7\xff\0\0\0\0\0"),
        "damaged|beyond",
    ),
    "zip beyond": (
        lambda: good_zip().replace(b"\xf0\0\0\0\xf0\0\0\0\7", b"\xf0\xff\0\0\xf0\0\0\0\7"),
        "a member reaches beyond the end",
    ),
    "tar cut": (lambda: good_tar()[:600], "cut short: 600 bytes, but a member ends at byte 672"),
    "tar without end": (lambda: good_tar()[: 4 * 512], "cut short: the zeros at its end"),
    "tar header": (lambda: good_tar()[:1024] + b"x" + good_tar()[1025:], "its header at byte 1024 is damaged"),
    "tar first header": (lambda: b"x" + good_tar()[1:], "neither a zip nor a tar"),
    "tar size": (lambda: resummed(good_tar(), 124, b"77777777777"), "cut short"),
    "tar bad size": (lambda: resummed(good_tar(), 124, b"12x"), "its header at byte 0 has no valid size"),
    "tar negative size": (lambda: resummed(good_tar(), 124, b"\xff" * 12), "has no valid size"),
    "tar absurd size": (lambda: resummed(good_tar(), 124, b"\x80" + b"\x7f" * 11), "has no valid size"),
    "tar joined": (lambda: good_tar() * 2, "another archive follows its end, at byte 10240; join them with 'tar -A'"),
    "tar long header": (lambda: resummed(tar_bytes(("l", bytes(2 << 20))), 156, b"L"), "a header of 2097152 bytes"),
    "pax length": (lambda: pax_record(b"99 path=a\n"), "a pax header is damaged"),
    "pax zero": (lambda: pax_record(b"0 path=a\n"), "a pax header is damaged"),
    "pax huge": (lambda: pax_record(b"9" * 100), "a pax header is damaged"),
    "pax no line": (lambda: pax_record(b"9 path=aa"), "a pax header is damaged"),
    "pax size": (lambda: pax_record(b"11 size=-5\n"), "a pax header has no valid size"),
    "pax long size": (lambda: pax_record(b"29 size=999999999999999999999\n"), "no valid size|damaged"),
    "pax sizes": (lambda: pax_record(b"27 size=888888888888888888\n"), "cut short|damaged"),
    "gz cut": (lambda: gzip.compress(good_tar())[:-4], "cut short"),
    "gz checksum": (lambda: gzip.compress(good_tar())[:-8] + bytes(8), "damaged"),
    "gz damaged": (lambda: gzip.compress(good_tar())[:40] + b"\xff" * 60, "damaged|cut short"),
    "gz text": (lambda: gzip.compress(b"x" * 1000), "it does not begin as a tar does"),
    "bz2 cut": (lambda: bz2.compress(good_tar())[:-4], "cut short"),
    "bz2 damaged": (lambda: bz2.compress(good_tar())[:40] + bytes(60), "damaged"),
    "xz cut": (lambda: lzma.compress(good_tar())[:-4], "cut short"),
    "xz damaged": (lambda: lzma.compress(good_tar())[:40] + bytes(600), "damaged"),
    "bomb": (lambda: gzip.compress(bytes(3 << 20)), "it inflates to more than 2097152 bytes"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_archives_that_are_refused(tmp_path: Path, case: str) -> None:
    make, reason = REFUSED[case]
    with pytest.raises(UserError, match=f"^THE ARCHIVE '.*archive': .*({reason}).*; [^\n]*$"):
        refused(put(tmp_path / "archive", make()))


def refused(path: Path) -> None:
    source = open_archive(path, MOST, "THE ARCHIVE", most_inflated=2 << 20)
    try:
        assert source.total >= 0
    finally:
        source.close()


def test_an_xz_that_wants_memory_is_refused(tmp_path: Path) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 30}]
    small = lzma.compress(good_tar(), filters=[{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 20}])
    source = open_archive(put(tmp_path / "small", small), MOST)
    assert source.total == 2
    source.close()
    at = small.index(b"\x21\x01") + 2  # the filter's dictionary size, in a header with a checksum of its own
    assert filters[0]["dict_size"] == (2 | (36 & 1)) << (36 // 2 + 11)
    header = bytearray(small[12:24])
    header[at - 12] = 36
    header[-4:] = struct.pack("<L", zlib.crc32(header[:-4]))
    with pytest.raises(UserError, match="damaged: Memory usage limit"):
        refused(put(tmp_path / "large", small[:12] + header + small[24:]))


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, reason in (
        (tmp_path, "not a regular"),
        (tmp_path / "pipe", "not a reg"),
        (tmp_path / "x", "No such file"),
    ):
        with pytest.raises(UserError, match=reason):
            open_archive(path, MOST)


def test_no_room_for_the_inflated_tar(tmp_path: Path) -> None:
    path = put(tmp_path / "a.tgz", gzip.compress(good_tar()))
    source = open_archive(path, MOST, temporary=tmp_path / "nowhere")
    with pytest.raises(UserError, match="No such file"):
        list(source.items())
    source.close()


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = lambda **options: open("/dev/full", "r+b", buffering=0)  # noqa: E731, SIM115
    monkeypatch.setattr(inflating.tempfile, "TemporaryFile", full)
    with pytest.raises(UserError, match="cannot be inflated into '.*': No space left on device .TMPDIR chooses"):
        refused(put(tmp_path / "a.tgz", gzip.compress(good_tar())))


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    path = put(tmp_path / "a.tgz", gzip.compress(good_tar()))
    source = open_archive(path, MOST, temporary=tmp_path)
    assert source.total == 2
    assert os.listdir(tmp_path) == ["a.tgz"]
    source.close()
    with pytest.raises(ValueError, match="closed"):
        next(source.items()).load()


def test_the_stamp_needs_no_listing_and_follows_the_file(tmp_path: Path) -> None:
    path = put(tmp_path / "a.tgz", b"\x1f\x8b and then rubbish")
    source = open_archive(path, MOST)
    first = source.stamp()
    assert source.stamp() == first
    os.utime(path, ns=(1, 1))
    assert source.stamp() != first
    source.close()


def test_items_are_stamped_by_their_content(tmp_path: Path) -> None:
    stamps = []
    for content in (PNG, PNG + b"2", PNG + b"3"):
        source = open_archive(zip_of(tmp_path / "a", {"1": content}), MOST)
        stamps += [item.stamp for item in source.items()]
        source.close()
    assert len(set(stamps)) == 3


@pytest.mark.parametrize("dates", [(0, 0), (7, 7), (7, 8)])
def test_a_tar_whose_members_have_one_date_is_read_again_as_a_whole(tmp_path: Path, dates: tuple[int, int]) -> None:
    def stamps(contents: bytes, changed: int) -> list[str]:
        members = [info(tarfile.REGTYPE, name=f"{i}.png", mtime=date, size=1) for i, date in enumerate(dates)]
        with tarfile.open(tmp_path / "a.tar", "w") as tar:
            for member, content in zip(members, contents, strict=True):
                tar.addfile(member, io.BytesIO(bytes([content])))
        os.utime(tmp_path / "a.tar", ns=(changed, changed))
        with contextlib.closing(open_archive(tmp_path / "a.tar", 100)) as source:
            return [item.stamp for item in source.items()]

    assert stamps(b"ab", 1) == stamps(b"ab", 1)
    assert (stamps(b"ab", 1) == stamps(b"ac", 2)) is (dates == (7, 8)), "dates that differ are believed"


def test_an_empty_archive_has_no_items(tmp_path: Path) -> None:
    for data in (zip_of(tmp_path / "a", {}).read_bytes(), tar_bytes(info(tarfile.DIRTYPE))):
        source = open_archive(put(tmp_path / "b", data), MOST)
        assert (source.total, source.total_bytes, source.rejected, list(source.items())) == (0, 0, [], [])
        source.close()


def test_rubbish_in_the_padding_of_a_tar_is_no_archive(tmp_path: Path) -> None:
    source = open_archive(put(tmp_path / "a", good_tar().rstrip(b"\0").ljust(4096, b"\0") + b"rubbish" * 100), MOST)
    assert source.total == 2
    source.close()


def test_headers_for_all_members(tmp_path: Path) -> None:
    """As `git archive` writes them."""
    with tarfile.open(tmp_path / "a", "w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "0123abc"}) as archive:
        archive.addfile(tarfile.TarInfo("a"))
    source = open_archive(tmp_path / "a", MOST)
    assert source.names() == ["a"]
    source.close()


@pytest.mark.parametrize("make", [good_zip, good_tar])
def test_too_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make) -> None:
    for module in (members, zip_archive):
        monkeypatch.setattr(module, "MOST_MEMBERS", 1)
    with pytest.raises(UserError, match="more than 1 members; copy"):
        refused(put(tmp_path / "archive", make()))


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_members_are_read_from_any_thread(tmp_path: Path, kind: str) -> None:
    contents = {f"{i:03}": PNG + os.urandom(i * 100) for i in range(200)}
    if kind == "zip":
        path = zip_of(tmp_path / "a", contents, compression=zipfile.ZIP_DEFLATED)
    else:
        path = put(tmp_path / "a", tar_bytes(*contents.items()))
    source = open_archive(path, MOST)
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            assert list(pool.map(lambda item: item.load(), source.items())) == list(contents.values())
    assert source.read("007") == contents["007"]
    source.close()


def test_zip64(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(70_000):
            archive.writestr(f"{i:05}", b"BM" if i % 10_000 == 0 else b"")
        with archive.open("big", "w", force_zip64=True) as file:
            file.write(PNG)
    assert b"PK\6\7" in path.read_bytes()[-100:]
    source = open_archive(path, MOST)
    tracemalloc.start()
    assert source.total == 70_001
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 70_001 * 400  # zipfile takes twice as much
    assert [item.load() for item in source.items() if item.name.endswith(("0000", "big"))] == [b"BM"] * 7 + [PNG]
    source.close()


def large_zip(path: Path, gap: int = 5 << 30, numbers: int = 3, locator: int = 0) -> Path:
    """Two members, one of them beyond 4 GB of nothing, all numbers of the directory with 64 bits."""
    entries, names = [], [b"1.png", b"2.png"]
    with open(path, "wb") as file:
        for name, place in zip(names, (0, gap), strict=True):
            file.seek(place)
            file.write(struct.pack("<4s5H3L2H", b"PK\3\4", 45, 0, 0, 0, 0, 0, 0, 0, len(name), 0) + name + PNG + name)
            size, none = len(PNG + name), 0xFFFFFFFF
            extra = struct.pack("<2H3Q", 1, 8 * numbers, size, size, place)[: 4 + 8 * numbers]
            fields = (
                b"PK\1\2",
                45,
                45,
                0,
                0,
                0,
                0,
                zlib.crc32(PNG + name),
                none,
                none,
                len(name),
                len(extra),
                0,
                0,
                0,
                0,
            )
            entries.append(struct.pack("<4s6H3L5H2L", *fields, none) + name + extra)
        start, directory = file.tell(), b"".join(entries)
        end = start + len(directory)
        file.write(directory + struct.pack("<4sQ2H2L4Q", b"PK\6\6", 52, 45, 45, 0, 0, 2, 2, len(directory), start))
        file.write(b"whatever" + struct.pack("<4sLQL", b"PK\6\7", 0, end + locator, 1))
        file.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0))
    return path


def test_numbers_of_64_bits(tmp_path: Path) -> None:
    source = open_archive(large_zip(tmp_path / "a"), MOST)
    assert [(item.name, item.load()) for item in source.items()] == [(n, PNG + n.encode()) for n in ("1.png", "2.png")]
    source.close()
    for wrong, reason in (({"numbers": 2}, "a number is missing"), ({"locator": 1}, "Zip64 directory is missing")):
        with pytest.raises(UserError, match=reason):
            refused(large_zip(tmp_path / "a", 1000, **wrong))


def test_the_name_in_the_extra_field_counts(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with zipfile.ZipFile(path, "w") as archive:
        for plain, crc in (("a#U00e4", 0), ("b#U00e4", 1)):
            member, name = zipfile.ZipInfo(plain), plain.replace("#U00e4", "ä").encode()
            check = zlib.crc32(plain.encode()) + crc
            member.extra = struct.pack("<2HBL", 0x7075, 5 + len(name), 1, check) + name
            archive.writestr(member, PNG)
    source = open_archive(path, MOST)
    assert [item.name for item in source.items()] == ["aä", "b#U00e4"]
    source.close()


def summed(data: bytes) -> bytes:
    """Tar headers with the checksums they should have, or nothing behind them would be looked at."""
    held = bytearray(data)
    for at in range(0, len(held) - 511, 512):
        if held[at + 257 : at + 262] == b"ustar":
            held[at + 148 : at + 156] = b" " * 8
            held[at + 148 : at + 156] = b"%06o\0 " % sum(held[at : at + 512])
    return bytes(held)


def fuzz_seeds() -> list[bytes]:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for i, method in enumerate((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)):
            archive.writestr(f"faces/{i}.png", PNG * 10 * i, method)
        with archive.open("x", "w", force_zip64=True) as file:
            file.write(PNG)
    gnu = tar_bytes(("n" * 200, PNG), info(tarfile.SYMTYPE), ("a/" + "é" * 60, PNG), format=tarfile.GNU_FORMAT)
    pax = tar_bytes(("n" * 200, PNG), info(b"0", mtime=1.5), ("é" * 60, PNG * 100))
    return [held.getvalue(), good_zip(), overlapping(4, True), gnu[:8192], pax[:8192], good_tar()[:4096]]


def try_archive(path: Path) -> int:
    """How many members could be read."""
    try:
        source = open_archive(path, MOST, most_inflated=1 << 20)
    except UserError:
        return 0
    try:
        assert source.stamp()
        return sum(isinstance(outcome(item.load), bytes) for item in source.items()) + len(source.rejected)
    except UserError:
        return 0
    finally:
        source.close()


def fuzz(folder: Path, cases: int, seed: int) -> int:
    draw, seeds, read = random.Random(seed), fuzz_seeds(), 0
    for _ in range(cases):
        data = mutated(draw.choice(seeds), draw)
        data = summed(data) if draw.random() < 0.8 else data
        packed = draw.random()
        if packed < 0.1 or data.startswith(b"PK"):
            pass
        elif packed < 0.3:
            data = mutated(gzip.compress(data), draw) if packed < 0.15 else gzip.compress(data)
        elif packed < 0.35:
            data = mutated(lzma.compress(data, preset=0), draw)
        read += try_archive(put(folder / "case", data)) > 0
    return read


def test_damaged_archives_end_in_a_reason(tmp_path: Path) -> None:
    assert all(try_archive(put(tmp_path / "good", seed)) for seed in fuzz_seeds())
    assert 300 < fuzz(tmp_path, 3000, 0) < 2900
