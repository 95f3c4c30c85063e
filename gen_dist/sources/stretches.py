"""A video cut into stretches of time, so that it can be split without neighbouring frames on both sides.

Two frames a twenty-fifth of a second apart are nearly one picture: a random split would ask for what it has shown.
"""

STRETCHES = 20  # of a video, in equal numbers of frames: a twentieth is the finest share that can be held out


def stretch(number: int, frames: int) -> int:
    """Which stretch frame `number` of a video of `frames` frames lies in; fewer frames than stretches: its own."""
    return number * min(STRETCHES, frames) // frames


def block(video: str, number: int, frames: int) -> str:
    """The name of that stretch, `Item.block`."""
    return f"{video}#{stretch(number, frames):02d}"
