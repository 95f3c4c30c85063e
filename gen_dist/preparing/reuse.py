"""What an earlier pack of the same source knows already, so that only new items are read again."""

import heapq
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gen_dist.arms_length import depends_on_the_moment
from gen_dist.data.pack import Pack
from gen_dist.data.pack_index import Entry
from gen_dist.kernels.cropping import window
from gen_dist.kernels.jpeg import make_scratch
from gen_dist.preparing.jpeg_batches import decode_alike
from gen_dist.preparing.outcome import Decoded, Outcome
from gen_dist.preparing.recipe import Recipe
from gen_dist.sources.source import UNREADABLE, Item


@dataclass(frozen=True)
class _Known:
    entry: Entry
    pack: Pack
    start: int  # the first of its images
    recipe: Recipe

    def recall(self) -> Outcome | None:
        """None where the pack is damaged: then the item is read again."""
        if self.entry.reason:
            return self.entry.reason
        numbers = range(self.start, self.start + self.entry.images)
        expected = self.pack.checksums[numbers.start : numbers.stop].tolist()
        if self.pack.offsets is None:
            images = self.pack.read(numbers)
            whole = [*map(zlib.crc32, images)] == expected
            return Decoded(images, self.entry.width, self.entry.height) if whole else None
        jpegs = [self.pack.file(number) for number in numbers]
        return self._shown(jpegs) if [*map(zlib.crc32, jpegs)] == expected else None

    def _shown(self, jpegs: list[bytes]) -> Decoded | None:
        """As the decoder made them, to the bit: training may shrink more in the inverse transform."""
        width, height, recipe = self.entry.width, self.entry.height, self.recipe
        found = window(width, height, recipe.size, recipe.size, recipe.mode, recipe.box)
        images = decode_alike(jpegs, [found] * len(jpegs), recipe, make_scratch())
        shown = [one for one in images if not isinstance(one, str)]
        return Decoded(np.concatenate(shown), width, height, jpegs) if len(shown) == len(jpegs) else None


class Reuse:
    """Looks up items in earlier packs of `recipe`, in the order of the items; the sides of a split are one pack here.

    A pack whose index is damaged is left alone. Memory does not grow with the packs: both sequences are sorted by the
    bytes of the names, or the lookup fails and the item is read again.
    """

    def __init__(self, packs: Sequence[Pack], recipe: Recipe) -> None:
        known = [_entries(pack, recipe) for pack in packs if pack.has_whole_index()]
        self._known = heapq.merge(*known, key=lambda known: os.fsencode(known.entry.name))
        self._next = next(self._known, None)

    def lookup(self, item: Item) -> Callable[[], Outcome | None] | None:
        """A function that fetches the outcome of an unchanged item, or None if that is damaged.

        None for an item that must be read, as must what was left out as a duplicate: what it was equal to may be gone.
        """
        name = os.fsencode(item.name)
        while self._next is not None and os.fsencode(self._next.entry.name) < name:
            self._next = next(self._known, None)
        known = self._next
        if known is None or (known.entry.name, known.entry.stamp) != (item.name, item.stamp) or known.entry.dropped:
            return None
        passing = UNREADABLE in item.stamp or depends_on_the_moment(known.entry.reason)
        return None if passing else known.recall


def _entries(pack: Pack, recipe: Recipe) -> Iterator[_Known]:
    start = 0
    for entry in pack.entries():
        yield _Known(entry, pack, start, recipe)
        start += entry.images
