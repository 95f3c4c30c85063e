"""Packs that are only looked at: made in a temporary folder, gone afterwards."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gen_dist.data.pack import Pack
from gen_dist.preparing.prepare import Progress, prepare
from gen_dist.sources.source import Source


@contextmanager
def temporary_pack(source: Source, size: int, progress: Progress | None = None) -> Iterator[Pack]:
    """A pack of the images of `source`, `size` pixels a side, for as long as the context lasts.

    Raises UserError as `prepare` does.
    """
    with tempfile.TemporaryDirectory(prefix="gen-dist-") as folder:
        yield prepare(source, Path(folder) / "pack", size, progress=progress).packs[""]
