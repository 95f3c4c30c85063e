"""Packs in the making: what an interrupted try left is gone on with, if it was of the same source and settings."""

import functools
import hashlib
import json
import os
import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from itertools import islice

from gen_dist.config import DecodingSettings, PrepareSettings, flatten
from gen_dist.data.pack_files import About, PackFiles
from gen_dist.data.pack_index import read_index
from gen_dist.data.pack_meta import VERSION, Setting, printable
from gen_dist.errors import UserError
from gen_dist.kernels.warm_up import warm_up
from gen_dist.preparing.decode import MOST_FRAMES
from gen_dist.preparing.decoding import kernel_formats
from gen_dist.preparing.fingerprints import FingerprintFiles
from gen_dist.preparing.intake import Classes, Intake
from gen_dist.preparing.outcome import Outcome
from gen_dist.preparing.pool import Decoder, Piece, Task, pieces
from gen_dist.preparing.recipe import Recipe
from gen_dist.preparing.reuse import Reuse
from gen_dist.preparing.sides import Split, side_of
from gen_dist.preparing.work_folder import Journal, WorkFolder
from gen_dist.sources.source import Item, Source

SECONDS_BETWEEN_JOURNALS = 2.0  # so much work is lost at most; each costs a wait for the disk
_ANY_BYTES = "latin-1"  # names that are not UTF-8, as text that JSON can hold
DECODED_BY = "kernels"  # among the settings: the formats that our kernels read

MakeDecoder = Callable[[Recipe, Collection[str]], Decoder]
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Order:
    """What is to be made of a source whose stamp is `stamp`."""

    source: Source
    stamp: str
    recipe: Recipe
    prepare: PrepareSettings
    decoding: DecodingSettings
    split: Split | None

    @functools.cached_property
    def formats(self) -> tuple[str, ...]:
        """Those that our kernels are to read. Looked up late: a compressed tar is inflated for its size."""
        return kernel_formats(self.decoding.decoder, self.source.total_bytes)

    @property
    def sides(self) -> tuple[str, ...]:
        """Names of the packs; "" is that of an only one."""
        return sides_of(self.split)

    def wished(self) -> dict[str, Setting]:
        """The settings that decide what the packs hold."""
        prepare = flatten(self.prepare.model_dump(exclude={"on_error"}), "data.prepare.")
        decoding = flatten(self.decoding.model_dump(), "data.decoding.")
        split = {} if self.split is None else {"split": self.split.share, "split.by_folder": self.split.by_folder}
        settings = {"data.size": self.recipe.size, **prepare, **decoding, **split}
        return settings  # type: ignore[return-value]  # all settings are plain values

    def settings(self) -> dict[str, Setting]:
        """All that decides what the packs hold, beside the source: those, and what `auto` came to."""
        return {**self.wished(), DECODED_BY: ",".join(self.formats)}

    def key(self) -> str:
        about = [VERSION, self.source.description, self.stamp, self.settings()]
        return hashlib.sha256(json.dumps(about).encode()).hexdigest()


def sides_of(split: Split | None) -> tuple[str, ...]:
    """Names of the packs; "" is that of an only one."""
    return ("",) if split is None else split.sides


