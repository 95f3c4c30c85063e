"""One pack into two: what trains and what is held out."""

import secrets
import shutil
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gen_dist.atomic import sync_folder
from gen_dist.data.pack import Pack
from gen_dist.data.pack_files import PART_BYTES, About, PackFiles
from gen_dist.data.pack_items import checked_images, entries_with_images, label_of, size_of
from gen_dist.data.pack_writer import check_free, publish, unwritable
from gen_dist.data.split_rule import HELD_OUT, SIDES, TRAIN, is_frame, share_of_content, sides_of_blocks
from gen_dist.errors import UserError

_BY_CONTENT = 2  # in place of a side


@dataclass(frozen=True)
class Split:
    """What `split_pack` did. `images`: of each side. `by_time`: how many of all images are stretches of videos."""

    path: Path
    images: tuple[int, int]
    by_time: int


def split_pack(
    path: Path,
    out: Path,
    *,
    at: float = 0.9,
    by_folder: bool = False,
    progress: Callable[[int, int], None] | None = None,
    part_bytes: int = PART_BYTES,
) -> Split:
    """Writes a folder `out` with the packs `train` and `held-out`; both or none.

    About a share `at` of the images trains: chosen by what each image holds, or with `by_folder` by whole folders;
    frames of videos always by stretches of time. See `split_rule`. Both packs keep all class names; what gave no
    image is noted in the pack that trains. Memory grows by five bytes an image. `progress(done, total)` is called with
    numbers of images. Raises UserError for a share that is not between 0 and 1, a damaged pack, a side without an
    image, a pack without folders to split by, and where `out` exists or cannot be written.
    """
    if not 0 < at < 1:
        raise UserError(f"--at {at:g}: must be between 0 and 1, such as 0.9 to train on nine images of ten")
    check_free(out)
    pack = Pack.open(path)
    sides, by_time = _sides(pack, at, by_folder)
    _check_sides(pack, sides, at, by_folder)
    with _both(out, pack, part_bytes) as (folder, files):
        _copy(pack, sides, files, progress or (lambda done, total: None))
        images = (files[TRAIN].images, files[HELD_OUT].images)
        rejected = [(one.name, one.reason) for one in pack.meta.rejected]
        for side, its in enumerate(files):
            its.complete(
                About(
                    source=pack.meta.source,
                    counts={"images": its.images, "of": len(pack)},
                    class_names=pack.class_names,
                    rejected=rejected if side == TRAIN else (),
                    settings=pack.meta.settings,
                )
            )
            sync_folder(its.folder)
        publish(folder, Path(out))
    return Split(Path(out), images, by_time)


def _sides(pack: Pack, at: float, by_folder: bool) -> tuple[np.ndarray, int]:
    """The side of each image, uint8 (n,), and how many are decided by time."""
    blocks: Counter[str] = Counter()
    by_time = 0
    for entry, indices in entries_with_images(pack):
        by_time += len(indices) if is_frame(entry.name, entry.block) else 0
        if indices and (by_folder or is_frame(entry.name, entry.block)):
            blocks[entry.block] += len(indices)
    if by_folder and len(blocks) < 2:
        raise UserError(
            f"pack '{pack.path}': all its images are from one folder; split it without --by-folder, by content"
        )
    of_block, sides = sides_of_blocks(blocks, at), array("B")
    for entry, indices in entries_with_images(pack):
        by_block = by_folder or is_frame(entry.name, entry.block)
        sides.extend([of_block.get(entry.block, _BY_CONTENT) if by_block else _BY_CONTENT] * len(indices))
    found, rule = np.frombuffer(sides, np.uint8).copy(), share_of_content(at)
    if (found == _BY_CONTENT).any():
        for index, image in enumerate(checked_images(pack)):
            if found[index] == _BY_CONTENT:
                found[index] = rule.side(image)
    return found, by_time


def _check_sides(pack: Pack, sides: np.ndarray, at: float, by_folder: bool) -> None:
    for side, name in enumerate(SIDES):
        if not (sides == side).any():
            how = "its folders" if by_folder else "its images"
            raise UserError(
                f"pack '{pack.path}': with --at {at:g}, {how} leave none for the side '{name}'; "
                "give a share nearer to 0.5, or a pack of more images"
            )


def _copy(pack: Pack, sides: np.ndarray, files: list[PackFiles], progress: Callable[[int, int], None]) -> None:
    images = checked_images(pack)
    for entry, indices in entries_with_images(pack):
        counts = [0, 0]
        for index in indices:
            image, side = next(images), int(sides[index])
            stored = image if pack.meta.kept == "jpeg" else np.frombuffer(image, np.uint8).reshape(pack.shape)
            files[side].append(stored, label_of(pack, index), size_of(pack, index))
            counts[side] += 1
        for side, count in enumerate(counts):
            if count or (side == TRAIN and not indices):
                files[side].note(replace(entry, images=count))
        progress(indices.stop, len(pack))


@contextmanager
def _both(out: Path, pack: Pack, part_bytes: int) -> Iterator[tuple[Path, list[PackFiles]]]:
    """The files of both packs in a folder beside `out`, which is gone afterwards unless it was given another name."""
    folder = Path(out).parent / f".{Path(out).name}.{secrets.token_hex(4)}.tmp"
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        try:
            files = []
            for side in SIDES:
                (folder / side).mkdir(parents=True)
                files.append(PackFiles(folder / side, pack.shape, kept=pack.meta.kept, part_bytes=part_bytes))
                stack.callback(files[-1].discard)
            yield folder, files
        except OSError as error:
            raise unwritable(Path(out), error) from error
