"""What docs/recipes.md says of the cells: each table, its verdict and samples side by side, between its marks."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from benchmarks.quality.cells import SEEDS, TABLES
from benchmarks.quality.table import Cells, describe_table, found_cells

END = "<!-- end -->"


def begin(table: str) -> str:
    return f"<!-- {table}: made by make bench-quality -->"


def write_page(results: Path, page: Path) -> None:
    """Replace what stands between the marks of each table in `page` by what its cells say.

    Raises ValueError if the marks of a table are not there, once.
    """
    text = page.read_text()
    for name in TABLES:
        part = f"{begin(name)}\n\n{describe(name, results, page)}\n\n{END}"
        pattern = f"{re.escape(begin(name))}.*?{re.escape(END)}"
        text, count = re.subn(pattern, lambda _, part=part: part, text, flags=re.DOTALL)
        if count != 1:
            raise ValueError(f"{page}: {count} times {begin(name)!r} with an end; give it once")
    page.write_text(text)


def describe(name: str, results: Path, page: Path) -> str:
    """Markdown, to stand in `page`: the samples' files are linked from there."""
    found = found_cells(results, name, TABLES[name])
    if not found:
        return "Nothing has been measured."
    return f"{describe_table(TABLES[name], found)}\n\n{samples(name, found, results, page)}"


def samples(name: str, found: Cells, results: Path, page: Path) -> str:
    """The first seed's of each system, in a row."""
    files = {system: results / name / f"{system}-{SEEDS[0]}.png" for system in found}
    pictures = [f"![samples of {system}]({os.path.relpath(file, page.parent)})" for system, file in files.items()]
    return "\n".join([row(f"`{system}`" for system in files), "|---" * len(files) + "|", row(pictures)])


def row(entries: Iterable[str]) -> str:
    return f"| {' | '.join(entries)} |"
