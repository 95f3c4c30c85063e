"""Where packs are kept that gen-dist makes by itself."""

import os
from pathlib import Path

from gen_dist.errors import UserError


def packs_cache() -> Path:
    """$XDG_CACHE_HOME/gen-dist/packs, or ~/.cache/gen-dist/packs; like everyone, ignores a relative one.

    Raises UserError if there is no home folder.
    """
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    try:
        base = Path(chosen) if os.path.isabs(chosen) else Path.home() / ".cache"
    except RuntimeError as error:
        raise UserError("cache folder: there is no home folder; set XDG_CACHE_HOME to a folder to write in") from error
    return base / "gen-dist" / "packs"
