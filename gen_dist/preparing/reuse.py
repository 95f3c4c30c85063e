"""What an earlier pack of the same source knows already, so that only new items are read again."""

import heapq
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gen_dist.data.pack import Pack
from gen_dist.data.pack_index import Entry
from gen_dist.preparing.outcome import Decoded, Outcome
from gen_dist.sources.source import UNREADABLE, Item


@dataclass(frozen=True)
class _Known:
    entry: Entry
    pack: Pack
    start: int  # the first of its images

    def recall(self) -> Outcome:
        if self.entry.reason:
            return self.entry.reason
        numbers = range(self.start, self.start + self.entry.images)
        jpegs = None if self.pack.offsets is None else [self.pack.file(number) for number in numbers]
        return Decoded(self.pack.read(numbers), self.entry.width, self.entry.height, jpegs)


class Reuse:
    """Looks up items in earlier packs, in the order of the items; the sides of a split are one pack here.

    Memory does not grow with the packs: both sequences are sorted by the bytes of the names, or the lookup fails and
    the item is read again.
    """

    def __init__(self, packs: Sequence[Pack]) -> None:
        self._known = heapq.merge(*map(_entries, packs), key=lambda known: os.fsencode(known.entry.name))
        self._next = next(self._known, None)

    def lookup(self, item: Item) -> Callable[[], Outcome] | None:
        """A function that fetches the outcome of an unchanged item; None for an item that must be read.

        What was left out as a duplicate must be read again: what it was equal to may have gone.
        """
        name = os.fsencode(item.name)
        while self._next is not None and os.fsencode(self._next.entry.name) < name:
            self._next = next(self._known, None)
        known = self._next
        if known is None or (known.entry.name, known.entry.stamp) != (item.name, item.stamp) or known.entry.dropped:
            return None
        return None if UNREADABLE in item.stamp else known.recall


def _entries(pack: Pack) -> Iterator[_Known]:
    start = 0
    for entry in pack.entries():
        yield _Known(entry, pack, start)
        start += entry.images
