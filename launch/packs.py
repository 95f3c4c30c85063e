"""`gen-dist verify`, `merge` and `split` as a person sees them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gen_dist.data.merging import Drop, merge_packs
from gen_dist.data.pack import Pack
from gen_dist.data.pack_items import entries_with_images, label_of
from gen_dist.data.split_rule import SIDES
from gen_dist.data.splitting import split_pack
from gen_dist.errors import UserError
from gen_dist.launch.one_line import one_line

MOST_SHOWN = 20
DROPS: dict[str, Drop] = {"none": "none", "exact": "exact", "near": "near"}


def verify_pack(path: Path) -> int:
    """Exit code 0 if all images are as they were written, else 1, with a line for each that is not, up to 20."""
    pack = Pack.open(path)
    with bar("verifying") as progress:
        damaged = pack.verify(progress)
    if not damaged:
        print(f"{path}: {len(pack)} images, all as they were written")
        return 0
    print(f"{path}: {len(damaged)} of {len(pack)} images are damaged; make the pack again with 'gen-dist prepare'")
    for line in _describe(pack, damaged[:MOST_SHOWN]):
        print(line)
    if len(damaged) > MOST_SHOWN:
        print(f"  and {len(damaged) - MOST_SHOWN} more, up to image {damaged[-1]}")
    return 1


def merge_into(paths: Sequence[Path], drop: str, classes: bool) -> None:
    """The last of `paths` is the pack to make."""
    if drop not in DROPS:
        raise UserError(f"--drop-duplicates {drop}: must be one of {', '.join(DROPS)}")
    if len(paths) < 3:
        given = " ".join(map(str, paths))
        raise UserError(f"merge {given}: give two packs or more, and then the name of the pack to make")
    with bar("merging") as progress:
        merged = merge_packs(paths[:-1], paths[-1], drop=DROPS[drop], classes=classes, progress=progress)
    left_out = "".join(f", {count} {kind} duplicates left out" for kind, count in sorted(merged.dropped.items()))
    classes_of = f", {len(merged.class_names)} classes" if merged.class_names else ""
    print(f"{merged.path}: {merged.images} images of {len(paths) - 1} packs{classes_of}{left_out}")


def split_into(path: Path, out: Path, at: float, by_folder: bool) -> None:
    with bar("splitting") as progress:
        split = split_pack(path, out, at=at, by_folder=by_folder, progress=progress)
    total = sum(split.images)
    for name, count in zip(SIDES, split.images, strict=True):
        print(f"{out / name}: {count} images ({100 * count / total:.1f} %)")
    if split.by_time and not by_folder:
        print(
            f"{split.by_time} of {total} images are frames of videos: the last stretches of each are held out, "
            "because neighbouring frames are too much alike"
        )


@contextmanager
def bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on a terminal, nothing elsewhere; yields `progress(done, total)`."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as shown:
        task = shown.add_task(what, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


def _describe(pack: Pack, indices: Sequence[int]) -> Iterator[str]:
    """A line for each of these images (ascending): its number, the item's name, its class."""
    wanted = iter(indices)
    index = next(wanted, None)
    for entry, its in entries_with_images(pack):
        while index is not None and index in its:
            label = label_of(pack, index)
            of_class = "" if label is None or not pack.class_names else f", class {pack.class_names[label]}"
            yield one_line(f"  image {index}: {entry.name}{of_class}")
            index = next(wanted, None)
        if index is None:
            return
