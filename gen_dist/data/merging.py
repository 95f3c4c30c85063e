"""One pack of several."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from gen_dist.data.duplicate_reason import duplicate_of, duplicate_reason
from gen_dist.data.pack import Pack
from gen_dist.data.pack_files import PART_BYTES, About
from gen_dist.data.pack_items import checked_images, entries_with_images, label_of, size_of
from gen_dist.data.pack_writer import PackWriter, check_free
from gen_dist.errors import UserError
from gen_dist.preparing.duplicates import Duplicates, Match, Names, fingerprints

Drop = Literal["none", "exact", "near"]
_CHUNK = 64  # images looked at for duplicates at once


@dataclass(frozen=True)
class Merged:
    """What `merge_packs` did. `dropped`: how many images were left out as "exact" or "near" duplicates."""

    path: Path
    images: int
    class_names: Sequence[str] | None
    dropped: Mapping[str, int]


def merge_packs(
    paths: Sequence[Path],
    out: Path,
    *,
    drop: Drop = "none",
    classes: bool = True,
    progress: Callable[[int, int], None] | None = None,
    part_bytes: int = PART_BYTES,
) -> Merged:
    """Writes a pack `out` of all images of the packs at `paths`, in that order; whole or not at all.

    Classes are the same where their names are; `classes=False` leaves them out. Items are named after their pack's
    folder, with a number where several packs have one name. `drop`: leave out images that are equal to an earlier
    one, of any of the packs, or nearly. Memory does not grow with the packs, but for what `Duplicates` remembers.
    `progress(done, total)` is called with numbers of images. Raises UserError where there are fewer than two packs,
    one of them is given twice or damaged, they differ in what they hold, or `out` exists or cannot be written.
    """
    check_free(out)
    packs = _opened(paths)
    _check_alike(packs, classes)
    names = _united(packs) if classes and packs[0].class_names is not None else None
    with PackWriter(out, packs[0].shape, part_bytes, kept=packs[0].meta.kept) as writer:
        merger = _Merger(writer, names, drop)
        done, total = 0, sum(map(len, packs))
        for pack, prefix in zip(packs, _prefixes(packs), strict=True):
            for images in merger.take(pack, prefix):
                done += images
                if progress is not None:
                    progress(done, total)
        writer.finish(_about(packs, names, writer.images, merger.dropped))
    return Merged(Path(out), merger.written, names, merger.dropped)


class _Merger:
    """Copies packs into a writer, one after the other."""

    def __init__(self, writer: PackWriter, names: list[str] | None, drop: Drop) -> None:
        self._writer, self._names = writer, names
        self._duplicates = None if drop == "none" else Duplicates(drop)
        self._kept = Names()  # of the items of the images in `_duplicates`
        self.dropped: Counter[str] = Counter()
        self.written = 0

    def take(self, pack: Pack, prefix: str) -> Iterator[int]:
        """Yields the number of images looked at, item by item."""
        labels = [] if self._names is None else [self._names.index(name) for name in pack.class_names or ()]
        images, prints = checked_images(pack), self._fingerprints(pack)
        for entry, indices in entries_with_images(pack):
            name, written, like = f"{prefix}/{entry.name}", 0, _reason(entry.reason, prefix)
            for index in indices:
                image, match = next(images), self._match(next(prints), name)
                if match is not None:
                    self.dropped[match.kind] += 1
                    like = like or duplicate_reason(match.kind, self._kept[match.number])
                    continue
                label = label_of(pack, index) if labels else None
                self._write(pack, image, None if label is None else labels[label], size_of(pack, index))
                written += 1
            block = f"{prefix}/{entry.block}" if entry.block else ""
            dropped, reason = entry.dropped + len(indices) - written, "" if written else like
            self._writer.note(replace(entry, name=name, block=block, images=written, dropped=dropped, reason=reason))
            yield len(indices)

    def _write(self, pack: Pack, image: bytes, label: int | None, size: tuple[int, int]) -> None:
        stored = image if pack.meta.kept == "jpeg" else np.frombuffer(image, np.uint8).reshape(pack.shape)
        self._writer.append(stored, label, size)
        self.written += 1

    def _match(self, fingerprint: np.ndarray | None, name: str) -> Match | None:
        """What an image is like among those written; one that is like none is remembered."""
        if self._duplicates is None or fingerprint is None:
            return None
        match = self._duplicates.check(fingerprint)
        if match is None:
            self._duplicates.add(fingerprint, self._kept.append(name))
        return match

    def _fingerprints(self, pack: Pack) -> Iterator[np.ndarray | None]:
        """Of the pixels of each image, where they are wanted."""
        for start in range(0, len(pack), _CHUNK):
            indices = np.arange(start, min(start + _CHUNK, len(pack)))
            if self._duplicates is None:
                yield from [None] * len(indices)
            else:
                yield from fingerprints(pack.read(indices), self._duplicates.kind)


def _opened(paths: Sequence[Path]) -> list[Pack]:
    if len(paths) < 2:
        raise UserError(f"{len(paths)} pack to merge: give two or more, and then the name of the one to make")
    seen: set[str] = set()
    for path in paths:
        real = os.path.realpath(path)
        if real in seen:
            raise UserError(
                f"pack '{path}': given twice; give each pack once, or copy it if its images should count twice"
            )
        seen.add(real)
    return [Pack.open(path) for path in paths]


def _check_alike(packs: Sequence[Pack], classes: bool) -> None:
    first = packs[0]
    for pack in packs[1:]:
        what, advice = "", "make one of them again as the other was made, with 'gen-dist prepare'"
        if pack.shape != first.shape:
            what = f"its images are {_sides(pack)}, those of '{first.path}' are {_sides(first)}"
        elif pack.meta.kept != first.meta.kept:
            what = f"it keeps images as {pack.meta.kept}, '{first.path}' as {first.meta.kept}"
        elif pack.encoded and first.encoded and pack.encoded.shown != first.encoded.shown:
            what = f"crop or filter of its JPEGs are not those of '{first.path}', and one pack has one of each"
        elif classes and (pack.class_names is None) != (first.class_names is None):
            has, lacks = (first, pack) if pack.class_names is None else (pack, first)
            what = f"'{has.path}' has classes, '{lacks.path}' has none"
            advice = "leave them out with --no-classes, or make the other again from one folder per class"
        if what:
            raise UserError(f"pack '{pack.path}': {what}; {advice}")


def _sides(pack: Pack) -> str:
    height, width, channels = pack.shape
    return f"{width}x{height} in {'grey' if channels == 1 else 'colour'}"


def _united(packs: Sequence[Pack]) -> list[str]:
    """All class names in the order in which they first appear."""
    return list(dict.fromkeys(name for pack in packs for name in pack.class_names or ()))


def _prefixes(packs: Sequence[Pack]) -> list[str]:
    """The packs' folder names, made different by numbers."""
    taken: dict[str, None] = {}
    for pack in packs:
        folder = name = pack.path.resolve().name
        number = 1
        while name in taken:
            number += 1
            name = f"{folder}-{number}"
        taken[name] = None
    return list(taken)


def _reason(reason: str, prefix: str) -> str:
    """With the new name of what an item is a duplicate of."""
    like = duplicate_of(reason)
    return duplicate_reason(like[0], f"{prefix}/{like[1]}") if like else reason


def _about(packs: Sequence[Pack], names: list[str] | None, images: int, dropped: Mapping[str, int]) -> About:
    """Settings are those in which all packs agree."""
    first = packs[0].meta.settings
    settings = {k: v for k, v in first.items() if all(k in p.meta.settings and p.meta.settings[k] == v for p in packs)}
    rejected = [
        (f"{prefix}/{one.name}", one.reason)
        for pack, prefix in zip(packs, _prefixes(packs), strict=True)
        for one in pack.meta.rejected
    ]
    counts = {"packs": len(packs), "images": images, "rejected": len(rejected)}
    counts |= {f"{kind}_duplicates": count for kind, count in sorted(dropped.items())}
    return About(
        source=" + ".join(pack.meta.source for pack in packs),
        counts=counts,
        class_names=names,
        rejected=rejected,
        settings=settings,
    )
