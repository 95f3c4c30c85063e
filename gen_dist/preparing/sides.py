"""On which side of a split an item goes: a pure rule, known before anything is decoded."""

from dataclasses import dataclass

from gen_dist.preparing.intake import Side
from gen_dist.sources.source import Source

TRAIN, HELD_OUT = "train", "held-out"


@dataclass(frozen=True)
class Split:
    """`share` of the images go to the pack "train", the rest to "held-out". by_folder: whole folders go to a side."""

    share: float
    by_folder: bool = False
    sides = (TRAIN, HELD_OUT)


def side_of(split: Split | None, source: Source) -> Side:
    """The name of a piece's side. Frames of a video always go by stretches of time: neighbours are nearly equal."""
    if split is None:
        return lambda piece: ""
    from gen_dist.data.split_rule import share_of_content, sides_of_blocks

    if split.by_folder or source.consecutive:
        sides = sides_of_blocks(source.blocks(), split.share)
        return lambda piece: split.sides[sides[piece.item.block]]
    rule = share_of_content(split.share)
    return lambda piece: split.sides[rule(piece)]
