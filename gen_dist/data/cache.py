"""Where gen-dist keeps what it makes or fetches by itself."""

import os
from pathlib import Path

from gen_dist.errors import UserError


def cache_folder() -> Path:
    """$XDG_CACHE_HOME/gen-dist, or ~/.cache/gen-dist; like everyone, ignores a relative one.

    Raises UserError if there is no home folder.
    """
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    try:
        base = Path(chosen) if os.path.isabs(chosen) else Path.home() / ".cache"
    except RuntimeError as error:
        raise UserError("cache folder: there is no home folder; set XDG_CACHE_HOME to a folder to write in") from error
    return base / "gen-dist"


def packs_cache() -> Path:
    """Packs of folders that a run was given. Raises UserError as `cache_folder` does."""
    return cache_folder() / "packs"


def shipped_cache() -> Path:
    """Packs that another machine sent here, named by their content hash. Raises UserError as `cache_folder` does."""
    return packs_cache() / "shipped"


def downloads_cache() -> Path:
    """The files of named data sets, a folder for each. Raises UserError as `cache_folder` does."""
    return cache_folder() / "downloads"
