"""`data.path`: what a user may write there, turned into a pack. A folder of images is prepared once, into the cache."""

import fcntl
import hashlib
import os
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path

from gen_dist.config import DecodingSettings
from gen_dist.data.bundled import SHEETS, Sheet, bundled_pack
from gen_dist.data.cache import packs_cache
from gen_dist.data.pack import Pack
from gen_dist.data.pack_meta import META, VERSION, printable
from gen_dist.errors import UserError
from gen_dist.preparing.prepare import check_size, prepare
from gen_dist.sources.folder import Listing, NotAnImageError, list_folder, read_image_file

BUNDLED = "bundled:"
SECONDS_BETWEEN_REPORTS = 10.0


def resolve_data(path: str, size: int, report: Callable[[str], None], decoding: DecodingSettings | None = None) -> Path:
    """The folder of the pack of `size` × `size` images that `path` stands for.

    `path` is a pack, a folder of images or `bundled:NAME`. A folder is prepared at its first use and when a file in it
    has changed, and `report` is given a line before, after and every ten seconds. Processes that need the same one wait
    for each other. Raises UserError where there is nothing usable at `path`, or a pack of another size.
    """
    check_size(size, "data.size")
    if path.startswith(BUNDLED):
        return _sized(path, bundled_pack(path.removeprefix(BUNDLED)), size)
    folder = Path(os.path.expanduser(path))
    if _is_pack(folder):
        return _sized(path, folder, size)
    decoding = decoding or DecodingSettings()
    listing = list_folder(folder, "data.path")
    pack = _cached(listing, size, decoding)
    try:
        pack.parent.mkdir(parents=True, exist_ok=True)
        with open(pack.with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _usable(pack):
                _prepare(listing, pack, size, decoding, report)
    except OSError as error:
        raise UserError(
            f"cache folder '{pack.parent}': cannot write to it: {error.strerror}; "
            "set XDG_CACHE_HOME to a folder to write in, or make a pack with 'gen-dist prepare'"
        ) from error
    return pack


def locate_pack(path: str, pack: Path) -> Path:
    """On another machine than the one where `path` was resolved to `pack`: the same folder, or the bundled pictures
    made into a pack here. Raises UserError if this machine has no such folder.
    """
    if path.startswith(BUNDLED):
        return bundled_pack(path.removeprefix(BUNDLED))
    if not os.path.isdir(pack):
        host = socket.gethostname()
        raise UserError(f"data.path '{path}': {host} has no pack '{pack}'; copy it there or use a path that all share")
    return pack


def describe_data(path: str, size: int, decoding: DecodingSettings | None = None) -> str:
    """What `resolve_data` would find or do, in one line. Prepares nothing, but raises UserError for the same reasons,
    except for images that only turn out to be damaged when they are decoded.
    """
    check_size(size, "data.size")
    decoding = decoding or DecodingSettings()
    if path.startswith(BUNDLED):
        name = path.removeprefix(BUNDLED)
        if not (SHEETS / name / "sheet.json").is_file():
            bundled_pack(name)  # which knows how to refuse it
        sheet = Sheet.read(name)
        _check_shape(path, (sheet.tile, sheet.tile, 3), size)
        return f"{path}: {sum(map(len, sheet.categories.values()))} images of {size}×{size}"
    folder = Path(os.path.expanduser(path))
    if _is_pack(folder):
        pack = Pack.open(_sized(path, folder, size))
        classes = f", {len(pack.class_names)} classes" if pack.class_names else ""
        return f"{path}: pack of {len(pack)} images of {size}×{size}{classes}"
    listing = list_folder(folder, "data.path")
    if not any(_looks_like_image(listing, name, decoding.file_bytes) for name in listing.files):
        raise UserError(f"data.path '{path}': none of its {len(listing)} files is an image; give a folder of images")
    cached = _cached(listing, size, decoding)
    what = f"already prepared in '{cached}'" if _usable(cached) else f"to be prepared once into '{cached}'"
    return f"{path}: folder of {len(listing)} files, {what}"


def _is_pack(folder: Path) -> bool:
    """Whether this is meant as a pack; whether it is a good one, Pack.open says."""
    if os.path.isfile(folder / "images-00000.npy"):
        return True
    try:
        return os.path.isfile(folder / META) and b'"gen-dist pack"' in (folder / META).read_bytes()
    except OSError:
        return False


def _sized(path: str, folder: Path, size: int) -> Path:
    _check_shape(path, Pack.open(folder).shape, size)
    return folder


def _check_shape(path: str, shape: tuple[int, int, int], size: int) -> None:
    if shape != (size, size, 3):
        height, width, channels = shape
        what = f"data.path '{path}': its images are {width}×{height} with {channels} channels, but data.size is {size}"
        fits = height == width and channels == 3
        raise UserError(f"{what}; " + (f"set data.size={width}" if fits else "prepare it again from the images"))


def _cached(listing: Listing, size: int, decoding: DecodingSettings) -> Path:
    """Where the pack of such a folder belongs: another name when a file's name, length or date changes."""
    digest = hashlib.sha256(f"{VERSION} {size} {decoding!r} ".encode() + os.fsencode(listing.folder))
    for name in listing.files:
        try:
            about = os.stat(listing.folder / name)
            facts = f"{about.st_size} {about.st_mtime_ns}"
        except OSError:
            facts = "unreadable"
        digest.update(b"\0" + os.fsencode(name) + b"\0" + facts.encode())
    return packs_cache() / digest.hexdigest()[:24]


def _usable(pack: Path) -> bool:
    try:
        Pack.open(pack)
    except UserError:
        return False
    return True


def _prepare(
    listing: Listing, pack: Path, size: int, decoding: DecodingSettings, report: Callable[[str], None]
) -> None:
    for leftover in (pack, *pack.parent.glob(f".{pack.name}.*.tmp")):  # damaged, or of a process that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    folder, spoke = printable(str(listing.folder)), time.monotonic()
    report(f"preparing the {len(listing)} files of '{folder}' at {size}×{size}, once, into '{pack}'")

    def progress(done: int, total: int) -> None:
        nonlocal spoke
        if time.monotonic() - spoke > SECONDS_BETWEEN_REPORTS:
            spoke = time.monotonic()
            report(f"prepared {done} of {total} files")

    done = prepare(listing.folder, pack, size, decoding=decoding, progress=progress)
    rejected = f", {len(done.rejected)} files rejected (listed in {META})" if done.rejected else ""
    report(f"prepared {done.images} images in {done.seconds:.1f} s{rejected}")


def _looks_like_image(listing: Listing, name: str, most_bytes: int) -> bool:
    try:
        return bool(read_image_file(listing.folder / name, most_bytes))
    except NotAnImageError:
        return False
