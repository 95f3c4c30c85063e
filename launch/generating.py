"""`gen-dist generate`, `reconstruct`, `interpolate` and `animate`: files of images from a run's last checkpoint."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from gen_dist.errors import UserError
from gen_dist.preparing.few import read_few
from gen_dist.record.pictures import image_grid, save_png
from gen_dist.record.run_folder import RunFolder
from gen_dist.results.files import (
    ANIMATIONS,
    PICTURE,
    check_new_folder,
    check_out,
    check_pixels,
    paired_rows,
    write_animation,
    write_singles,
)
from gen_dist.results.latents import draw_latents, interpolate, through
from gen_dist.results.pictures import training_frames
from gen_dist.results.trained import Trained
from gen_dist.scores.inputs import blocks

MOST_IMAGES, MOST_CANDIDATES = 10_000, 1_000
MOST_TRUNCATION = 8  # standard deviations: nothing is beyond
COLUMNS = 8
SEEN = 256  # pixels: to about that side, frames of small images are enlarged


@dataclass(frozen=True)
class Drawing:
    """Which images are drawn: image i depends on the seed and i, whatever their number."""

    count: int
    seed: int
    truncation: float | None = None
    best_of: int = 1

    def check(self) -> None:
        """Raises UserError for numbers out of range."""
        if not 1 <= self.count <= MOST_IMAGES:
            raise UserError(f"--count {self.count}: must be between 1 and {MOST_IMAGES}")
        check_seed(self.seed)
        if self.truncation is not None and not 0 < self.truncation <= MOST_TRUNCATION:
            raise UserError(f"--truncation {self.truncation:g}: must be above 0, and at most {MOST_TRUNCATION}")
        if not 1 <= self.best_of <= MOST_CANDIDATES:
            raise UserError(f"--best-of {self.best_of}: must be between 1 and {MOST_CANDIDATES}")


def check_seed(seed: int) -> None:
    if not 0 <= seed < 2**63:
        raise UserError(f"--seed {seed}: must be between 0 and 2^63 - 1")


def generate(run: Path, out: Path, drawing: Drawing, raw: bool) -> None:
    """Write new images: as one grid if `out` ends in .png, else each as a file in that folder.

    Raises:
        UserError: no run, no checkpoint, numbers out of range, or a place that cannot be written to.
    """
    drawing.check()
    singles = not out.suffix
    if singles:
        check_new_folder(out)
    else:
        check_out(out, [PICTURE])
    trained = Trained.open(run, raw)
    if drawing.best_of > 1:
        trained.require_judge()
    if singles:
        parts = blocks(drawing.count, trained.at_once)
        write_singles(out, (best_images(trained, drawing, range(part.start, part.stop)) for part in parts))
        return
    side = cell_side(trained.size)
    columns = math.ceil(math.sqrt(drawing.count))
    check_pixels(1, columns * side, columns * side, "--count, or --out without an ending for single files")
    save_png(out, image_grid(best_images(trained, drawing, range(drawing.count)), columns))


def best_images(trained: Trained, drawing: Drawing, numbers: range) -> np.ndarray:
    """Of each `best_of` candidates the one that the discriminator finds most real: uint8 (n, H, W, C)."""
    if drawing.best_of == 1:
        return draw_images(trained, drawing, numbers)
    chosen = []
    for number in numbers:
        candidates = draw_images(trained, drawing, range(number * drawing.best_of, (number + 1) * drawing.best_of))
        chosen.append(candidates[trained.judge(candidates).argmax()])
    return np.stack(chosen)


def draw_images(trained: Trained, drawing: Drawing, numbers: range) -> np.ndarray:
    positions = np.arange(numbers.start, numbers.stop, dtype=np.int64)
    return trained.decode(draw_latents(trained.latent, drawing.seed, positions, drawing.truncation))


def cell_side(size: int) -> int:
    """Of an image in a grid, which enlarges small ones, and its gap."""
    return image_grid(np.zeros((1, size, size, 1), np.uint8), 1, gap=1).shape[0]


def reconstruct(run: Path, names: Sequence[str], out: Path, count: int, raw: bool) -> float:
    """Write rows of images, each over the row of what the model makes of them; returns the mean squared error, of
    pixels in [0, 1].

    Raises:
        UserError: as `generate`; a run that cannot encode, images that cannot be read.
    """
    if not 1 <= count <= MOST_IMAGES:
        raise UserError(f"--count {count}: must be between 1 and {MOST_IMAGES}")
    check_out(out, [PICTURE])
    trained = Trained.open(run, raw)
    trained.require_encoder()
    side = cell_side(trained.size)
    check_pixels(1, 2 * math.ceil(count / COLUMNS) * side, min(count, COLUMNS) * side, "--count")
    images = read_few(names, trained.config.data, trained.channels, count).images
    made = trained.decode(trained.encode(images))
    save_png(out, paired_rows(images, made, COLUMNS))
    return float(np.mean(((images.astype(np.float32) - made) / 255) ** 2))


@dataclass(frozen=True)
class Way:
    """Which latents lie on the way: `steps` from one point to the next, between `images` or drawn points."""

    images: tuple[str, ...]
    steps: int
    rows: int
    seed: int

    def check(self) -> None:
        """Raises UserError for numbers out of range."""
        if not 2 <= self.steps <= MOST_CANDIDATES:
            raise UserError(f"--steps {self.steps}: must be between 2 and {MOST_CANDIDATES}")
        if not 1 <= self.rows <= MOST_CANDIDATES:
            raise UserError(f"--rows {self.rows}: must be between 1 and {MOST_CANDIDATES}")
        check_seed(self.seed)

    def points(self, trained: Trained) -> tuple[np.ndarray, bool]:
        """The points, and whether ways between them are arcs: drawn from a normal distribution, they are."""
        if self.images:
            trained.require_encoder()
            found = read_few(self.images, trained.config.data, trained.channels, MOST_CANDIDATES)
            if len(found.names) < 2:
                raise UserError(f"IMAGES {' '.join(self.images)}: one image; give two, or none for drawn ones")
            return trained.encode(found.images), False
        positions = np.arange(self.rows + 1, dtype=np.int64)
        return draw_latents(trained.latent, self.seed, positions), trained.latent.prior == "normal"


def interpolate_images(run: Path, out: Path, way: Way, frames_per_second: float, raw: bool) -> None:
    """Write the way from image to image: as rows of a PNG, or as a GIF or MP4 that goes through all and back.

    Raises:
        UserError: as `generate`; images given to a run that cannot encode.
    """
    way.check()
    check_rate(frames_per_second)
    check_out(out, [PICTURE, *ANIMATIONS])
    trained = Trained.open(run, raw)
    points, spherical = way.points(trained)
    if out.suffix.lower() == PICTURE:
        side = cell_side(trained.size)
        check_pixels(1, (len(points) - 1) * side, way.steps * side, "--steps, --rows or IMAGES")
        rows = [interpolate(a, b, way.steps, spherical) for a, b in pairwise(points)]
        save_png(out, image_grid(trained.decode(np.concatenate(rows)), way.steps))
        return
    factor = max(1, SEEN // trained.size)
    side = trained.size * factor
    check_pixels(len(points) * way.steps, side, side, "--steps, --rows or IMAGES")
    frames = trained.decode(through(list(points), way.steps, spherical))
    write_animation(out, [frame.repeat(factor, 0).repeat(factor, 1) for frame in frames], frames_per_second)


def check_rate(frames_per_second: float) -> None:
    if not 0.1 <= frames_per_second <= 50:
        raise UserError(f"--fps {frames_per_second:g}: must be between 0.1 and 50")


def animate(run: Path, out: Path, frames_per_second: float, most: int) -> int:
    """Write the run's pictures of samples, which are of the same latents from step to step, as a GIF or MP4; returns
    the number of frames.

    Raises:
        UserError: no run, no pictures or damaged ones, or a place that cannot be written to.
    """
    check_rate(frames_per_second)
    if most < 2:
        raise UserError(f"--frames {most}: must be at least 2")
    check_out(out, list(ANIMATIONS))
    frames = training_frames(RunFolder.open(run).path, most)
    if not frames:
        raise UserError(f"run folder '{run}': has no pictures yet; wait for some, see train.sample_every")
    write_animation(out, frames, frames_per_second)
    return len(frames)
