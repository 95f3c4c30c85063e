"""Pieces into packs, in order: which are duplicates, which class an image has, on which side of a split it goes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from gen_dist.data.duplicate_reason import duplicate_reason
from gen_dist.data.pack_files import PackFiles
from gen_dist.data.pack_index import Entry
from gen_dist.kernels.near import EXACT, NEAR
from gen_dist.preparing.duplicates import is_dropped
from gen_dist.preparing.fingerprints import FingerprintFiles
from gen_dist.preparing.outcome import Decoded
from gen_dist.preparing.pool import Piece
from gen_dist.sources.source import Item

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
        known: FingerprintFiles,
        tally: Tally,
    ) -> None:
        self.files, self.classes, self.tally = files, classes, tally
        self.known = known
        self._side, self._drop = side, drop
        self._first = next(iter(files))

    def take(self, pieces: Sequence[Piece]) -> None:
        """In their order; how they are cut into sequences does not matter. Raises OSError if it cannot be written."""
        likenesses = iter(self._likenesses([piece for piece in pieces if isinstance(piece.outcome, Decoded)]))
        coming = {side: _Coming() for side in self.files}
        for piece in pieces:
            self.tally.items += 1
            if isinstance(piece.outcome, str):
                self._reject(piece.item, piece.outcome)
            else:
                self._keep(piece, piece.outcome, list(islice(likenesses, len(piece.outcome.images))), coming)
        for side, some in coming.items():
            if some.images:
                self.files[side].extend(some.images, some.labels, some.sizes)
                self.tally.images[side] = self.tally.images.get(side, 0) + len(some.images)

    def _likenesses(self, pieces: Sequence[Piece]) -> list[str]:
        """Of each image "", or the reason for which it is left out."""
        prints = [piece.fingerprints for piece in pieces if piece.fingerprints is not None]
        if not prints:
            return []
        names = [piece.item.name for piece, some in zip(pieces, prints, strict=True) for _ in some]
        kinds, like = self.known.sift(np.concatenate(prints), names, self._drop)
        self.tally.exact_duplicates += int((kinds == EXACT).sum())
        self.tally.near_duplicates += int((kinds == NEAR).sum())
        return [
            duplicate_reason("exact" if kind == EXACT else "near", name) if left_out else ""
            for kind, name, left_out in zip(kinds, like, is_dropped(kinds, self._drop), strict=True)
        ]

    def _reject(self, item: Item, reason: str) -> None:
        self.tally.rejected += 1
        self.files[self._first].note(Entry(item.name, item.stamp, images=0, reason=reason, block=item.block))

    def _keep(self, piece: Piece, outcome: Decoded, reasons: Sequence[str], coming: Mapping[str, "_Coming"]) -> None:
        item, side, count = piece.item, self._side(piece), reasons.count("")
        if count:
            label = self.classes.label(item.class_name)
            images = outcome.images if outcome.jpegs is None else outcome.jpegs
            coming[side].images += [image for image, reason in zip(images, reasons, strict=True) if not reason]
            coming[side].labels += [label] * count
            coming[side].sizes += [(outcome.width, outcome.height)] * count
        dropped, reason = len(reasons) - count, "" if count else reasons[0]
        self.files[side].note(
            Entry(item.name, item.stamp, count, outcome.width, outcome.height, dropped, reason, item.block)
        )


@dataclass
class _Coming:
    """Images that go to a side, written together."""

    images: list[np.ndarray | bytes] = field(default_factory=list)
    labels: list[int | None] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
