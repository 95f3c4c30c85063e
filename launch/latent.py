"""`gen-dist latent`: where a run's model puts images, and what it makes of the places between them."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gen_dist.atomic import write_atomic
from gen_dist.draws import Draws
from gen_dist.errors import UserError
from gen_dist.launch.generating import check_seed
from gen_dist.record.pictures import image_grid, save_png
from gen_dist.results.files import check_parent, check_pixels
from gen_dist.results.images import open_images
from gen_dist.results.latent_space import Cloud, plane_of, scatter, view
from gen_dist.results.trained import Trained
from gen_dist.scores.inputs import blocks, choose
from gen_dist.sources.opening import is_known_name

LEAST_POINTS, MOST_POINTS, MOST_SIDE = 4, 100_000, 60
GRID, FLAT, SOLID = "latent-grid.png", "latent-2d.html", "latent-3d.html"


@dataclass(frozen=True)
class Wanted:
    """`data`: a pack or source in place of the run's own. `count`: images, at most. `side`: of the grid."""

    data: str | None
    count: int
    side: int
    seed: int

    def check(self) -> None:
        """Raises UserError for numbers out of range."""
        if not LEAST_POINTS <= self.count <= MOST_POINTS:
            raise UserError(f"--count {self.count}: must be between {LEAST_POINTS} and {MOST_POINTS}")
        if not 2 <= self.side <= MOST_SIDE:
            raise UserError(f"--side {self.side}: must be between 2 and {MOST_SIDE}")
        check_seed(self.seed)


def show_latent_space(run: Path, out: Path, wanted: Wanted, raw: bool) -> list[Path]:
    """Write a grid of decoded images, and scatter plots of images in two and three dimensions; returns the files.

    Raises:
        UserError: no run, no checkpoint, a model that cannot encode, no such data, a place that cannot be written to.
    """
    wanted.check()
    check_parent(out)
    if os.path.lexists(out) and not os.path.isdir(out):
        raise UserError(f"--out {out}: cannot be made: there is a file in the way; give another place")
    plotly = import_plotly()
    trained = Trained.open(run, raw)
    trained.require_encoder()
    check_pixels(1, wanted.side * (trained.size + 1), wanted.side * (trained.size + 1), "--side")
    cloud, names = encode_some(trained, wanted)
    title = f"{trained.config.preset or run.name}, step {trained.step:,}: {len(names):,} images"
    grid = trained.decode(plane_of(trained.latent, cloud).grid(wanted.side))
    make_folder(out)
    for name in (GRID, FLAT, SOLID):  # of another run
        (out / name).unlink(missing_ok=True)
    save_png(out / GRID, image_grid(grid, wanted.side, gap=1, scale=1))
    written = [out / GRID]
    for dimensions, name in ((2, FLAT), (3, SOLID)):
        if dimensions == 2 or trained.latent.size > 2:
            figure = scatter(view(cloud, dimensions), cloud, names, title)
            write_page(out / name, plotly.to_html(figure, include_plotlyjs=True, default_height="96vh"))
            written.append(out / name)
    return written


def make_folder(out: Path) -> None:
    try:
        out.mkdir(exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {out}: cannot be made ({error.strerror}); give another place") from None


def write_page(path: Path, page: str) -> None:
    try:
        write_atomic(path, page.encode())
    except OSError as error:
        raise UserError(f"--out {path.parent}: cannot be written ({error.strerror}); give another place") from None


def encode_some(trained: Trained, wanted: Wanted, downloads: bool = True) -> tuple[Cloud, list[str]]:
    """Images that the seed chooses, and a name for each. `downloads`: data sets known by name may be fetched.

    Raises:
        UserError: there are no images, or too few, or none that may be fetched.
    """
    named = wanted.data or trained.config.data.path
    if not downloads and is_known_name(named):
        raise UserError(
            f"data.path {named}: is not downloaded for this; make a pack of it: gen-dist prepare {named} PACK"
        )
    pack = open_images(trained, wanted.data, print)
    if len(pack) < LEAST_POINTS:
        path = wanted.data or trained.config.data.path
        raise UserError(f"--data {path}: {len(pack)} images; a latent space needs at least {LEAST_POINTS}")
    chosen = np.sort(choose(Draws(wanted.seed), "latent space", len(pack), min(wanted.count, len(pack))))
    labels = np.full(len(chosen), -1) if pack.labels is None else np.asarray(pack.labels[chosen])
    z_NZ = np.concatenate([trained.encode(pack.read(chosen[some])) for some in blocks(len(chosen), trained.at_once)])
    if not np.isfinite(z_NZ).all():
        raise UserError(f"run '{trained.path}': its latents are not finite; the model has diverged")
    return Cloud(z_NZ, labels, pack.class_names or ()), [f"image {number}" for number in chosen]


def import_plotly():  # type: ignore[no-untyped-def]
    """Raises UserError where it is not installed."""
    try:
        import plotly.io
    except ImportError:
        raise UserError("gen-dist latent: needs plotly: pip install 'gen-dist-train[plots]'") from None
    return plotly.io
