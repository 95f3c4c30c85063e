"""`gen-dist generate`, `reconstruct`, `interpolate` and `animate`: files of images from a run's last checkpoint."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from gen_dist.errors import UserError
from gen_dist.preparing.few import read_few
from gen_dist.record.pictures import image_grid, save_png
from gen_dist.record.run_folder import RunFolder
from gen_dist.results.files import ANIMATIONS, PICTURE, check_out, paired_rows, write_animation, write_singles
from gen_dist.results.latents import draw_latents, interpolate, through
from gen_dist.results.trained import Trained

MOST_IMAGES, MOST_CANDIDATES = 10_000, 1_000
MOST_PIXELS = 1 << 26  # of a picture or an animation's frame
COLUMNS = 8


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
        if self.truncation is not None and not 0 < self.truncation < math.inf:
            raise UserError(f"--truncation {self.truncation:g}: must be above 0; 0.5 is much, 2 is little")
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
    if not singles:
        check_out(out, [PICTURE])
    trained = Trained.open(run, raw)
    images = best_images(trained, drawing)
    if singles:
        write_singles(out, images)
    else:
        save_png(out, image_grid(images, math.ceil(math.sqrt(len(images)))))


def best_images(trained: Trained, drawing: Drawing) -> np.ndarray:
    """Of each `best_of` candidates the one that the discriminator finds most real: uint8 (count, H, W, C)."""
    chosen = []
    for number in range(drawing.count) if drawing.best_of > 1 else ():
        positions = np.arange(number * drawing.best_of, (number + 1) * drawing.best_of, dtype=np.int64)
        candidates = trained.decode(draw_latents(trained.latent, drawing.seed, positions, drawing.truncation))
        chosen.append(candidates[trained.judge(candidates).argmax()])
    if chosen:
        return np.stack(chosen)
    positions = np.arange(drawing.count, dtype=np.int64)
    return trained.decode(draw_latents(trained.latent, drawing.seed, positions, drawing.truncation))


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
        check_size((len(points) - 1) * way.steps, trained)
        rows = [interpolate(a, b, way.steps, spherical) for a, b in pairwise(points)]
        save_png(out, image_grid(trained.decode(np.concatenate(rows)), way.steps))
        return
    frames = trained.decode(through(list(points), way.steps, spherical))
    write_animation(out, enlarged(frames), frames_per_second)


def check_size(images: int, trained: Trained) -> None:
    if images * trained.size**2 > MOST_PIXELS:
        raise UserError(f"{images} images of {trained.size}×{trained.size} are too large a picture; take fewer --steps")


def check_rate(frames_per_second: float) -> None:
    if not 0.1 <= frames_per_second <= 50:
        raise UserError(f"--fps {frames_per_second:g}: must be between 0.1 and 50")


def enlarged(frames: np.ndarray) -> list[np.ndarray]:
    """Small ones by a whole factor, so that they can be seen."""
    factor = max(1, 256 // frames.shape[1])
    return [frame.repeat(factor, 0).repeat(factor, 1) for frame in frames]


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
    folder = RunFolder.open(run)
    paths = sorted((folder.path / "samples").glob("step-*.png"), key=lambda path: (len(path.name), path.name))
    if not paths:
        raise UserError(f"run folder '{run}': has no pictures yet; wait for some, see train.sample_every")
    chosen = [paths[round(place)] for place in np.linspace(0, len(paths) - 1, min(most, len(paths)))]
    frames = [read_picture(path) for path in chosen]
    if len({frame.shape for frame in frames}) > 1:
        raise UserError(f"run folder '{run}': its pictures are not all of one size; they are not of one run")
    write_animation(out, frames, frames_per_second)
    return len(frames)


def read_picture(path: Path) -> np.ndarray:
    """Of a run folder, which may be a stranger's: uint8, H x W x C. Raises UserError for anything but a small PNG."""
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise UserError(f"picture '{path}': {picture.width}×{picture.height} pixels are too many; remove it")
            grey = picture.mode in ("L", "1")
            found = np.asarray(picture.convert("L" if grey else "RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise UserError(f"picture '{path}': damaged; remove it") from None
    return found[..., None] if grey else found
