"""Named data sets from a user's folder or the cache: which files there are, and what opens them."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gen_dist.data.cache import downloads_cache
from gen_dist.errors import UserError
from gen_dist.sources.catalogue import Entry, Form, Kind, find
from gen_dist.sources.downloading import Progress, by_hand, fetch
from gen_dist.sources.source import Source

Opener = Callable[[list[Path], Entry], Source]


@dataclass(frozen=True)
class Located:
    """`paths`: what the opener of `kind` reads. `notes`: what the user should know, a line each."""

    kind: Kind
    paths: list[Path]
    notes: list[str]


def locate(name: str | Entry, folder: Path) -> Located:
    """The files of a data set in a user's folder, or in one of the sub-folders where they usually lie.

    Packed or unpacked. A file that is not the published one is taken, with a note: whoever names it vouches for it.
    Raises UserError for a name that is not known, and if anything is missing.
    """
    entry = find(name) if isinstance(name, str) else name
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"--from '{folder}': no such folder; give the one that holds the files of {entry.title}")
    for place in _places(entry, folder):
        for form in entry.forms:
            if paths := _matching(form, place):
                return Located(form.kind, paths, [*_differences(entry, paths), *_ignored(entry, place)])
    raise UserError(f"--from '{folder}': {_missing(entry, folder)}")


def open_named(
    name: str | Entry,
    folder: Path | None,
    openers: Mapping[Kind, Opener],
    progress: Progress | None = None,
    cache: Path | None = None,
) -> tuple[Source, list[str]]:
    """The data set as a source, and notes for the user: from `folder`, or downloaded into `cache` (default: ours).

    `openers`: what opens the files of a kind, called with the paths and the entry. Raises UserError as `locate` and
    `fetch` do.
    """
    entry = find(name) if isinstance(name, str) else name
    if folder is not None:
        found = locate(entry, folder)
    else:
        found = Located(entry.forms[0].kind, fetch(entry, cache or downloads_cache(), progress), [])
    return openers[found.kind](found.paths, entry), found.notes


def _places(entry: Entry, folder: Path) -> Iterator[Path]:
    yield folder
    for place in entry.places:
        if (folder / place).is_dir():
            yield folder / place


def _matching(form: Form, place: Path) -> list[Path]:
    """The paths of a form, none unless all are there."""
    if form.itself:
        return [place] if all((place / name).exists() for name in form.itself) else []
    paths = [next((place / name for name in names if (place / name).exists()), None) for names in form.needs]
    found = [path for path in paths if path is not None]
    return found if len(found) == len(paths) else []


def _differences(entry: Entry, paths: list[Path]) -> Iterator[str]:
    import pooch

    published = {file.name: file for file in entry.files}
    for path in paths:
        file = published.get(path.name)
        if file is None or not path.is_file():
            continue
        algorithm, _, expected = file.checksum.partition(":")
        try:
            got = pooch.file_hash(os.fspath(path), alg=algorithm)
        except OSError as error:
            raise UserError(f"file '{path}': {error.strerror}; make it readable") from error
        if got != expected:
            yield f"{path.name}: not the published file ({algorithm} {got[:16]}… for {expected[:16]}…); taken as it is"


def _ignored(entry: Entry, place: Path) -> Iterator[str]:
    for name, why in entry.ignored:
        if (place / name).exists():
            yield f"{name}: {why}"


def _missing(entry: Entry, folder: Path) -> str:
    form = entry.forms[0]
    there = [names for names in form.needs if any((folder / name).exists() for name in names)]
    wanted = " and ".join(names[0] for names in form.needs if names not in there)
    unpacked = [names[0] for other in entry.forms[1:] for names in other.needs if "." not in names[0]]
    also = f" (or the unpacked folder {unpacked[0]})" if unpacked else ""
    seen = "; ".join(_ignored(entry, folder))
    how = by_hand(entry) if entry.by_hand else f"put it there, or leave out --from to download it; see {entry.home}"
    return f"no {wanted}{also} of {entry.title} in it{f'; {seen}' if seen else ''}; {how}"
