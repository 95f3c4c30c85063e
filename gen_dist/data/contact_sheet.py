"""A contact sheet: what the images of a pack look like, on one page."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gen_dist.data.pack import Pack

Font = ImageFont.ImageFont | ImageFont.FreeTypeFont

COLUMNS, MOST_IMAGES, MOST_CLASSES = 10, 100, 20
_CELL, _MOST_CELL = 96, 128  # pixels: what small images are enlarged to, about; what large ones are reduced to
_PAPER, _INK, _FAINT = (246, 246, 244), (40, 40, 44), (128, 128, 132)
_MARGIN, _GAP, _HEAD, _LINE = 24, 6, 56, 14
_MOST_CAPTION = 160  # pixels


@dataclass(frozen=True)
class Row:
    """Images beside each other, with a caption of one or two lines before them; "" for none."""

    caption: str
    note: str
    indices: np.ndarray


def contact_sheet(pack: Pack, title: str) -> np.ndarray:
    """A page with up to 100 images chosen evenly over the pack: uint8, H x W x 3.

    With classes, a row of up to 10 images for each of up to 20 classes, with its name and number of images. `title`
    stands above them, and below it what the pack holds. Letters lose their accents; those of other scripts become "?".
    """
    rows, left_out = _class_rows(pack) if pack.labels is not None else _rows(len(pack))
    font = ImageFont.load_default()
    captions = max(_width(font, text) for row in rows for text in (row.caption, row.note))
    left = _MARGIN + (min(captions, _MOST_CAPTION) + 2 * _GAP if captions else 0)
    height, width = _cell(pack)
    columns = max(len(row.indices) for row in rows)
    subtitle = _describe(pack, sum(len(row.indices) for row in rows))
    needed = max(_width(font, _plain(text)) for text in (title, subtitle))
    page_width = max(left + columns * (width + _GAP) - _GAP, _MARGIN + needed) + _MARGIN
    foot = _LINE + _GAP if left_out else 0
    page = Image.new("RGB", (page_width, _HEAD + _MARGIN + len(rows) * (height + _GAP) - _GAP + foot + _MARGIN), _PAPER)
    draw = ImageDraw.Draw(page)
    draw.text((_MARGIN, _MARGIN), _plain(title), fill=_INK, font=font)
    draw.text((_MARGIN, _MARGIN + _LINE + 4), subtitle, fill=_FAINT, font=font)
    top = _HEAD + _MARGIN
    for row in rows:
        middle = top + height // 2 - (_LINE if row.note else _LINE // 2)
        draw.text((_MARGIN, middle), _fitted(font, row.caption), fill=_INK, font=font)
        draw.text((_MARGIN, middle + _LINE), row.note, fill=_FAINT, font=font)
        for number, pixels in enumerate(pack.read(row.indices)):
            page.paste(_drawn(pixels, (width, height)), (left + number * (width + _GAP), top))
        top += height + _GAP
    if left_out:
        draw.text((_MARGIN, top), left_out, fill=_FAINT, font=font)
    return np.asarray(page)


def spread(count: int, most: int) -> np.ndarray:
    """Up to `most` of the numbers 0 ... count - 1, evenly over them and ascending, int64."""
    chosen = min(count, most)
    return (2 * np.arange(chosen, dtype=np.int64) + 1) * count // (2 * max(chosen, 1))


def _rows(count: int) -> tuple[list[Row], str]:
    indices = spread(count, MOST_IMAGES)
    return [Row("", "", indices[i : i + COLUMNS]) for i in range(0, len(indices), COLUMNS)], ""


def _class_rows(pack: Pack) -> tuple[list[Row], str]:
    """Rows of classes that have images, and a line that says how many classes are not shown."""
    assert pack.labels is not None
    assert pack.class_names is not None
    labels = np.asarray(pack.labels)
    there = np.unique(labels)
    rows = []
    for label in there[:MOST_CLASSES]:
        members = np.flatnonzero(labels == label)
        caption = _plain(pack.class_names[label])
        rows.append(Row(caption, _count(len(members), "image"), members[spread(len(members), COLUMNS)]))
    more = len(there) - len(rows)
    return rows, f"and {more} more classes" if more > 0 else ""


def _cell(pack: Pack) -> tuple[int, int]:
    """Height and width at which an image is drawn."""
    height, width, _ = pack.shape
    longest = max(height, width)
    if longest <= _MOST_CELL:
        factor = max(1, (_CELL + longest // 2) // longest)
        return height * factor, width * factor
    return max(1, height * _MOST_CELL // longest), max(1, width * _MOST_CELL // longest)


def _drawn(pixels: np.ndarray, size: tuple[int, int]) -> Image.Image:
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    larger = size[0] >= image.size[0]
    return image.resize(size, Image.Resampling.NEAREST if larger else Image.Resampling.LANCZOS).convert("RGB")


def _describe(pack: Pack, shown: int) -> str:
    height, width, channels = pack.shape
    parts = [_count(len(pack), "image"), f"{width} x {height}", "grey" if channels == 1 else "colour"]
    if pack.class_names is not None:
        parts.append(_count(len(pack.class_names), "class", "classes"))
    return ", ".join(parts) + (f"; {shown} shown" if shown < len(pack) else "")


def _count(number: int, one: str, several: str = "") -> str:
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def _plain(text: str) -> str:
    """On one line, in the letters that Pillow's own font has: those of ASCII."""
    letters = (c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return " ".join("".join(letters).encode("ascii", "replace").decode("ascii").split())


def _width(font: Font, text: str) -> int:
    return int(font.getlength(text)) if text else 0


def _fitted(font: Font, caption: str) -> str:
    """With dots in place of what goes beyond the space for captions."""
    if _width(font, caption) <= _MOST_CAPTION:
        return caption
    kept: Sequence[str] = [caption[:n] + "..." for n in range(len(caption), 0, -1)]
    return next((text for text in kept if _width(font, text) <= _MOST_CAPTION), "...")
