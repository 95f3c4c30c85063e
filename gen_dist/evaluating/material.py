"""The images that a run is judged by: what its samples are compared with, and other real ones for the floor."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from gen_dist.data.pack import Pack
from gen_dist.draws import Draws
from gen_dist.errors import UserError
from gen_dist.evaluating.crew import Readable
from gen_dist.results.images import open_images
from gen_dist.results.trained import Trained
from gen_dist.scores.estimate import MOST_PARTS
from gen_dist.scores.inputs import blocks, choose

LEAST_IMAGES, PART_IMAGES, MOST_PART_IMAGES = 8, 250, 2500
LEAST_PARTED = 16  # images that are cut into parts at all

Report = Callable[[str], None]


@dataclass(frozen=True)
class Chosen(Readable):
    """Images of a pack, in the order in which they are used."""

    pack: Pack
    indices: np.ndarray

    def __len__(self) -> int:
        return len(self.indices)

    def cut(self, size: int) -> list["Chosen"]:
        """So many at a time."""
        return [replace(self, indices=self.indices[some]) for some in blocks(len(self), size)]

    def first(self, count: int) -> "Chosen":
        return replace(self, indices=self.indices[:count])

    def read(self) -> np.ndarray:
        """uint8 (n, H, W, C)."""
        images = self.pack.read(self.indices)
        self.pack.forget()
        return images

    @property
    def labels(self) -> np.ndarray | None:
        return None if self.pack.labels is None else np.asarray(self.pack.labels[self.indices])


@dataclass(frozen=True)
class Material:
    """`reference`: what samples and models are held against. `real`: other real images. `others`: that are in neither.
    `train`: None where the training images are not here. `held_out`: whether the model has not seen the reference."""

    reference: Chosen
    real: Chosen
    others: Chosen
    train: Pack | None
    held_out: bool
    notes: list[str] = field(default_factory=list)

    @property
    def parts(self) -> int:
        """How many disjoint parts distances are taken on."""
        count = len(self.reference)
        return 1 if count < LEAST_PARTED else min(MOST_PARTS, max(2, count // PART_IMAGES))

    @property
    def part_size(self) -> int:
        return min(MOST_PART_IMAGES, len(self.reference) // self.parts)

    def in_parts(self, images: Chosen) -> list[Chosen]:
        return images.first(self.parts * self.part_size).cut(self.part_size)


def gather_material(trained: Trained, data: str | None, count: int, seed: int, report: Report) -> Material:
    """Open the images and choose, by the seed, up to `count` to compare with and as many others.

    With `data`, images that were held out: compared with these, the floor is the training images'. Without, or where
    the training images are not here, one set is cut into two.

    Raises:
        UserError: there are no images of that name, or too few, or of another kind than the model's.
    """
    notes: list[str] = []
    train = open_own(trained, report, None if data is None else notes)
    if data is None:
        assert train is not None  # open_own raises
        return cut_up(train, train, count, seed, [NOT_HELD_OUT], held_out=False)
    other = open_images(trained, data, report)
    if train is None and other.content_hash == trained.data_hash:
        return cut_up(other, other, count, seed, [f"--data {data} are the training images; {NOT_HELD_OUT}"], False)
    if train is None:
        return cut_up(other, None, count, seed, notes, held_out=True)
    new = np.flatnonzero(~np.isin(other.checksums, train.checksums))
    if not len(new):
        notes.append(f"all images of --data {data} are training images; {NOT_HELD_OUT}")
        return cut_up(other, train, count, seed, notes, held_out=False)
    if len(new) < len(other):
        notes.append(f"{len(other) - len(new):,} images of --data {data} are training images too, and left out")
    if train.meta.kept != other.meta.kept:
        notes.append("one of the packs keeps files, the other pixels: that no image is in both cannot be seen")
    draws = Draws(seed)
    mine = choose(draws, "evaluation/real", len(train), len(train))
    size = min(count, len(new), len(train) if train.labels is None else 2 * len(train) // 3)
    check_count(size)
    reference = new[choose(draws, "evaluation/reference", len(new), size)]
    return Material(
        Chosen(other, reference), Chosen(train, mine[:size]), Chosen(train, mine[size:]), train, True, notes
    )


NOT_HELD_OUT = "the images were trained on: a model that repeats them scores well; --data names others"


def cut_up(pack: Pack, train: Pack | None, count: int, seed: int, notes: list[str], held_out: bool) -> Material:
    """One set of images in the place of two; where they have classes, a third is left to train a classifier on."""
    size = min(count, len(pack) // (2 if pack.labels is None else 3))
    check_count(size)
    order = choose(Draws(seed), "evaluation/halves", len(pack), len(pack))
    reference, real, others = order[:size], order[size : 2 * size], order[2 * size :]
    return Material(Chosen(pack, reference), Chosen(pack, real), Chosen(pack, others), train, held_out, notes)


def check_count(size: int) -> None:
    if size < LEAST_IMAGES:
        raise UserError(f"images: {size} to compare with; scores need at least {LEAST_IMAGES}; give more, with --data")


def open_own(trained: Trained, report: Report, notes: list[str] | None) -> Pack | None:
    """What the run was trained on; None, and a note, where it is not here and notes are taken."""
    data = trained.config.data
    try:
        pack = open_images(trained, None, report)
    except UserError as error:
        if notes is None:
            raise UserError(f"{error}; or name other images: --data PACK") from None
        notes.append(f"the training images are not here ({data.path}): the images of --data are cut into two halves")
        return None
    if trained.data_hash not in (None, pack.content_hash):
        if notes is None:
            raise UserError(f"data.path '{data.path}': its images have changed since the run; name images: --data PACK")
        notes.append(f"the training images ({data.path}) have changed since: those of --data are cut into two halves")
        return None
    return pack
