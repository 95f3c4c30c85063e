"""What a user names, opened as a source: a known name, bundled pictures, a file or a folder, by what it holds."""

import difflib
import os
import resource
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from gen_dist.config import DecodingSettings, PrepareSettings
from gen_dist.data.bundled import BUNDLED, SHEETS, Sheet
from gen_dist.data.pack_meta import is_pack, printable
from gen_dist.errors import UserError
from gen_dist.kernels.limits import Limits
from gen_dist.sources.archive import open_archive
from gen_dist.sources.arrays import Arrays, ArraySource, Part
from gen_dist.sources.catalogue import NAMES, find
from gen_dist.sources.cifar_arrays import cifar_in_archive, open_cifar
from gen_dist.sources.downloading import Progress
from gen_dist.sources.folder import Folder, read_image_file
from gen_dist.sources.idx_arrays import image_files, open_idx
from gen_dist.sources.joined import Joined
from gen_dist.sources.kinds import Kind, probe
from gen_dist.sources.named import open_known
from gen_dist.sources.npy_arrays import open_npy, open_npz
from gen_dist.sources.source import RejectedError, Source

OTHER_FILES = 200  # that may be open besides archives
_ARCHIVES: tuple[Kind, ...] = ("zip", "tar", "compressed tar")
_WANTED = "give a folder, zip or tar of images, a video, IDX, CIFAR, .npy or .npz files, or a known name such as mnist"


@dataclass(frozen=True)
class Opening:
    """How sources are opened.

    Args:
        prepare, decoding: every and fps of videos; limits.
        name: what errors call the source: an option or a setting.
        downloaded: where the files of a known name are already.
        report: given a line the user should read.
        progress: of downloads.
    """

    prepare: PrepareSettings
    decoding: DecodingSettings
    name: str = "SOURCE"
    downloaded: Path | None = None
    report: Callable[[str], None] = print
    progress: Progress | None = None

    @property
    def limits(self) -> Limits:
        return self.decoding.limits()


def open_source(text: str, how: Opening) -> Source:
    """Raises UserError where there is nothing that can be read, or not as `how` says."""
    source = _open(text, how)
    if not source.consecutive and (how.prepare.every != 1 or how.prepare.fps is not None):
        source.close()
        key = "every" if how.prepare.fps is None else "fps"
        value = getattr(how.prepare, key)
        raise UserError(
            f"data.prepare.{key} {value}: chooses frames of a video, but '{printable(text)}' is none; leave it out"
        )
    return source


def _open(text: str, how: Opening) -> Source:
    if is_known_name(text):
        return open_known(text, how.downloaded, how.limits, how.report, how.progress)
    if how.downloaded is not None:
        names = ", ".join(NAMES)
        raise UserError(f"--from '{how.downloaded}': only for a known name, one of {names}; not for '{text}'")
    if text.startswith(BUNDLED):
        return _open_bundled(text, how)
    path = Path(os.path.expanduser(text))
    try:
        is_folder, exists = os.path.isdir(path), os.path.lexists(path)
    except ValueError:  # a NUL in it
        is_folder = exists = False
    if not exists or not text:
        near = difflib.get_close_matches(text.lower(), NAMES, 1)
        hint = f"did you mean '{near[0]}'?" if near else _WANTED
        raise UserError(f"{how.name} '{printable(text)}': no such file or folder; {hint}")
    return _open_folder(path, how) if is_folder else _open_file(path, how)


def is_known_name(text: str) -> bool:
    """Whether it is that of a known data set; `./mnist` is a folder that is called like one."""
    return text in NAMES


def describe_known(text: str) -> str:
    """What would be downloaded, in a few words."""
    entry = find(text)
    lengths = [file.bytes for file in entry.files]
    size = "" if None in lengths else f", {sum(filter(None, lengths)) / 1e6:.0f} MB"
    return f"{entry.title}{size}, {entry.terms}"


