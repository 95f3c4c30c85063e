"""`gen-dist prepare` as a person sees it: a bar, then what became of every item."""

import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gen_dist.config import DataSettings
from gen_dist.data.pack_meta import META
from gen_dist.errors import UserError
from gen_dist.launch.one_line import one_line
from gen_dist.launch.showing_progress import downloads_shown, progress_shown
from gen_dist.launch.signals import Interrupted
from gen_dist.preparing.decoding import Decoder
from gen_dist.preparing.making import MakeDecoder
from gen_dist.preparing.prepare import Prepared, check_place, prepare
from gen_dist.preparing.recipe import recipe_of
from gen_dist.preparing.sides import Split
from gen_dist.preparing.work_folder import work_folder_of
from gen_dist.presets import load_config
from gen_dist.sources.opening import Opening, open_source

MOST_SHOWN = 10
KEYS = ("data.decoding.", "data.prepare.")
MOST_WORKERS = 1024


@dataclass(frozen=True)
class Wish:
    """What the command line asks for. `options`: settings by key, None for those that are not given."""

    source: str
    out: Path
    size: int
    options: Mapping[str, object]
    overrides: list[str] = field(default_factory=list)
    split: float | None = None
    by_folder: bool = False
    workers: int | None = None
    address: str | None = None
    downloaded: Path | None = None


def data_settings(wish: Wish) -> DataSettings:
    """The settings as `gen-dist train` would read them. Raises UserError for what they do not allow."""
    for override in wish.overrides:
        if not override.startswith(KEYS):
            raise UserError(f"override '{override}': only {' and '.join(f'{key}*' for key in KEYS)} matter here")
    given = [f"data.prepare.{key}={value}" for key, value in wish.options.items() if value is not None]
    return load_config("smoke", [*given, *wish.overrides]).data  # any preset: none of them says how to prepare


def prepare_with_progress(wish: Wish) -> None:
    """Raises UserError for bad input; for what can be known, before anything is downloaded or read."""
    data = data_settings(wish)
    if wish.workers is not None and not 1 <= wish.workers <= MOST_WORKERS:
        raise UserError(f"--workers {wish.workers}: must be 1 to {MOST_WORKERS}")
    if wish.split is not None and not 0 < wish.split < 1:
        raise UserError(f"--split {wish.split}: must be between 0 and 1, such as 0.9 for 90 % to train on")
    if wish.by_folder and wish.split is None:
        raise UserError("--by-folder: says how to split; give --split too, such as --split 0.9")
    recipe_of(wish.size, data.prepare, data.decoding)
    split = None if wish.split is None else Split(wish.split, wish.by_folder)
    check_place(wish.out, split)
    try:
        _describe(_prepare(wish, data, split))
    except Interrupted:
        kept = " what is done is kept;" if os.path.lexists(work_folder_of(wish.out)) else ""
        print(f"gen-dist: interrupted;{kept} give the same command again to go on", file=sys.stderr)
        raise


def _prepare(wish: Wish, data: DataSettings, split: Split | None) -> Prepared:
    with downloads_shown() as downloads:
        how = Opening(data.prepare, data.decoding, downloaded=wish.downloaded, report=_say, progress=downloads)
        source = open_source(wish.source, how)
    with closing(source), _decoders(wish) as (make_decoder, workers), progress_shown() as progress:
        return prepare(
            source,
            wish.out,
            wish.size,
            data.prepare,
            data.decoding,
            split=split,
            workers=workers,
            make_decoder=make_decoder,
            progress=progress,
        )


def _say(text: str) -> None:
    print(one_line(text))


@contextmanager
def _decoders(wish: Wish) -> Iterator[tuple[MakeDecoder, int | None]]:
    if wish.address is None:
        yield Decoder, wish.workers
        return
    from gen_dist.cluster.decoding import cluster_decoders

    with cluster_decoders(wish.address) as (make_decoder, cpus):
        yield make_decoder, wish.workers or cpus


def _describe(done: Prepared) -> None:
    """What there is now, and what became of every item that gave no image."""
    first = next(iter(done.packs.values())).meta
    if done.unchanged:
        _say(f"{done.path}: nothing to do: {done.images} images, made from the same source with the same settings")
        return
    height, width, _ = first.shape
    rate = (first.counts["files"] - done.resumed) / max(done.seconds, 1e-9)
    what = f"{done.images} images of {width}x{height} in {done.seconds:.1f} s ({rate:.0f} items/s)"
    _say(f"{done.path}: {what}")
    if done.resumed:
        _say(f"went on after the {done.resumed} items of an interrupted try")
    if (known := first.counts["files"] - done.resumed - done.read) > 0:
        _say(f"read {done.read} items; the other {known} were in the pack already")
    for side, pack in done.packs.items():
        if side:
            _say(f"{done.path / side}: {len(pack)} images")
    if first.class_names:
        _say(f"classes: {len(first.class_names)}")
    for kind in ("exact", "near"):
        if count := first.counts[f"{kind}_duplicates"]:
            dropped = str(first.settings["data.prepare.drop_duplicates"])
            fate = "left out" if dropped in (kind, "near") else f"kept; --drop-duplicates {kind} leaves them out"
            _say(f"{kind} duplicates: {count} ({fate})")
    _print_rejected([(one.name, one.reason) for one in first.rejected], next(iter(done.packs.values())).path / META)


def _print_rejected(rejected: list[tuple[str, str]], listed: Path) -> None:
    if not rejected:
        return
    _say(f"rejected: {len(rejected)} (all are listed in {listed})")
    first = {reason: name for name, reason in reversed(rejected)}
    reasons = Counter(reason for _, reason in rejected)
    rows = [
        (str(count), one_line(reason), one_line(first[reason])) for reason, count in reasons.most_common(MOST_SHOWN)
    ]
    if Console().is_terminal:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("files", justify="right")
        table.add_column("reason", overflow="fold")
        table.add_column("such as", overflow="fold")
        for row in rows:
            table.add_row(*map(Text, row))
        Console().print(table)
    else:
        for count, reason, name in rows:
            print(f"{count:>7}  {reason}, such as {name}")
    if len(reasons) > MOST_SHOWN:
        print(f"and {len(reasons) - MOST_SHOWN} other reasons")
