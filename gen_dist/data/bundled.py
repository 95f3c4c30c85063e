"""The pictures that come with gen-dist: one PNG sheet each, turned into a pack in the user's cache at first use."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from gen_dist.data.cache import packs_cache
from gen_dist.data.pack import Pack
from gen_dist.data.pack_files import About
from gen_dist.data.pack_meta import VERSION
from gen_dist.data.pack_writer import PackWriter
from gen_dist.errors import UserError

SHEETS = Path(__file__).parent / "bundled"
BUNDLED = "bundled:"  # before such a name, where a user gives a path


@dataclass(frozen=True)
class Sheet:
    """What `sheet.json` says; build_tools/emoji.py in the source writes it."""

    name: str
    source: str
    tile: int  # pixels a side
    columns: int
    pixels_sha256: str  # of the sheet's RGB bytes, row by row: not of the file, whose compression may differ
    categories: dict[str, list[str]]  # category to picture names, in the order of the tiles
    key: str  # changes with anything above

    @classmethod
    def read(cls, name: str) -> "Sheet":
        """Raises UserError for an unknown name."""
        known = sorted(file.parent.name for file in SHEETS.glob("*/sheet.json"))
        if name not in known:
            raise UserError(f"bundled pictures '{name}': unknown name; give one of: {', '.join(known)}")
        text = (SHEETS / name / "sheet.json").read_bytes()
        about = json.loads(text)
        fields = {field: about[field] for field in ("source", "tile", "columns", "pixels_sha256", "categories")}
        return cls(name=name, key=hashlib.sha256(text).hexdigest()[:12], **fields)

    @property
    def labels(self) -> list[int]:
        """Of the pictures: positions among the categories."""
        return [label for label, names in enumerate(self.categories.values()) for _ in names]

    def tiles(self) -> np.ndarray:
        """The pictures, uint8 (n, tile, tile, 3). Raises UserError if the installed file has changed."""
        file = SHEETS / self.name / "sheet.png"
        try:
            with Image.open(file, formats=["PNG"]) as image:
                sheet = np.asarray(image.convert("RGB"))
            intact = hashlib.sha256(sheet.tobytes()).hexdigest() == self.pixels_sha256
        except (OSError, SyntaxError, ValueError):  # what Pillow raises for a broken PNG
            intact = False
        if not intact:
            raise UserError(f"bundled pictures '{file}': the file is missing or damaged; install gen-dist again")
        rows = sheet.shape[0] // self.tile
        grid = sheet.reshape(rows, self.tile, self.columns, self.tile, 3).swapaxes(1, 2)
        return grid.reshape(-1, self.tile, self.tile, 3)[: sum(map(len, self.categories.values()))]


def bundled_pack(name: str) -> Path:
    """The folder of the pack of bundled pictures `name`; made at first use in the cache, about 4 MB.

    Labels are the pictures' categories. Processes that make it at the same time do not disturb each other: each writes
    a folder of its own and the first to finish names it. Raises UserError for an unknown name, a damaged file, and a
    cache that cannot be written.
    """
    sheet = Sheet.read(name)
    path = packs_cache() / f"{name}-{sheet.key}-v{VERSION}"
    if not path.exists():
        _write(sheet, path)
    try:
        Pack.open(path)
    except UserError as error:
        raise UserError(f"cached pack '{path}': it is damaged; remove the folder, and it is made again") from error
    return path


def _write(sheet: Sheet, path: Path) -> None:
    tiles = sheet.tiles()
    try:
        with PackWriter(path, tiles.shape[1:]) as writer:
            for tile, label in zip(tiles, sheet.labels, strict=True):
                writer.append(tile, label)
            counts = {"files": len(tiles), "images": len(tiles), "rejected": 0}
            writer.finish(About(sheet.source, counts, list(sheet.categories), []))
    except UserError as error:
        if path.exists():
            return  # another process was faster
        reason = error.__cause__.strerror if isinstance(error.__cause__, OSError) else error
        raise UserError(
            f"cache folder '{path.parent}': cannot write to it: {reason}; "
            "make room there, or set XDG_CACHE_HOME to a folder to write in"
        ) from error
