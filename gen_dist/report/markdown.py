"""A report as Markdown, for a pull request: a text, and the files of its pictures."""

from collections.abc import Mapping, Sequence
from html import escape

from gen_dist.charts.line_chart import to_svg
from gen_dist.report import tables
from gen_dist.report.curves import charts
from gen_dist.report.facts import RunFacts
from gen_dist.report.pictures import Picture, Shown

PAPER = "white"


def to_markdown(
    runs: Sequence[RunFacts], shown: Mapping[str, Shown], notes: Sequence[str], folder: str
) -> tuple[str, dict[str, bytes]]:
    """The text, and by name the files that it refers to in `folder`."""
    files: dict[str, bytes] = {}

    def picture(name: str, alt: str, data: bytes) -> str:
        files[name] = data
        return f"![{plain(alt)}]({folder}/{name})"

    def pictures(number: int, what: str, some: Sequence[Picture]) -> str:
        return "\n\n".join(
            picture(f"{what}-{number}-{place}.{one.kind}", one.caption, one.data) + f"\n\n{plain(one.caption)}"
            for place, one in enumerate(some)
        )

    parts = [f"# {plain(', '.join(run.name for run in runs))}", table(tables.summary(runs)), *map(plain, notes)]
    curves = [
        picture(f"curve-{number}.svg", chart.title, to_svg(chart, background=PAPER).encode())
        for number, chart in enumerate(charts(runs))
    ]
    parts += section("Curves", ["\n".join(curves)] if curves else [])
    parts += section("Scores", [table(tables.scores(runs))])
    for number, run in enumerate(runs):
        name, own = f" of {plain(run.name)}" if len(runs) > 1 else "", shown[run.name]
        parts += section(f"What happened{name}", [table(tables.events(run))])
        parts += section(f"Samples{name}", [pictures(number, "samples", own.samples[-1:])])
        parts += section(f"Training{name}, animated", [pictures(number, "training", maybe(own.animation))])
        parts += section(f"Reconstructions{name}", [pictures(number, "reconstructions", maybe(own.reconstructions))])
        chart = own.latent
        views = (
            []
            if chart is None
            else [picture(f"latent-{number}.svg", chart.title, to_svg(chart, 640, 480, PAPER).encode())]
        )
        parts += section(f"Latent space{name}", views)
        parts += section(f"Settings{name} that differ from the preset", [table(tables.changes(run))])
        parts += section(f"To repeat it{name}", [f"    {run.repeat}"])
    parts += section("Last recorded figures", [table(tables.last_losses(runs))])
    return "\n\n".join(part for part in parts if part) + "\n", files


def section(title: str, content: Sequence[str]) -> list[str]:
    told = [part for part in content if part]
    return [f"## {title}", *told] if told else []


def maybe(picture: Picture | None) -> list[Picture]:
    return [] if picture is None else [picture]


def table(rows: tables.Table) -> str:
    if not rows:
        return ""
    lines = [f"| {' | '.join(map(plain, row))} |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def plain(text: str) -> str:
    """Text that Markdown takes for nothing else, in one line."""
    escaped = escape(" ".join(text.split()), quote=False)
    return "".join(f"\\{letter}" if letter in "\\`*_[]|#!" else letter for letter in escaped)
