"""A source into a pack: listed, decoded by many workers, written in order, gone on with after a kill."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gen_dist.cgroups import cpus
from gen_dist.config import DecodingSettings, PrepareSettings
from gen_dist.data.pack import Pack
from gen_dist.data.pack_meta import META, Setting, printable
from gen_dist.data.pack_writer import check_free, unwritable
from gen_dist.errors import UserError
from gen_dist.preparing.decoding import Decoder as LocalDecoder
from gen_dist.preparing.making import DECODED_BY, MakeDecoder, Making, Order, Progress, refuse_rejected, sides_of
from gen_dist.preparing.recipe import recipe_of
from gen_dist.preparing.reuse import Reuse
from gen_dist.preparing.sides import Split
from gen_dist.preparing.work_folder import WorkFolder
from gen_dist.sources.source import Source


@dataclass(frozen=True)
class Prepared:
    """What `prepare` did.

    Args:
        packs: the packs of the sides of a split; "" is the only one without.
        unchanged: they were there already.
        read: items that were read, not taken from an earlier pack or an interrupted try.
        resumed: items that an interrupted try had done.
    """

    path: Path
    packs: Mapping[str, Pack]
    seconds: float
    unchanged: bool = False
    read: int = 0
    resumed: int = 0

    @property
    def images(self) -> int:
        return sum(map(len, self.packs.values()))


def prepare(
    source: Source,
    out: Path,
    size: int,
    prepare: PrepareSettings | None = None,
    decoding: DecodingSettings | None = None,
    *,
    split: Split | None = None,
    workers: int | None = None,
    make_decoder: MakeDecoder = LocalDecoder,
    earlier: Sequence[Pack] = (),
    progress: Progress | None = None,
) -> Prepared:
    """Makes the pack `out` of `size` x `size` images of a source, or two packs in the folder `out`, if it is split.

    The bytes of the packs do not depend on `workers`, on `make_decoder`, nor on how often the process was killed and
    started again. Where `out` is a pack of the same source and settings: nothing is done if the source is as it was,
    else only new and changed items are read, and the new pack takes its place. `earlier`: other packs in which items
    are looked up. `progress(done, total)` is called with numbers of items.

    Raises UserError for settings that are no good, a source without a readable image, a file that gives none if
    `prepare.on_error` is "fail", and an `out` that is something else or cannot be written.
    """
    started = time.perf_counter()
    order = order_of(source, size, prepare or PrepareSettings(), decoding or DecodingSettings(), split)
    _existing(out, order)  # what is refused costs nobody's interrupted try
    with WorkFolder(out) as work, _cleared(work, out):
        existing = _existing(out, order)
        if existing and all(pack.meta.source_stamp == order.stamp for pack in existing.values()):
            work.remove()
            refuse_rejected(order, [(one.name, one.reason) for one in existing[order.sides[0]].meta.rejected])
            return Prepared(out, existing, time.perf_counter() - started, unchanged=True)
        usable = [pack for pack in [*existing.values()] or earlier if pack.meta.settings == order.settings()]
        making = Making(order, work, Reuse(usable, order.recipe))
        making.run(workers or cpus(), make_decoder, progress)
        work.publish()
    return Prepared(out, _open(out, order), time.perf_counter() - started, read=making.read, resumed=making.resumed)


@contextmanager
def _cleared(work: WorkFolder, out: Path) -> Iterator[None]:
    """Leaves what can be gone on with after an interruption; nothing after an error, or where there is nothing yet."""
    try:
        yield
    except BaseException as error:
        unlistened = isinstance(error, BrokenPipeError)  # whoever was told of the progress has gone: an interruption
        failed = isinstance(error, OSError | UserError) and not unlistened
        if failed or work.journal() is None:
            work.remove()
        if isinstance(error, OSError) and not unlistened:
            raise unwritable(out, error) from error
        raise


def order_of(
    source: Source, size: int, prepare: PrepareSettings, decoding: DecodingSettings, split: Split | None = None
) -> Order:
    """Raises UserError for settings that are no good."""
    return Order(source, source.stamp(), recipe_of(size, prepare, decoding), prepare, decoding, split)


def check_place(out: Path, split: Split | None) -> None:
    """Raises UserError if there is something at `out` that is not meant as the pack, or the packs of a split."""
    if not all(os.path.isfile(out / side / META) for side in sides_of(split)):
        check_free(out)


def _open(out: Path, order: Order) -> dict[str, Pack]:
    return {side: Pack.open(out / side) for side in order.sides}


def _existing(out: Path, order: Order) -> dict[str, Pack]:
    """The packs at `out`, if they are of this source and these settings; none if there is nothing.

    Raises UserError if there is something else.
    """
    check_place(out, order.split)
    if not os.path.lexists(out):
        return {}
    packs = _open(out, order)
    for pack in packs.values():
        if pack.meta.source != printable(order.source.description):
            raise _other(out, f"made from '{pack.meta.source}'")
        if changed := _difference(pack.meta.settings, order.wished()):
            raise _other(out, f"made with {changed}")
    return packs


def _difference(found: Mapping[str, Setting], wanted: Mapping[str, Setting]) -> str:
    """The settings, in `found`, that differ. Which decoder `auto` stands for does not count: it follows the source."""
    keys = {key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key)} - {DECODED_BY}
    return ", ".join(f"{key}={found.get(key)}" for key in sorted(keys))


def _other(out: Path, how: str) -> UserError:
    return UserError(f"pack '{out}': exists already, {how}; give another name or remove it first")
