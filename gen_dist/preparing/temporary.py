"""Packs that are only looked at: made in a temporary folder, gone afterwards."""

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from gen_dist.config import DecodingSettings, PrepareSettings
from gen_dist.data.pack import Pack
from gen_dist.preparing.prepare import Progress, prepare
from gen_dist.sources.opening import Opening, open_source


@contextmanager
def temporary_pack(source: str, size: int, progress: Progress | None = None) -> Iterator[Pack]:
    """A pack of the images of `source`, `size` pixels a side, for as long as the context lasts.

    Raises UserError as `open_source` and `prepare` do.
    """
    how = Opening(PrepareSettings(), DecodingSettings())
    with closing(open_source(source, how)) as opened, tempfile.TemporaryDirectory(prefix="gen-dist-") as folder:
        yield prepare(opened, Path(folder) / "pack", size, progress=progress).packs[""]
