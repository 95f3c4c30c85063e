"""The pictures of a report, as bytes: of samples over training, of reconstructions, of the latent space."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gen_dist.charts.line_chart import LineChart
from gen_dist.errors import UserError
from gen_dist.report.facts import RunFacts
from gen_dist.results.files import gif
from gen_dist.results.pictures import opened_picture, spread, step_of, training_frames

MOST_GRIDS, MOST_FRAMES, FRAMES_PER_SECOND = 4, 40, 8
FRAME_PIXELS = 380  # of an animation, about
MOST_BYTES = 32 << 20  # of a picture


@dataclass(frozen=True)
class Picture:
    """`kind`: png or gif."""

    caption: str
    kind: str
    data: bytes


@dataclass(frozen=True)
class Shown:
    """What is shown of one run."""

    samples: list[Picture]
    animation: Picture | None
    reconstructions: Picture | None
    latent: LineChart | None = None


def pictures_of(run: RunFacts, animated: bool, note: Callable[[str], None]) -> Shown:
    """Damaged pictures are left out, and a note tells which."""

    def read(path: Path, caption: str) -> list[Picture]:
        try:
            return [Picture(caption, "png", png_bytes(path))]
        except UserError as error:
            note(str(error))
            return []

    samples = [one for path in spread(run.samples, MOST_GRIDS) for one in read(path, f"step {step_of(path):,}")]
    last = run.reconstructions[-1:]
    made = [one for path in last for one in read(path, f"step {step_of(path):,}: each row over its reconstructions")]
    return Shown(samples, animation_of(run, note) if animated else None, made[0] if made else None)


def animation_of(run: RunFacts, note: Callable[[str], None]) -> Picture | None:
    if len(run.samples) < 2:
        return None
    try:
        frames = training_frames(run.path, MOST_FRAMES)
    except UserError as error:
        note(f"no animation: {error}")
        return None
    every = max(1, frames[0].shape[1] // FRAME_PIXELS)  # small images are enlarged in the pictures
    frames = [np.ascontiguousarray(frame[::every, ::every]) for frame in frames]
    return Picture(f"{len(frames)} pictures, step after step", "gif", gif(frames, FRAMES_PER_SECOND))


def png_bytes(path: Path) -> bytes:
    """Of a whole PNG file. Raises UserError for anything else."""
    with opened_picture(path) as picture:
        picture.load()
        data = path.read_bytes()
    if len(data) > MOST_BYTES:
        raise UserError(f"picture '{path}': {len(data):,} bytes: too large for a report")
    return data
