"""Folders of many archives: each stays open, so as many files must be allowed."""

import resource
import zipfile
from pathlib import Path

import pytest

from gen_dist.config import DecodingSettings, PrepareSettings
from gen_dist.errors import UserError
from gen_dist.sources import opening
from gen_dist.sources.opening import Opening, open_source

HOW = Opening(PrepareSettings(), DecodingSettings())


@pytest.fixture
def archives(tmp_path: Path) -> Path:
    for number in range(5):
        with zipfile.ZipFile(tmp_path / f"{number}.zip", "w") as file:
            file.writestr("1.png", b"\x89PNG\r\n\x1a\n")
    return tmp_path


def test_the_limit_of_open_files_is_raised(archives: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    monkeypatch.setattr(opening, "OTHER_FILES", 1000 - 2)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1000, hard))
        source = open_source(str(archives), HOW)
        assert source.total == 5
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (1003, hard)
        source.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_more_archives_than_may_be_open(archives: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (100, 202))
    with pytest.raises(UserError, match="^SOURCE: 5 archives, but at most 202 files may be open; see 'ulimit -Hn'"):
        open_source(str(archives), HOW)
