"""What a user names, opened as a source."""

import os
from collections.abc import Callable
from pathlib import Path

from gen_dist.config import DecodingSettings, PrepareSettings
from gen_dist.sources.folder import Folder
from gen_dist.sources.source import Source

Report = Callable[[str], None]


def open_source(
    text: str,
    prepare: PrepareSettings,
    decoding: DecodingSettings,
    *,
    name: str = "SOURCE",
    downloaded: Path | None = None,
    report: Report = print,
) -> Source:
    return Folder(Path(os.path.expanduser(text)), decoding.file_bytes, name)


def describe_source(
    text: str, prepare: PrepareSettings, decoding: DecodingSettings, *, name: str = "SOURCE"
) -> tuple[str, Source | None]:
    source = open_source(text, prepare, decoding, name=name)
    return f"folder of {source.total} files", source
