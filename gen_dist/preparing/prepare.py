"""A folder of images into a pack: decoded in threads and subprocesses, written in the order of the names."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from gen_dist.config import DecodingSettings
from gen_dist.data.pack import PackWriter, printable
from gen_dist.errors import UserError
from gen_dist.kernels.warm_up import warm_up
from gen_dist.preparing.decoder_process import Outcome
from gen_dist.preparing.decoding import SquareDecoder, kernel_formats, limits_of
from gen_dist.sources.folder import Listing, list_folder, read_image_file
from gen_dist.sources.source import RejectedError

SIZES = range(8, 1025)
CHUNK_FILES, CHUNK_BYTES = 32, 4 << 20  # what a thread decodes at a time; of its output


@dataclass(frozen=True)
class Prepared:
    """What `prepare` did. `rejected`: (name, reason) of every file that gave no image."""

    path: Path
    images: int
    rejected: list[tuple[str, str]]
    class_names: list[str] | None
    seconds: float


def prepare(
    source: Path,
    out: Path,
    size: int,
    *,
    workers: int | None = None,
    decoding: DecodingSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Prepared:
    """Makes a pack `out` of the images in the folder `source`, each cropped to its central square of `size` pixels.

    Top-level folders become classes if there are two or more and no image lies outside them. `workers`: decoding
    threads (default: one per CPU), each with a subprocess for what our kernels do not read; the pack's bytes do not
    depend on it. Decoders differ: see docs/decoding.md. `progress(done, total)` is called with
    numbers of files. Files that are no image, or a damaged one, are skipped and listed. Raises UserError for a size out
    of range, a folder that is missing, empty or without a readable image, an `out` that exists or cannot be written.
    """
    started = time.perf_counter()
    check_size(size, "--size")
    decoding = decoding or DecodingSettings()
    listing = list_folder(Path(source))
    limits, formats = limits_of(decoding), kernel_formats(decoding, listing.total_bytes())
    if formats:
        warm_up("decoding")  # before the threads start, which would all compile
    classes, images, rejected = _Classes(), 0, list(listing.rejected)
    outcomes = _decoded(listing, size, workers or cpus(), lambda: SquareDecoder(size, limits, formats))
    with closing(outcomes), PackWriter(out, (size, size, 3)) as writer:
        for done, (name, outcome) in enumerate(outcomes, start=1):
            if isinstance(outcome, str):
                rejected.append((name, outcome))
            else:
                writer.append(outcome, classes.label(name))
                images += 1
            if progress is not None:
                progress(done, len(listing))
        rejected = sorted((printable(name), reason) for name, reason in rejected)
        if not images:
            first = f"{rejected[0][0]}: {rejected[0][1]}"
            raise UserError(f"folder '{source}': none of its {len(rejected)} files is a readable image ({first})")
        counts = {"files": len(listing), "images": images, "rejected": len(rejected)}
        writer.finish(str(source), counts, classes.names(), rejected)
    return Prepared(Path(out), images, rejected, classes.names(), time.perf_counter() - started)


def check_size(size: int, name: str) -> None:
    """Raises UserError if images of `size` pixels a side cannot be prepared; `name` is what the user calls the size."""
    if size not in SIZES:
        raise UserError(f"{name} {size}: out of range; give {SIZES[0]} to {SIZES[-1]} pixels")


def cpus() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Classes:
    """Numbers the top-level folders in the order of their first image; one image outside them, and there are none."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._loose = False

    def label(self, name: str) -> int | None:
        folder, inside, _ = name.partition(os.sep)
        self._loose |= not inside
        return self._numbers.setdefault(folder, len(self._numbers)) if inside else None

    def names(self) -> list[str] | None:
        return None if self._loose or len(self._numbers) < 2 else [printable(name) for name in self._numbers]


def _decoded(
    listing: Listing, size: int, workers: int, make_decoder: Callable[[], SquareDecoder]
) -> Generator[tuple[str, Outcome]]:
    """(name, outcome) of every file in order; a bounded number of chunks is under way at any time."""
    per_chunk = max(1, min(CHUNK_FILES, CHUNK_BYTES // (3 * size * size)))
    chunks = (listing.files[i : i + per_chunk] for i in range(0, len(listing), per_chunk))
    with ExitStack() as stack:
        free: SimpleQueue[SquareDecoder] = SimpleQueue()
        for _ in range(workers):
            free.put(stack.enter_context(make_decoder()))
        pool = stack.enter_context(ThreadPoolExecutor(workers))
        stack.callback(pool.shutdown, cancel_futures=True)
        stopped = threading.Event()
        stack.callback(stopped.set)  # before the shutdown, which waits for the chunks that have begun
        under_way: deque[tuple[list[str], Future[list[Outcome]]]] = deque()
        for chunk in chunks:
            under_way.append((chunk, pool.submit(_decode_chunk, free, stopped, listing.folder, chunk)))
            if len(under_way) > 2 * workers:
                names, future = under_way.popleft()
                yield from zip(names, future.result(), strict=True)
        for names, future in under_way:
            yield from zip(names, future.result(), strict=True)


def _decode_chunk(
    free: "SimpleQueue[SquareDecoder]", stopped: threading.Event, folder: Path, names: Sequence[str]
) -> list[Outcome]:
    decoder = free.get()
    try:
        return [_decode_file(decoder, folder / name) for name in names if not stopped.is_set()]
    finally:
        free.put(decoder)


def _decode_file(decoder: SquareDecoder, path: Path) -> Outcome:
    try:
        return decoder.decode(read_image_file(path, decoder.limits.file_bytes))
    except RejectedError as error:
        return str(error)
