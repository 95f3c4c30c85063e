"""Several sources as one: the archives of a folder, as large collections are kept."""

import functools
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from gen_dist.sources.source import Item, Source


class Joined:
    """The items of `parts`, one part behind the other; each part's name stands before the names of its items.

    parts: (name, source), in order. Classes are those of the parts.
    """

    class_names = None

    def __init__(self, description: str, parts: Sequence[tuple[str, Source]]) -> None:
        self.description = description
        self._parts = parts
        self.rejected = [(f"{name}/{inside}", why) for name, part in parts for inside, why in part.rejected]
        self.consecutive = any(part.consecutive for _, part in parts)

    @property
    def total(self) -> int | None:
        totals = [part.total for _, part in self._parts]
        return None if None in totals else sum(total for total in totals if total is not None)

    @functools.cached_property
    def total_bytes(self) -> int:
        return sum(part.total_bytes for _, part in self._parts)

    def stamp(self) -> str:
        digest = hashlib.sha256()
        for name, part in self._parts:
            digest.update(f"{name!r} {part.stamp()} ".encode())
        return digest.hexdigest()

    def items(self) -> Iterator[Item]:
        for name, part in self._parts:
            for item in part.items():
                yield replace(item, name=f"{name}/{item.name}", block=f"{name}/{item.block}")

    def blocks(self) -> Mapping[str, int]:
        together: Counter[str] = Counter()
        for name, part in self._parts:
            together.update({f"{name}/{block}": count for block, count in part.blocks().items()})
        return together

    def close(self) -> None:
        for _, part in self._parts:
            part.close()
