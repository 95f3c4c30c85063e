"""`gen-dist prepare` as a person sees it: a bar, then what became of every item."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from gen_dist.config import DataSettings
from gen_dist.data.pack_meta import META
from gen_dist.errors import UserError
from gen_dist.preparing.decoding import Decoder
from gen_dist.preparing.making import MakeDecoder
from gen_dist.preparing.making import Progress as ShowProgress
from gen_dist.preparing.prepare import Prepared, prepare
from gen_dist.preparing.sides import Split
from gen_dist.presets import load_config
from gen_dist.sources.opening import open_source

MOST_SHOWN = 10
KEYS = ("data.decoding.", "data.prepare.")
SECONDS_BETWEEN_LINES = 10.0
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
    """Raises UserError for bad input."""
    data = data_settings(wish)
    if wish.workers is not None and not 1 <= wish.workers <= MOST_WORKERS:
        raise UserError(f"--workers {wish.workers}: must be 1 to {MOST_WORKERS}")
    if wish.split is not None and not 0 < wish.split < 1:
        raise UserError(f"--split {wish.split}: must be between 0 and 1, such as 0.9 for 90 % to train on")
    if wish.by_folder and wish.split is None:
        raise UserError("--by-folder: says how to split; give --split too, such as --split 0.9")
    split = None if wish.split is None else Split(wish.split, wish.by_folder)
    source = open_source(wish.source, data.prepare, data.decoding, downloaded=wish.downloaded, report=print)
    with closing(source), _decoders(wish) as (make_decoder, workers), progress_shown() as progress:
        done = prepare(
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
    _describe(done)


@contextmanager
def _decoders(wish: Wish) -> Iterator[tuple[MakeDecoder, int | None]]:
    if wish.address is None:
        yield Decoder, wish.workers
        return
    from gen_dist.cluster.decoding import cluster_decoders

    with cluster_decoders(wish.address) as (make_decoder, cpus):
        yield make_decoder, wish.workers or cpus


@contextmanager
def progress_shown() -> Iterator[ShowProgress]:
    """A bar on a terminal, a line every ten seconds elsewhere: items, items a second, time left."""
    if Console().is_terminal:
        columns = (TextColumn("decoding"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
        with Progress(*columns, TimeRemainingColumn(), transient=True) as bar:
            yield _Bar(bar)
    else:
        yield _Lines()


class _Rate:
    """Items a second since the first call, which may come late: an interrupted try may have done many."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None

    def __call__(self, done: int) -> float:
        now = time.monotonic()
        if self._first is None:
            self._first = now, done
        return (done - self._first[1]) / max(now - self._first[0], 1e-3)


class _Bar:
    def __init__(self, bar: Progress) -> None:
        self._bar, self._rate = bar, _Rate()
        self._task = bar.add_task("", total=None, rate="")

    def __call__(self, done: int, total: int | None) -> None:
        self._bar.update(self._task, completed=done, total=total, rate=f"{self._rate(done):.0f}/s")


class _Lines:
    def __init__(self) -> None:
        self._rate, self._spoke = _Rate(), time.monotonic()

    def __call__(self, done: int, total: int | None) -> None:
        rate = self._rate(done)
        if time.monotonic() - self._spoke > SECONDS_BETWEEN_LINES:
            self._spoke = time.monotonic()
            left = "" if total is None else f" of {total}, {(total - done) / max(rate, 1e-3):.0f} s left"
            print(f"prepared {done}{left} ({rate:.0f}/s)", flush=True)


def _describe(done: Prepared) -> None:
    """What there is now, and what became of every item that gave no image."""
    first = next(iter(done.packs.values())).meta
    if done.unchanged:
        print(f"{done.path}: nothing to do: {done.images} images, made from the same source with the same settings")
        return
    height, width, _ = first.shape
    rate = first.counts["files"] / max(done.seconds, 1e-9)
    what = f"{done.images} images of {width}x{height} in {done.seconds:.1f} s ({rate:.0f} items/s)"
    print(f"{done.path}: {what}")
    if done.resumed:
        print(f"went on after the {done.resumed} items of an interrupted try")
    if (known := first.counts["files"] - done.resumed - done.read) > 0:
        print(f"read {done.read} items; the other {known} were in the pack already")
    for side, pack in done.packs.items():
        if side:
            print(f"{done.path / side}: {len(pack)} images")
    if first.class_names:
        print(f"classes: {len(first.class_names)}")
    for kind in ("exact", "near"):
        if count := first.counts[f"{kind}_duplicates"]:
            dropped = str(first.settings["data.prepare.drop_duplicates"])
            fate = "left out" if dropped in (kind, "near") else f"kept; --drop-duplicates {kind} leaves them out"
            print(f"{kind} duplicates: {count} ({fate})")
    _print_rejected([(one.name, one.reason) for one in first.rejected], next(iter(done.packs.values())).path / META)


def _print_rejected(rejected: list[tuple[str, str]], listed: Path) -> None:
    if not rejected:
        return
    print(f"rejected: {len(rejected)} (all are listed in {listed})")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("files", justify="right")
    table.add_column("reason", overflow="fold")
    table.add_column("such as", overflow="fold")
    first = {}
    for name, reason in reversed(rejected):
        first[reason] = name
    reasons = Counter(reason for _, reason in rejected)
    for reason, count in reasons.most_common(MOST_SHOWN):
        table.add_row(str(count), Text(reason), Text(first[reason]))
    Console(soft_wrap=not Console().is_terminal).print(table)
    if len(reasons) > MOST_SHOWN:
        print(f"and {len(reasons) - MOST_SHOWN} other reasons")
