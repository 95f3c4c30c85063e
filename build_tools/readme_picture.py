"""Make the README's picture from the two runs of a demo.

    python build_tools/readme_picture.py VAE_RUN DCGAN_RUN [--out FILE.png]

Left: two pairs of rows of the VAE's last reconstruction grid, an image above its reconstruction. Right: as many rows of
the DCGAN's last sample grid.
"""

import argparse
from pathlib import Path

from PIL import Image

OUT = Path(__file__).parents[1] / "docs/images/demo.png"
COLUMNS, GAP = 8, 2  # of the grids in a run folder, in pictures and pixels
ROWS = 4
MARGIN = 24  # pixels around and between
SIZE_LIMIT = 300_000  # bytes


def top_rows(folder: Path) -> Image.Image:
    """The first rows of the last grid in `folder`, with the gap around them."""
    grids = sorted(folder.glob("step-*.png"))
    if not grids:
        raise SystemExit(f"{folder}: no grid; give the run folder of a demo that has finished")
    with Image.open(grids[-1], formats=["PNG"]) as grid:
        cell = (grid.width - GAP) // COLUMNS
        return grid.convert("RGB").crop((0, 0, grid.width, ROWS * cell + GAP))


def side_by_side(left: Image.Image, right: Image.Image) -> Image.Image:
    if left.size != right.size:
        raise SystemExit(f"the grids differ in size, {left.size} and {right.size}; give two runs of the same demo")
    width, height = left.size
    picture = Image.new("RGB", (2 * width + 3 * MARGIN, height + 2 * MARGIN), "white")
    picture.paste(left, (MARGIN, MARGIN))
    picture.paste(right, (width + 2 * MARGIN, MARGIN))
    return picture


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the README's picture from the two runs of a demo.")
    parser.add_argument("vae", type=Path, metavar="VAE_RUN", help="run folder")
    parser.add_argument("dcgan", type=Path, metavar="DCGAN_RUN", help="run folder")
    parser.add_argument("--out", type=Path, default=OUT, metavar="FILE.png", help="default: docs/images/demo.png")
    arguments = parser.parse_args()
    picture = side_by_side(top_rows(arguments.vae / "reconstructions"), top_rows(arguments.dcgan / "samples"))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    picture.save(arguments.out, optimize=True)
    size = arguments.out.stat().st_size
    if size > SIZE_LIMIT:
        raise SystemExit(f"{arguments.out}: {size:,} bytes, more than {SIZE_LIMIT:,}")
    print(f"{arguments.out}: {picture.width}x{picture.height} pixels, {size:,} bytes")


if __name__ == "__main__":
    main()
