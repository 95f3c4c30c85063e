"""What is in a pack, in numbers."""

import heapq
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from gen_dist.data.duplicate_reason import duplicate_of
from gen_dist.data.pack import Pack
from gen_dist.data.pack_index import Entry
from gen_dist.data.pack_meta import Setting, printable

T = TypeVar("T", str, tuple[int, int])

KINDS = ("exact", "near")
COMMON, LARGEST, EXAMPLES = 5, 5, 3
_CHUNK_BYTES = 4 << 20


@dataclass(frozen=True)
class Pixels:
    """Of each channel, 0 to 255: exact but for the last rounding."""

    mean: list[float]
    std: list[float]  # of all pixels of the pack, not of a sample
    min: list[int]
    max: list[int]


@dataclass(frozen=True)
class Sides:
    """Of the items' images before anything was done to them, in pixels."""

    min: int
    median: float
    max: int


@dataclass(frozen=True)
class Reason:
    """Why items gave no image, how many, and the names of the first."""

    reason: str
    count: int
    examples: list[str]


@dataclass(frozen=True)
class Statistics:
    """What `pack_statistics` found; `dataclasses.asdict` makes JSON of it.

    Args:
        bytes: of the arrays of images or JPEGs.
        classes: name to number of images, in the order of the classes; None for no classes.
        widths, heights: of the source's images, None where the index does not say.
        common_sizes: (width, height, number of items), the most common first.
        duplicates: number of images that are like one before, by "exact" and "near", as far as that was looked for.
        left_out: number of items that are not in the pack for that reason.
        duplicate_groups: (name, number of items left out because they are like it), the largest first.
    """

    images: int
    height: int
    width: int
    channels: int
    kept: str
    parts: int
    bytes: int
    source: str
    content_hash: str
    settings: dict[str, Setting]
    counts: dict[str, int]
    pixels: Pixels
    classes: dict[str, int] | None
    widths: Sides | None
    heights: Sides | None
    common_sizes: list[tuple[int, int, int]]
    rejected: list[Reason]
    duplicates: dict[str, int]
    left_out: dict[str, int]
    duplicate_groups: list[tuple[str, int]]


def pack_statistics(pack: Pack, progress: Callable[[int, int], None] | None = None) -> Statistics:
    """Reads the whole pack once, in order, some MB at a time. `progress(done, total)` gets numbers of images.

    Memory grows with what items differ in (sizes, reasons, names of duplicates), not with the images. Raises
    UserError for a damaged index.
    """
    items = _Items()
    for entry in pack.entries():
        items.add(entry)
    for one in pack.meta.rejected:
        items.reject(one.name, one.reason)
    height, width, channels = pack.shape
    return Statistics(
        images=len(pack),
        height=height,
        width=width,
        channels=channels,
        kept=pack.meta.kept,
        parts=len(pack.parts),
        bytes=sum(part.bytes for part in pack.meta.parts),
        source=pack.meta.source,
        content_hash=pack.content_hash,
        settings=dict(pack.meta.settings),
        counts=dict(pack.meta.counts),
        pixels=pixel_statistics(_histograms(pack, progress or (lambda done, total: None))),
        classes=_classes(pack),
        widths=_sides(items.widths),
        heights=_sides(items.heights),
        common_sizes=[(*size, count) for size, count in _largest(items.sizes, COMMON)],
        rejected=[Reason(reason, n, items.examples[reason]) for reason, n in _largest(items.reasons, None)],
        duplicates={kind: n for kind in KINDS if (n := pack.meta.counts.get(f"{kind}_duplicates")) is not None},
        left_out={kind: items.duplicates[kind] for kind in KINDS},
        duplicate_groups=[(printable(name), count) for name, count in _largest(items.originals, LARGEST)],
    )


def pixel_statistics(histograms: np.ndarray) -> Pixels:
    """Of how often (int64, C x 256) each value stands in a channel; no channel without a pixel."""
    found = Pixels([], [], [], [])
    for histogram in histograms.tolist():
        count = sum(histogram)
        total = sum(value * times for value, times in enumerate(histogram))
        squares = sum(value * value * times for value, times in enumerate(histogram))
        found.mean.append(total / count)
        found.std.append(math.sqrt((count * squares - total * total) / (count * count)))
        there = np.flatnonzero(histogram)
        found.min.append(int(there[0]))
        found.max.append(int(there[-1]))
    return found


@dataclass
class _Items:
    """What entries say, counted."""

    widths: Counter[int] = field(default_factory=Counter)
    heights: Counter[int] = field(default_factory=Counter)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    duplicates: Counter[str] = field(default_factory=Counter)
    originals: Counter[str] = field(default_factory=Counter)
    _rejected: set[str] = field(default_factory=set)

    def add(self, entry: Entry) -> None:
        if entry.images and entry.width and entry.height:
            self.widths[entry.width] += 1
            self.heights[entry.height] += 1
            self.sizes[entry.width, entry.height] += 1
        if not entry.reason:
            return
        if like := duplicate_of(entry.reason):
            self.duplicates[like[0]] += 1
            self.originals[like[1]] += 1
        else:
            self.reject(printable(entry.name), entry.reason)

    def reject(self, name: str, reason: str) -> None:
        """Once for each name: `meta.json` lists again what the index has, and what could not even be an item."""
        if name in self._rejected:
            return
        self._rejected.add(name)
        self.reasons[reason] += 1
        examples = self.examples.setdefault(reason, [])
        if len(examples) < EXAMPLES:
            examples.append(name)


def _histograms(pack: Pack, progress: Callable[[int, int], None]) -> np.ndarray:
    """Int64, C x 256."""
    channels = pack.shape[2]
    counts = np.zeros((channels, 256), np.int64)
    chunk = max(1, _CHUNK_BYTES // math.prod(pack.shape))
    for start in range(0, len(pack), chunk):
        stop = min(start + chunk, len(pack))
        images = pack.read(np.arange(start, stop)).reshape(-1, channels)
        for channel in range(channels):
            counts[channel] += np.bincount(images[:, channel], minlength=256)
        progress(stop, len(pack))
    return counts


def _classes(pack: Pack) -> dict[str, int] | None:
    if pack.labels is None or pack.class_names is None:
        return None
    counts = np.bincount(pack.labels, minlength=len(pack.class_names))
    found = dict.fromkeys(pack.class_names, 0)
    for name, count in zip(pack.class_names, counts.tolist(), strict=True):
        found[name] += count  # names that are not UTF-8 may look alike
    return found


def _sides(counts: Counter[int]) -> Sides | None:
    if not counts:
        return None
    sides = sorted(counts)
    ends = np.cumsum([counts[side] for side in sides])
    middle = [sides[int(np.searchsorted(ends, rank, "right"))] for rank in ((ends[-1] - 1) // 2, ends[-1] // 2)]
    return Sides(sides[0], sum(middle) / 2, sides[-1])


def _largest(counts: Counter[T], most: int | None) -> Sequence[tuple[T, int]]:
    """The most frequent, of equals those that sort first."""
    return heapq.nsmallest(most or len(counts), counts.items(), key=lambda item: (-item[1], item[0]))