class Making:
    """`read`: items that were read. `resumed`: items that an interrupted try had done."""

    def __init__(self, order: Order, work: WorkFolder, reuse: Reuse) -> None:
        self.read = self.resumed = 0
        self._order, self._work, self._reuse = order, work, reuse

    def run(self, workers: int, make_decoder: MakeDecoder, progress: Progress | None) -> None:
        """Until the packs are whole. Raises OSError, UserError."""
        refuse_rejected(self._order, self._order.source.rejected)
        with ExitStack() as stack:
            intake = self._begin(stack)
            if intake is None:
                return
            source, done = self._order.source, intake.tally
            tasks = (Task(item, self._recall(item)) for item in islice(source.items(), done.items, None))
            written = time.monotonic()
            if progress is not None:
                progress(done.items, source.total)
            for some in stack.enter_context(closing(self._pieces(tasks, workers, make_decoder))):
                refuse_rejected(self._order, _reasons(some))
                intake.take(some)
                if progress is not None:
                    progress(done.items, source.total)
                if time.monotonic() - written > SECONDS_BETWEEN_JOURNALS:
                    self._work.write(self._journal(intake))
                    written = time.monotonic()
            self._complete(intake)

    def _pieces(self, tasks: Iterable[Task], workers: int, make_decoder: MakeDecoder) -> Generator[list[Piece]]:
        order = self._order
        warm_up(
            "duplicates", *(["decoding"] if order.formats or order.recipe.keep_jpeg else [])
        )  # the threads would all compile
        return pieces(tasks, lambda: make_decoder(order.recipe, order.formats), workers, _most_bytes(order.recipe))

    def _begin(self, stack: ExitStack) -> Intake | None:
        """The packs as far as they are; None if they are whole."""
        journal = self._work.journal()
        if journal is not None and journal.key == self._order.key():
            self.resumed = journal.tally.items
            if journal.whole:
                return None
            try:
                return self._open(stack, journal)
            except (OSError, ValueError):  # killed in the last moment: something is missing
                self.resumed = 0
        self._work.start_anew()
        return self._open(stack, Journal(key=self._order.key()))

    def _open(self, stack: ExitStack, journal: Journal) -> Intake:
        order, recipe, files = self._order, self._order.recipe, {}
        shape = recipe.size, recipe.size, recipe.channels
        for name, folder in self._work.sides(order.sides).items():
            files[name] = PackFiles(folder, shape, kept=order.prepare.keep, written=journal.files.get(name))
            stack.callback(files[name].discard)
        images = sum(one.images for one in files.values())
        known = FingerprintFiles(self._work.folder, images)
        stack.callback(known.close)
        known_classes = [os.fsdecode(name.encode(_ANY_BYTES)) for name in journal.classes]
        classes = Classes(order.source.class_names, known_classes, journal.loose)
        side = side_of(order.split, order.source)
        tally = replace(journal.tally, images=dict(journal.tally.images))
        return Intake(files, classes, side, order.prepare.drop_duplicates, known=known, tally=tally)

    def _journal(self, intake: Intake) -> Journal:
        """Brings everything to the disk and says how much it is."""
        intake.known.sync()
        return Journal(
            key=self._order.key(),
            tally=intake.tally,
            files={side: files.state() for side, files in intake.files.items()},
            classes=tuple(os.fsencode(name).decode(_ANY_BYTES) for name in intake.classes.known),
            loose=intake.classes.loose,
        )

    def _recall(self, item: Item) -> Callable[[], Outcome | None] | None:
        known = self._reuse.lookup(item)
        self.read += known is None
        return known

    def _complete(self, intake: Intake) -> None:
        order, journal = self._order, self._journal(intake)
        self._work.write(journal)
        unlisted = _rejected(intake.files.values()) if intake.tally.rejected else ()
        rejected = [*order.source.rejected, *unlisted]
        rejected = sorted((printable(name), reason) for name, reason in rejected)
        refuse_rejected(order, rejected)  # an interrupted try may have skipped them
        _check_sides(order, intake, rejected)
        for side, files in intake.files.items():
            counts = {**intake.tally.counts(side), "rejected": len(rejected)}
            about = About(
                order.source.description, counts, intake.classes.names(), rejected, order.stamp, order.settings()
            )
            files.complete(about)
        self._work.write(journal.model_copy(update={"whole": True}))


def refuse_rejected(order: Order, rejected: Iterable[tuple[str, str]]) -> None:
    """Raises UserError for the first, (name, reason), unless such files are skipped."""
    if order.prepare.on_error == "skip":
        return
    for name, reason in rejected:
        raise UserError(
            f"source '{order.source.description}': {printable(name)}: {reason}; "
            "mend or remove the file, or skip such files with --on-error skip"
        )


def _reasons(pieces: Iterable[Piece]) -> Iterator[tuple[str, str]]:
    return ((piece.item.name, piece.outcome) for piece in pieces if isinstance(piece.outcome, str))


def _most_bytes(recipe: Recipe) -> int:
    """Of all images that are made of a file."""
    return recipe.size**2 * recipe.channels * (MOST_FRAMES if recipe.all_frames else 1)


def _rejected(packs: Iterable[PackFiles]) -> Iterator[tuple[str, str]]:
    for files in packs:
        yield from ((entry.name, entry.reason) for entry in read_index(files.folder) if entry.is_rejected)


def _check_sides(order: Order, intake: Intake, rejected: list[tuple[str, str]]) -> None:
    """Raises UserError for a pack without an image."""
    empty = [side for side, files in intake.files.items() if not files.images]
    if len(empty) == len(intake.files):
        first = f" ({rejected[0][0]}: {rejected[0][1]})" if rejected else ""
        files = intake.tally.items + len(order.source.rejected)
        raise UserError(
            f"source '{order.source.description}': none of its {files} files is a readable image{first}; "
            "give a source with images in it"
        )
    if empty:
        raise UserError(
            f"--split {order.split.share if order.split else ''}: leaves no image for '{empty[0]}'; "
            "give another share, or a source of more images or folders"
        )
