"""`data.path`: what a user may write there, turned into a pack. What is none yet is prepared once, into the cache."""

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from gen_dist.config import DataSettings
from gen_dist.data.bundled import BUNDLED, Sheet, bundled_pack
from gen_dist.data.cache import packs_cache, shipped_cache
from gen_dist.data.pack import Pack
from gen_dist.data.pack_meta import META, VERSION, is_pack, printable
from gen_dist.errors import UserError
from gen_dist.preparing.prepare import order_of, prepare
from gen_dist.sources.opening import Opening, describe_known, is_known_name, open_source
from gen_dist.sources.source import Source

SECONDS_BETWEEN_REPORTS = 10.0
Report = Callable[[str], None]


def resolve_data(data: DataSettings, report: Report) -> Path:
    """The folder of the pack that `data.path` stands for, of images of `data.size`.

    It is a pack, `bundled:NAME`, or anything that `open_source` opens. Such a source is prepared at its first use and
    when it has changed, and `report` is given a line before, after and every ten seconds. Processes that need the same
    one wait for each other. Raises UserError where there is nothing usable at `path`, or a pack of another size.
    """
    path = data.path
    if path.startswith(BUNDLED):
        return _fitting(data, bundled_pack(path.removeprefix(BUNDLED)))
    folder = Path(os.path.expanduser(path))
    if is_pack(folder):
        return _fitting(data, folder)
    _check_prepared_channels(data)
    source = open_source(path, Opening(data.prepare, data.decoding, "data.path", report=report))
    try:
        pack = _cached(source, data)
        return _prepared_once(source, pack, data, report)
    except OSError as error:
        raise UserError(
            f"cache folder '{packs_cache()}': cannot write to it: {error.strerror}; "
            "set XDG_CACHE_HOME to a folder to write in, or make a pack with 'gen-dist prepare'"
        ) from error
    finally:
        source.close()


def locate_pack(path: str, pack: Path, content_hash: str) -> Pack | str:
    """On another machine than the one where `path` was resolved to `pack`, of this content hash: the same folder if it
    holds the same content, or what was sent here earlier; else why there is none, in a line.

    Of bundled pictures, the pack that this machine makes of them, whatever it holds.
    """
    if path.startswith(BUNDLED):
        return Pack.open(bundled_pack(path.removeprefix(BUNDLED)))
    reason = ""
    for folder in (pack, shipped_cache() / content_hash):
        try:
            found = Pack.open(folder)
        except UserError as error:
            reason = reason or (str(error) if os.path.isdir(pack) else f"there is no folder '{pack}'")
            continue
        if found.content_hash == content_hash:
            return found
        reason = reason or f"pack '{pack}' has another content"
    return reason


def describe_data(data: DataSettings) -> str:
    """What `resolve_data` would find or do, in one line. Prepares and downloads nothing, but raises UserError for the
    same reasons, except for images that only turn out to be damaged when they are decoded.
    """
    path, size = data.path, data.size
    if path.startswith(BUNDLED):
        sheet = Sheet.read(path.removeprefix(BUNDLED))
        _check_shape(data, (sheet.tile, sheet.tile, 3))
        return f"{path}: {sum(map(len, sheet.categories.values()))} images of {size}×{size}"
    folder = Path(os.path.expanduser(path))
    if is_pack(folder):
        pack = Pack.open(_fitting(data, folder))
        classes = f", {len(pack.class_names)} classes" if pack.class_names else ""
        return f"{path}: pack of {len(pack)} images of {size}×{size}{classes}"
    _check_prepared_channels(data)
    if is_known_name(path):
        return f"{path}: {describe_known(path)}; downloaded and prepared once, into the cache"
    source = open_source(path, Opening(data.prepare, data.decoding, "data.path", report=lambda note: None))
    try:
        cached = _cached(source, data)
        many = "" if source.total is None else f"{source.total} items, "
    finally:
        source.close()
    done = f"already prepared in '{cached}'" if _usable(cached) else f"to be prepared once into '{cached}'"
    return f"{path}: {many}{done}"


