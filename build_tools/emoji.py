"""Rebuild the bundled emoji pictures from the npm package they come from.

    python build_tools/emoji.py [--tarball FILE] [--out FOLDER]

Writes `sheet.png` (32x32 RGB tiles, row by row) and `sheet.json` (which tile is what, and where it is from). The pixels
are computed with integers and hashed before they are compressed, so every machine gets the same hash, whatever its
zlib. Needs npm, unless the tarball is already there.
"""

import argparse
import hashlib
import io
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

PACKAGE = "emoji-datasource-google@16.0.0"
TARBALL_SHA256 = "fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438"
LICENCE = "Noto Emoji, copyright Google Inc., Apache License 2.0; see LICENSE-emoji.txt"
OUT = Path(__file__).parents[1] / "gen_dist/data/bundled/emoji"
TILE, COLUMNS = 32, 40

# Without the package's Component (skin-tone swatches), Flags, and Symbols (letters, arrows, signs).
CATEGORIES = [
    "Smileys & Emotion",
    "People & Body",
    "Animals & Nature",
    "Food & Drink",
    "Travel & Places",
    "Activities",
    "Objects",
]
DROPPED_SUBCATEGORIES = {"family", "person-symbol"}  # grey silhouettes on a square
DROPPED_NAMES = {f"clock{hour}{half}" for hour in range(1, 13) for half in ("", "30")}  # 24 times the same clock
TWIN_SUFFIXES = ("-200D-2640-FE0F", "-200D-2642-FE0F", "-200D-27A1-FE0F")  # female, male, facing right: twins of a base


def fetch(folder: Path) -> Path:
    """Download the package's tarball into `folder` with npm."""
    subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return next(folder.glob("*.tgz"))


def wanted(entry: dict) -> bool:
    return (
        entry["has_img_google"]
        and entry["category"] in CATEGORIES
        and entry["subcategory"] not in DROPPED_SUBCATEGORIES
        and entry["short_name"] not in DROPPED_NAMES
        and not entry["unified"].endswith(TWIN_SUFFIXES)
    )


def shrink(rgba: np.ndarray) -> np.ndarray:
    """uint8 (64, 64, 4) to uint8 (32, 32, 3): laid on white, then the mean of each 2x2 block, rounded half up."""
    colour, alpha = rgba[..., :3].astype(np.int64), rgba[..., 3:].astype(np.int64)
    on_white = colour * alpha + 255 * (255 - alpha)  # 255 times the value
    blocks = on_white.reshape(TILE, 2, TILE, 2, 3).sum((1, 3))
    return ((blocks + 2 * 255) // (4 * 255)).astype(np.uint8)


def read_files(tarball: Path) -> dict[str, bytes]:
    """The package's data file and 64x64 pictures, by path; one pass, since a gzip stream cannot seek back cheaply."""
    files = {}
    with tarfile.open(tarball) as tar:
        for member in tar:
            name = member.name.removeprefix("package/")
            if name == "emoji.json" or name.startswith("img/google/64/"):
                stream = tar.extractfile(member)
                if stream is not None:
                    files[name] = stream.read()
    return files


def read_tiles(tarball: Path) -> tuple[dict[str, list[str]], list[np.ndarray]]:
    """Return names by category and their tiles in the same order; a tile equal to an earlier one is left out."""
    files = read_files(tarball)
    entries = [entry for entry in json.loads(files["emoji.json"]) if wanted(entry)]
    entries.sort(key=lambda entry: (CATEGORIES.index(entry["category"]), entry["sort_order"]))
    names: dict[str, list[str]] = {category: [] for category in CATEGORIES}
    tiles: dict[bytes, np.ndarray] = {}
    for entry in entries:
        with Image.open(io.BytesIO(files[f"img/google/64/{entry['image']}"]), formats=["PNG"]) as image:
            tile = shrink(np.asarray(image.convert("RGBA")))
        if tile.tobytes() not in tiles:
            tiles[tile.tobytes()] = tile
            names[entry["category"]].append(entry["short_name"])
    return names, list(tiles.values())


def lay_out(tiles: list[np.ndarray]) -> np.ndarray:
    """Tiles to one sheet, row by row, the rest white: uint8 (rows * 32, 40 * 32, 3)."""
    rows = -(-len(tiles) // COLUMNS)
    grid = np.full((rows * COLUMNS, TILE, TILE, 3), 255, np.uint8)
    grid[: len(tiles)] = tiles
    return grid.reshape(rows, COLUMNS, TILE, TILE, 3).transpose(0, 2, 1, 3, 4).reshape(rows * TILE, COLUMNS * TILE, 3)


def write(tarball: Path, out: Path) -> None:
    digest = hashlib.sha256(tarball.read_bytes()).hexdigest()
    if digest != TARBALL_SHA256:
        raise SystemExit(f"{tarball}: SHA-256 is {digest}, expected {TARBALL_SHA256}")
    names, tiles = read_tiles(tarball)
    sheet = lay_out(tiles)
    out.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(out / "sheet.png", optimize=True)
    about = {
        "source": f"npm {PACKAGE}",
        "licence": LICENCE,
        "tile": TILE,
        "columns": COLUMNS,
        "pixels_sha256": hashlib.sha256(sheet.tobytes()).hexdigest(),
        "categories": names,
    }
    (out / "sheet.json").write_text(json.dumps(about, indent=0) + "\n", encoding="utf-8")
    print(f"{len(tiles)} emoji, {', '.join(f'{len(group)} {name}' for name, group in names.items())} -> {out}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tarball", type=Path, help="the package, already downloaded")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write(options.tarball or fetch(Path(folder)), options.out)


if __name__ == "__main__":
    main()
