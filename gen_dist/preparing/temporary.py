"""Packs that are only looked at: made in a temporary folder, gone afterwards."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gen_dist.data.pack import Pack
from gen_dist.preparing.prepare import prepare


@contextmanager
def temporary_pack(source: str, size: int) -> Iterator[Pack]:
    """A pack of the images of `source`, `size` pixels a side, for as long as the context lasts.

    Raises UserError as `prepare` does.
    """
    with tempfile.TemporaryDirectory(prefix="gen-dist-") as folder:
        yield Pack.open(prepare(Path(source), Path(folder) / "pack", size).path)
