"""A video cut into stretches of time, so that it can be split without neighbouring frames on both sides.

Two frames a twenty-fifth of a second apart are nearly one picture: a random split would ask for what it has shown.
"""

from collections.abc import Iterable

STRETCHES = 20  # of a video, in equal numbers of frames: a twentieth is the finest share that can be held out


def stretch(number: int, frames: int) -> int:
    """Which stretch frame `number` of a video of `frames` frames lies in; fewer frames than stretches: its own."""
    return number * min(STRETCHES, frames) // frames


def block(video: str, number: int, frames: int) -> str:
    """The name of that stretch, `Item.block`."""
    return f"{video}#{stretch(number, frames):02d}"


def held_out(blocks: Iterable[str], fraction: float) -> set[str]:
    """The blocks to hold out, of those of all items in order: the last ones of each video.

    About that fraction of a video's blocks, so 10 % are the last two of twenty; at least one if `fraction` is positive,
    but never all: a video of one block stays whole.
    """
    videos: dict[str, dict[str, None]] = {}  # to each its blocks, in order
    for name in blocks:
        videos.setdefault(name.rpartition("#")[0], {})[name] = None
    chosen: set[str] = set()
    for own in videos.values():
        last = min(len(own) - 1, max(1, round(fraction * len(own)))) if fraction > 0 else 0
        chosen.update(list(own)[len(own) - last :])
    return chosen