def channels_of(data: DataSettings) -> int:
    """Of the images that `resolve_data` finds or makes. Raises UserError for a pack that cannot be opened."""
    folder = Path(os.path.expanduser(data.path))
    if not data.path.startswith(BUNDLED) and is_pack(folder):
        return Pack.open(folder).shape[2]
    return 1 if data.prepare.gray and not data.path.startswith(BUNDLED) else 3


def _fitting(data: DataSettings, folder: Path) -> Path:
    _check_shape(data, Pack.open(folder).shape)
    return folder


def _check_shape(data: DataSettings, shape: tuple[int, int, int]) -> None:
    """Of a pack, which training reads as it is: `data.prepare` changes nothing in it."""
    (height, width, channels), path, size = shape, data.path, data.size
    if (height, width) != (size, size) or channels not in (1, 3):
        what = f"data.path '{path}': its images are {width}×{height} with {channels} channels, but data.size is {size}"
        fits = height == width and channels in (1, 3)
        raise UserError(f"{what}; " + (f"set data.size={width}" if fits else "prepare it again from the images"))
    if data.channels not in (None, channels):
        again = "--gray" if channels == 3 else "no --gray"
        raise UserError(
            f"data.channels {data.channels}: the images of '{path}' have {channels}; set data.channels={channels}, or "
            f"give a pack prepared with {again}"
        )


def _check_prepared_channels(data: DataSettings) -> None:
    """Of images that are prepared here."""
    gray = data.prepare.gray
    channels = 1 if gray else 3
    if data.channels not in (None, channels):
        raise UserError(
            f"data.channels {data.channels}: data.prepare.gray is {str(gray).lower()}, which makes {channels} of the "
            f"images of '{data.path}'; set data.prepare.gray={str(not gray).lower()}, or data.channels={channels}"
        )


def _cached(source: Source, data: DataSettings) -> Path:
    """Where the pack of such a source belongs: its name begins alike for all states of the source."""
    order = order_of(source, data.size, data.prepare, data.decoding)
    place = hashlib.sha256(f"{VERSION} {source.description!r} {order.wished()}".encode()).hexdigest()
    return packs_cache() / f"{place[:24]}-{order.stamp[:16]}"


def _usable(pack: Path) -> bool:
    try:
        Pack.open(pack)
    except UserError:
        return False
    return True


def _prepared_once(source: Source, pack: Path, data: DataSettings, report: Report) -> Path:
    pack.parent.mkdir(parents=True, exist_ok=True)
    place = pack.name.split("-")[0]
    with open(pack.parent / f"{place}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _usable(pack):
            shutil.rmtree(pack, ignore_errors=True)  # damaged
            earlier = sorted(filter(_usable, pack.parent.glob(f"{place}-*")), key=os.path.getmtime)
            _prepare(source, pack, data, [Pack.open(one) for one in earlier[-1:]], report)
            leftovers = pack.parent.glob(f".{place}-*.partial")  # of states of the source that are gone
            for outdated in (*leftovers, *earlier[:-1]):  # the last one may be in use by a run that goes on
                shutil.rmtree(outdated, ignore_errors=True)
    return pack


def _prepare(source: Source, pack: Path, data: DataSettings, earlier: list[Pack], report: Report) -> None:
    spoke = time.monotonic()
    many = "" if source.total is None else f"{source.total} items of "
    what = f"{many}'{printable(source.description)}'"
    report(f"preparing {what} at {data.size}×{data.size}, once, into '{pack}'")

    def progress(done: int, total: int | None) -> None:
        nonlocal spoke
        if time.monotonic() - spoke > SECONDS_BETWEEN_REPORTS:
            spoke = time.monotonic()
            report(f"prepared {done}{'' if total is None else f' of {total}'} items")

    done = prepare(source, pack, data.size, data.prepare, data.decoding, earlier=earlier, progress=progress)
    rejected = done.packs[""].meta.counts["rejected"]
    ending = f", {rejected} files rejected (listed in {META})" if rejected else ""
    report(f"prepared {done.images} images in {done.seconds:.1f} s{ending}")
