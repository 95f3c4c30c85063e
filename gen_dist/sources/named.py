"""A known data set as a source: its files found or fetched, then opened as what they are."""

import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path

from gen_dist.errors import UserError
from gen_dist.kernels.limits import Limits
from gen_dist.sources.archive import ArchiveSource, open_archive
from gen_dist.sources.catalogue import Entry, Kind
from gen_dist.sources.cifar_arrays import cifar_in_archive, open_cifar
from gen_dist.sources.downloading import Progress
from gen_dist.sources.folder import Folder
from gen_dist.sources.idx_arrays import open_idx
from gen_dist.sources.joined import Joined
from gen_dist.sources.locating import Opener, open_named
from gen_dist.sources.selected import Selected
from gen_dist.sources.source import RejectedError, Source


def open_known(
    name: str | Entry,
    downloaded: Path | None,
    limits: Limits,
    report: Callable[[str], None],
    progress: Progress | None,
) -> Source:
    """The data set `name`, from the folder `downloaded` or fetched into the cache. `report` is given notes on it.

    Raises UserError as `locating.open_named` does.
    """
    source, notes = open_named(name, downloaded, _openers(limits), progress)
    for note in notes:
        report(note)
    return source


def _openers(limits: Limits) -> Mapping[Kind, Opener]:
    return {
        "idx": partial(_idx, limits),
        "cifar": partial(_cifar, limits),
        "archive": partial(_archives, limits),
        "nested": partial(_nested, limits),
        "folder": partial(_folders, limits),
    }


def _idx(limits: Limits, paths: list[Path], entry: Entry) -> Source:
    return open_idx(paths[0].parent, entry.title, entry.class_names, limits)


def _cifar(limits: Limits, paths: list[Path], entry: Entry) -> Source:
    (path,) = paths
    if path.is_dir():
        return open_cifar(path, entry.title, limits)
    archive = open_archive(path, limits.file_bytes, entry.title)
    try:
        return cifar_in_archive(archive, path, entry.title) or archive
    except UserError:
        archive.close()
        raise


def _archives(limits: Limits, paths: list[Path], entry: Entry) -> Source:
    return _together(entry, [(path, open_archive(path, limits.file_bytes, entry.title)) for path in paths])


def _folders(limits: Limits, paths: list[Path], entry: Entry) -> Source:
    return _together(entry, [(path, Folder(path, limits.file_bytes, entry.title)) for path in paths])


def _together(entry: Entry, parts: list[tuple[Path, Source]]) -> Source:
    source = parts[0][1] if len(parts) == 1 else Joined(entry.title, [(path.name, part) for path, part in parts])
    return Selected(source, source.description, source.stamp, entry.leave_out, _nothing) if entry.leave_out else source


def _nested(limits: Limits, paths: list[Path], entry: Entry) -> Source:
    """The archive inside the archive is written out, into a temporary folder that goes with the source."""
    (path,) = paths
    with closing(open_archive(path, limits.file_bytes, entry.title)) as outer:
        return _unpacked(limits, path, entry, outer)


def _unpacked(limits: Limits, path: Path, entry: Entry, outer: ArchiveSource) -> Source:
    wanted = Path(entry.member).name
    member = next((name for name in outer.names() if Path(name).name == wanted), None)
    if member is None:
        raise UserError(f"{entry.title} '{path}': has no '{wanted}' in it; get it again from {entry.home}")
    folder = tempfile.TemporaryDirectory(prefix="gen-dist-")
    try:
        inner = Path(folder.name) / wanted
        inner.write_bytes(outer.read(member))
        date = os.stat(path).st_mtime_ns
        os.utime(inner, ns=(date, date))  # the same whenever it is written out
        source = open_archive(inner, limits.file_bytes, entry.title)
    except UserError:
        folder.cleanup()
        raise
    except (OSError, RejectedError) as error:
        folder.cleanup()
        raise UserError(f"{entry.title} '{path}': {wanted}: {error}; get it again from {entry.home}") from error
    stamp = outer.stamp()
    return Selected(source, outer.description, lambda: stamp, entry.leave_out, folder.cleanup)


def _nothing() -> None:
    """What `Selected` calls where nothing is to be cleaned up."""
