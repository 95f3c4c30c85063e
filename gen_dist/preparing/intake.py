"""Pieces into packs, in order: which are duplicates, which class an image has, on which side of a split it goes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gen_dist.data.pack_files import PackFiles
from gen_dist.data.pack_index import Entry
from gen_dist.preparing.fingerprints import FingerprintFile
from gen_dist.preparing.pool import Piece

Side = Callable[[Piece], str]


class Classes:
    """Numbers the classes in the order of their first image, or as the source has them.

    An image without a class means that there are none, as does a single class that the source does not insist on.
    """

    def __init__(self, fixed: Sequence[str] | None, known: Sequence[str] = (), loose: bool = False) -> None:
        self._fixed = fixed
        self.loose = loose
        self._numbers = {name: number for number, name in enumerate(fixed if fixed is not None else known)}

    def label(self, name: str | None) -> int | None:
        if name is None:
            self.loose = True
            return None
        return self._numbers.setdefault(name, len(self._numbers))

    @property
    def known(self) -> tuple[str, ...]:
        return tuple(self._numbers)

    def names(self) -> tuple[str, ...] | None:
        return None if self.loose or (self._fixed is None and len(self._numbers) < 2) else self.known


@dataclass
class Tally:
    """What came in so far; plain values, so that a journal can hold it."""

    items: int = 0
    images: dict[str, int] = field(default_factory=dict)  # by side
    rejected: int = 0
    exact_duplicates: int = 0
    near_duplicates: int = 0

    def counts(self, side: str) -> dict[str, int]:
        """For the meta.json of the pack of that side. Files and duplicates are counted over all sides."""
        return {
            "files": self.items,
            "images": self.images.get(side, 0),
            "rejected": self.rejected,
            "exact_duplicates": self.exact_duplicates,
            "near_duplicates": self.near_duplicates,
        }


class Intake:
    """Appends the images of pieces to the packs `files` of the sides that `side` names.

    drop: "none", "exact" or "near" duplicates are left out; they are counted in any case. An image is compared with
    those that stayed. What is rejected is noted in the first pack.
    """

    def __init__(
        self,
        files: Mapping[str, PackFiles],
        classes: Classes,
        side: Side,
        drop: str,
        *,
        known: FingerprintFile,
        tally: Tally,
    ) -> None:
        self.files, self.classes, self.tally = files, classes, tally
        self.known = known
        self._side, self._drop = side, drop
        self._first = next(iter(files))

    def take(self, piece: Piece) -> None:
        """Raises OSError if it cannot be written."""
        self.tally.items += 1
        item, outcome = piece.item, piece.outcome
        if isinstance(outcome, str):
            self.tally.rejected += 1
            self.files[self._first].note(Entry(item.name, item.stamp, images=0, reason=outcome, block=item.block))
            return
        side = self._side(piece)
        kept = [number for number in range(len(outcome.images)) if self._stays(piece, number)]
        if kept:
            label = self.classes.label(item.class_name)
            for number in kept:
                image = outcome.images[number] if outcome.jpegs is None else outcome.jpegs[number]
                self.files[side].append(image, label, (outcome.width, outcome.height))
            self.tally.images[side] = self.tally.images.get(side, 0) + len(kept)
        dropped = len(outcome.images) - len(kept)
        entry = Entry(item.name, item.stamp, len(kept), outcome.width, outcome.height, dropped, block=item.block)
        self.files[side].note(entry)

    def _stays(self, piece: Piece, number: int) -> bool:
        assert piece.fingerprints is not None
        match = self.known.match(piece.fingerprints[number])
        self.tally.exact_duplicates += match == "exact"
        self.tally.near_duplicates += match == "near"
        if match is not None and self._drop in (match, "near"):
            return False
        self.known.add(piece.fingerprints[number])
        return True
