"""`gen-dist inspect`: a summary of a pack or a source, and a contact sheet."""

import json
import re
import sys
from collections.abc import Mapping
from contextlib import ExitStack, closing, nullcontext, redirect_stdout
from dataclasses import asdict
from pathlib import Path

from gen_dist.config import DataSettings, DecodingSettings, PrepareSettings, flatten
from gen_dist.data.bundled import BUNDLED, bundled_pack
from gen_dist.data.contact_sheet import contact_sheet
from gen_dist.data.pack import Pack
from gen_dist.data.pack_meta import Setting, is_pack, printable
from gen_dist.data.split_rule import SIDES
from gen_dist.data.statistics import KINDS, Reason, Sides, Statistics, pack_statistics
from gen_dist.errors import UserError
from gen_dist.launch.one_line import one_line
from gen_dist.launch.packs import bar
from gen_dist.preparing.making import DECODED_BY
from gen_dist.record.pictures import save_png

MOST_CLASSES, MOST_REASONS = 20, 10


def inspect_source(source: str, out: Path | None, size: int, as_json: bool) -> None:
    """Of a pack, or of what is first made into one, images of `size` pixels a side. Raises UserError."""
    name = _title(source)
    _check_picture(out)
    if source.startswith(BUNDLED):
        inspect_pack(Pack.open(bundled_pack(source.removeprefix(BUNDLED))), name, out, as_json)
        return
    if is_pack(Path(source)):
        inspect_pack(Pack.open(source), name, out, as_json)
        return
    picture = (Path(sheet_name(name)) if out is None else out).resolve()
    if picture.is_relative_to(Path(source).resolve()):
        raise UserError(f"--out {picture}: lies in '{source}', and would be one of its images; give another place")
    from gen_dist.launch.showing_progress import downloads_shown, progress_shown
    from gen_dist.preparing.temporary import temporary_pack
    from gen_dist.sources.opening import Opening, open_source

    with ExitStack() as stack:
        with redirect_stdout(sys.stderr) if as_json else nullcontext():  # nothing beside the JSON
            with downloads_shown() as downloads:
                how = Opening(PrepareSettings(), DecodingSettings(), progress=downloads)
                opened = stack.enter_context(closing(open_source(source, how)))
            with progress_shown() as progress:
                pack = stack.enter_context(temporary_pack(opened, size, progress))
        inspect_pack(pack, name, out, as_json)


def _title(source: str) -> str:
    """The last part of its path; of a side of a split the last two, as each split has sides of these names."""
    if source.startswith(BUNDLED):
        return source
    path = Path(source).resolve()
    return f"{path.parent.name} {path.name}" if path.name in SIDES else path.name or source


def inspect_pack(pack: Pack, title: str, out: Path | None, as_json: bool) -> None:
    """Prints what is in the pack and writes its contact sheet, by default named after `title` in this folder."""
    picture = Path(sheet_name(title)) if out is None else out
    with bar("reading") as progress:
        found = pack_statistics(pack, progress)
    save_png(picture, contact_sheet(pack, printable(title)))
    if as_json:
        print(json.dumps({**asdict(found), "contact_sheet": str(picture)}, indent=1))
        return
    show([(one_line(what), one_line(how_much)) for what, how_much in summary(found)])
    print(f"contact sheet: {picture}")


def sheet_name(title: str) -> str:
    """A file name for the contact sheet of what is called `title`."""
    stem = re.sub(r"[^\w.+-]+", "-", printable(title)).strip(".-")
    return f"{stem or 'images'}-contact-sheet.png"


def summary(found: Statistics) -> list[tuple[str, str]]:
    """(what, how much), in the order in which a person asks."""
    colour = "grey" if found.channels == 1 else "colour"
    rows = [
        ("images", f"{found.images:,}, {found.width} x {found.height}, {colour}"),
        ("source", found.source),
        ("stored", f"{found.kept}, {_count(found.parts, 'part')}, {_megabytes(found.bytes)}"),
        ("mean", _levels(found.pixels.mean)),
        ("deviation", _levels(found.pixels.std)),
        ("darkest, brightest", f"{min(found.pixels.min)}, {max(found.pixels.max)}"),
    ]
    if found.widths and found.heights:
        rows.append(("original width", _sides(found.widths)))
        rows.append(("original height", _sides(found.heights)))
        common = ", ".join(f"{width} x {height} ({count:,})" for width, height, count in found.common_sizes)
        rows.append(("most common", common))
    rows.append(("classes", "none" if found.classes is None else f"{len(found.classes):,}"))
    rows += _class_rows(found.classes or {})
    rows += [(f"{kind} duplicates", _duplicates(found, kind)) for kind in KINDS]
    rows += [("  most often", f"{name} ({count:,})") for name, count in found.duplicate_groups]
    rows += _reason_rows(found.rejected)
    rows += [("made with", f"{key}={value}") for key, value in _unusual(found.settings)]
    rows.append(("content hash", found.content_hash))
    return rows


def _unusual(settings: Mapping[str, Setting]) -> list[tuple[str, Setting]]:
    """Settings that are not as they are by default."""
    usual = flatten({"data": DataSettings().model_dump()}) | {DECODED_BY: "", "split.by_folder": False}
    return [(key, value) for key, value in settings.items() if usual.get(key) != value]


def show(rows: list[tuple[str, str]]) -> None:
    """As a table on a terminal, as aligned lines elsewhere."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        width = max(len(what) for what, _ in rows)
        for what, how_much in rows:
            print(f"{what:{width}}  {how_much}")
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for what, how_much in rows:
        table.add_row(Text(what), Text(how_much))
    console.print(table)


def _check_picture(out: Path | None) -> None:
    if out is not None and out.suffix.lower() != ".png":
        raise UserError(f"--out {out}: must end in .png")
    if out is not None and not out.parent.is_dir():  # said now, and not after a large source has been read
        raise UserError(f"--out {out}: no folder '{out.parent}'; make it, or give another place")


def _class_rows(classes: dict[str, int]) -> list[tuple[str, str]]:
    rows = [(f"  {name}", f"{count:,}") for name, count in list(classes.items())[:MOST_CLASSES]]
    return rows + [("  and", f"{len(classes) - MOST_CLASSES:,} more")] * (len(classes) > MOST_CLASSES)


def _reason_rows(rejected: list[Reason]) -> list[tuple[str, str]]:
    if not rejected:
        return [("rejected", "none")]
    rows = [("rejected", f"{sum(one.count for one in rejected):,}")]
    for one in rejected[:MOST_REASONS]:
        rows.append((f"  {one.count:,}", f"{one.reason}, such as {', '.join(one.examples)}"))
    return rows + [("  and", f"{len(rejected) - MOST_REASONS:,} more reasons")] * (len(rejected) > MOST_REASONS)


def _sides(sides: Sides) -> str:
    return f"{sides.min:,} to {sides.max:,}, median {sides.median:,g}"


def _duplicates(found: Statistics, kind: str) -> str:
    left_out = found.left_out[kind]
    if (count := found.duplicates.get(kind)) is None:
        return f"{left_out:,} left out" if left_out else "not looked for"
    return "none" if not count else f"{count:,}, " + ("left out" if left_out else "kept")


def _levels(values: list[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values) + " of 255"


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


def _count(number: int, one: str) -> str:
    return f"{number:,} {one}{'' if number == 1 else 's'}"
