"""Which images train and which are held out: decided by what they are, never drawn, the same whoever asks.

By content: an image's side hangs on its bytes alone. Equal images fall on one side, and adding or removing images moves
no other. By blocks: whole folders; and of a video the last stretches of its time, since neighbouring frames are so
much alike that a model which saw one has seen the other.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

TRAIN, HELD_OUT = 0, 1
SIDES = ("train", "held-out")
_KEY = b"gen-dist split"
_BITS = 64
_STRETCH = re.compile(r"(?s)(.+)#([0-9]+)")


@dataclass(frozen=True)
class Rule:
    """Splits by content; about a share `at` trains. Of n images, at n ± 2 sqrt(n at (1 - at)) in 19 cases of 20."""

    at: float

    def side(self, image: bytes | memoryview) -> int:
        """0 (train) or 1 (held out) for an image's bytes as the pack stores them."""
        return TRAIN if _number(image) < int(self.at * 2**_BITS) else HELD_OUT


def share_of_content(at: float) -> Rule:
    """The rule by which about a share `at` of the images trains; 0 < at < 1. Raises ValueError otherwise."""
    if not 0 < at < 1:
        raise ValueError(f"a share of {at} to train on: must be between 0 and 1")
    return Rule(at)


def is_frame(name: str, block: str) -> bool:
    """Whether an item is a frame of a video, "clip.mp4[000123]" of the stretch "clip.mp4#07".

    A file in a folder that is called "trip#2" is none.
    """
    found = _STRETCH.fullmatch(block)
    return found is not None and name.startswith(f"{found[1]}[")


def sides_of_blocks(blocks: Mapping[str, int], at: float) -> dict[str, int]:
    """The side of each block (name to number of images), about a share `at` of the images on side 0, 0 < at < 1.

    Of each video that has several stretches, the last ones are held out: at least one, never all. Other blocks are
    taken in an order that hangs on their names alone, and one is held out where that brings the share closer: at
    least one if there are two or more, never all. A single block trains.
    """
    videos: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for block in blocks:
        if found := _STRETCH.fullmatch(block):
            videos[found[1]].append((int(found[2]), block))
    held: set[str] = set()
    whole = set(blocks)
    for stretches in videos.values():
        if len(stretches) > 1:
            names = [block for _, block in sorted(stretches)]
            held.update(_last(names, blocks, at))
            whole.difference_update(names)
    held.update(_closest(sorted(whole, key=lambda name: (_number(_encoded(name)), name)), blocks, at))
    return {block: HELD_OUT if block in held else TRAIN for block in blocks}


def _last(names: list[str], blocks: Mapping[str, int], at: float) -> list[str]:
    """So many of the last ones that their share is as close as can be; rather fewer than more."""
    target = (1 - at) * sum(blocks[name] for name in names)
    best = min(range(1, len(names)), key=lambda n: abs(sum(blocks[name] for name in names[-n:]) - target))
    return names[-best:]


def _closest(names: list[str], blocks: Mapping[str, int], at: float) -> list[str]:
    if len(names) < 2:
        return []
    target, count = (1 - at) * sum(blocks[name] for name in names), 0
    held: list[str] = []
    for name in names:
        if len(held) < len(names) - 1 and abs(count + blocks[name] - target) < abs(count - target):
            held.append(name)
            count += blocks[name]
    return held or [min(names, key=lambda name: blocks[name])]  # every block is larger than twice the target


def _number(data: bytes | memoryview) -> int:
    """Of 64 bits, evenly spread, the same everywhere."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=_BITS // 8, key=_KEY).digest(), "big")


def _encoded(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