def _open_bundled(text: str, how: Opening) -> Source:
    sheet = Sheet.read(text.removeprefix(BUNDLED))
    folder = SHEETS / sheet.name

    def read() -> Arrays:
        return Arrays([Part(sheet.name, sheet.tiles(), np.array(sheet.labels))], list(sheet.categories))

    files = [folder / "sheet.json", folder / "sheet.png"]
    source = ArraySource(Path(text), how.name, files, read, "install gen-dist again")
    source.description = text
    return source


def _open_file(path: Path, how: Opening) -> Source:
    kind = probe(path)
    if kind in _ARCHIVES:
        return _open_archive(path, how)
    openers: dict[Kind | None, Callable[[], Source]] = {
        "idx": partial(open_idx, path, how.name, limits=how.limits),
        "cifar": partial(open_cifar, path, how.name, how.limits),
        "npy": partial(open_npy, path, how.name, how.limits),
        "npz": partial(open_npz, path, how.name, how.limits),
        "video": partial(_open_video, path, how),
    }
    if kind in openers:
        return openers[kind]()
    what = "a single image" if kind == "image" else "not a file of a kind that is read"
    raise UserError(f"{how.name} '{path}': {what}; {_WANTED}")


def _open_archive(path: Path, how: Opening) -> Source:
    archive = open_archive(path, how.limits.file_bytes, how.name)
    try:
        cifar = cifar_in_archive(archive, path, how.name)
    except UserError:
        archive.close()
        raise
    return archive if cifar is None else cifar


def _open_video(path: Path, how: Opening) -> Source:
    from gen_dist.sources.video import open_video

    return open_video(path, how.prepare.every or 1, how.prepare.fps, how.limits)


def _open_folder(path: Path, how: Opening) -> Source:
    """A folder is of images if there is one image in it; else what its files are decides."""
    if is_pack(path):
        what = "is a pack already: train on it, or give what it was made from"
        raise UserError(f"{how.name} '{path}': {what}")
    folder = Folder(path, how.limits.file_bytes, how.name)
    found: dict[Kind, list[str]] = {}
    for name in folder.files:
        kind = probe(folder.folder / name)
        if kind == "image":
            return folder
        if kind is not None:
            found.setdefault(kind, []).append(name)
    if "idx" in found and image_files(path):
        return open_idx(path, how.name, limits=how.limits)
    if "cifar" in found:
        return open_cifar(path, how.name, how.limits)
    if "video" in found:
        from gen_dist.sources.video import open_videos

        paths = [folder.folder / name for name in found["video"]]
        return open_videos(paths, folder.folder, how.prepare.every or 1, how.prepare.fps, how.limits)
    archives = sorted((name for kind in _ARCHIVES for name in found.get(kind, [])), key=os.fsencode)
    if archives:
        _allow_open_files(len(archives), how)
        return _open_joined(folder, archives, how)
    raise _no_image(folder, found, how)


def _open_joined(folder: Folder, archives: list[str], how: Opening) -> Source:
    with ExitStack() as stack:  # which closes the first ones if another is damaged
        parts = []
        for name in archives:
            part = open_archive(folder.folder / name, how.limits.file_bytes, how.name)
            stack.callback(part.close)
            parts.append((name, part))
        joined = Joined(str(folder.folder), parts)
        stack.pop_all()
        return joined


def _allow_open_files(count: int, how: Opening) -> None:
    """Each archive stays open. Raises UserError where the system does not let us open so many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = count + OTHER_FILES
    if hard != resource.RLIM_INFINITY and needed > hard:
        raise UserError(f"{how.name}: {count} archives, but at most {hard} files may be open; see 'ulimit -Hn'")
    if soft != resource.RLIM_INFINITY and needed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _no_image(folder: Folder, found: dict[Kind, list[str]], how: Opening) -> UserError:
    for kind, names in found.items():
        first = printable(names[0])
        return UserError(f"{how.name} '{folder.folder}': no image in it, but {len(names)} {kind} files; give '{first}'")
    first, reason = folder.files[0], ""
    try:
        read_image_file(folder.folder / first, how.limits.file_bytes)
    except RejectedError as error:
        reason = str(error)
    return UserError(
        f"{how.name} '{folder.folder}': none of its {folder.total} files is an image ({printable(first)}: {reason}); "
        f"{_WANTED}"
    )
