"""Packs made of a few lines, for tests that read, merge and split them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gen_dist.data.pack_files import About
from gen_dist.data.pack_index import Entry
from gen_dist.data.pack_writer import PackWriter


def noise(count: int, shape: tuple[int, int, int] = (6, 5, 3), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def pack_of(
    path: Path,
    images: np.ndarray | Sequence[bytes],
    entries: Sequence[Entry] | None = None,
    classes: Sequence[str] | None = None,
    labels: Sequence[int] | None = None,
    rejected: Sequence[tuple[str, str]] = (),
    kept: str = "pixels",
    part_bytes: int = 1 << 30,
    **settings: int | str,
) -> Path:
    """A pack of these images; by default an item `img-I.png` of 10 + I x 20 for each. JPEGs are 6 x 5 or any size."""
    shape = images.shape[1:] if isinstance(images, np.ndarray) else (5, 6, 3)
    with PackWriter(path, shape, part_bytes, kept=kept) as writer:
        for index, image in enumerate(images):
            writer.append(image, None if labels is None else labels[index], (6, 5))
        for entry in entries or [Entry(f"img-{i}.png", "s", width=10 + i, height=20) for i in range(len(images))]:
            writer.note(entry)
        writer.finish(About(f"source of {path.name}", {"images": len(images)}, classes, rejected, settings=settings))
    return path


def flip(file: Path, byte: int) -> None:
    """Damage one bit."""
    content = bytearray(file.read_bytes())
    content[byte] ^= 1
    file.write_bytes(content)
