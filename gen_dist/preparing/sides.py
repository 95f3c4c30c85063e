"""On which side of a split an item goes: a pure rule, known before anything is decoded."""

from dataclasses import dataclass

from gen_dist.data.split_rule import SIDES, share_of_content, sides_of_blocks
from gen_dist.preparing.intake import Side
from gen_dist.preparing.outcome import Decoded
from gen_dist.preparing.pool import Piece
from gen_dist.sources.source import Source


@dataclass(frozen=True)
class Split:
    """`share` of the images go to the pack "train", the rest to "held-out". by_folder: whole folders go to a side."""

    share: float
    by_folder: bool = False
    sides = SIDES


def side_of(split: Split | None, source: Source) -> Side:
    """The name of a piece's side. Frames of a video always go by stretches of time: neighbours are nearly equal."""
    if split is None:
        return lambda piece: ""
    if split.by_folder or source.consecutive:
        by_block = sides_of_blocks(source.blocks(), split.share)
        return lambda piece: SIDES[by_block[piece.item.block]]
    rule = share_of_content(split.share)
    return lambda piece: SIDES[rule.side(_stored(piece))]


def _stored(piece: Piece) -> bytes | memoryview:
    """Of a piece's first image, what the pack will hold: the frames of an animation stay together."""
    outcome = piece.outcome
    assert isinstance(outcome, Decoded)
    return outcome.images[0].data.cast("B") if outcome.jpegs is None else outcome.jpegs[0]
