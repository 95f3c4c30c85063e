"""A report as one HTML file that needs nothing else: no network, no script. Everything from a run is escaped."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from gen_dist.charts.line_chart import LineChart, to_svg
from gen_dist.report import tables
from gen_dist.report.curves import charts
from gen_dist.report.facts import RunFacts
from gen_dist.report.pictures import Picture, Shown

STYLE = """
:root { color-scheme: light dark; --line: #8885; --back: #fff; --text: #1b1b1b; --soft: #f4f4f2; --link: #0055aa }
@media (prefers-color-scheme: dark) { :root { --back: #16181a; --text: #e6e6e3; --soft: #22262a; --link: #7db8f0 } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 76rem; background: var(--back); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .25rem } h2 { font-size: 1.2rem; margin: 2.5rem 0 .75rem }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem }
nav a { margin-right: 1rem } a { color: var(--link) }
.scroll { overflow-x: auto } table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem }
th, td { text-align: left; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
th { font-weight: 600 } th, td { white-space: nowrap } .told td { white-space: normal; overflow-wrap: anywhere }
.charts, .pictures { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 30rem), 1fr)) }
.pictures { grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)) }
figure { margin: 0; padding: .75rem; background: var(--soft); border-radius: .5rem; min-width: 0 }
figure svg, figure img { display: block; width: 100%; height: auto } figcaption { font-size: .9rem; margin-top: .5rem }
pre { background: var(--soft); padding: .75rem; border-radius: .5rem; overflow-x: auto; font-size: .9rem }
summary { cursor: pointer }
"""


def to_html(runs: Sequence[RunFacts], shown: Mapping[str, Shown], notes: Sequence[str]) -> str:
    """`shown`: by the runs' names. `notes`: what is missing, and why."""
    title = "gen-dist: " + ", ".join(run.name for run in runs)
    body = "\n".join(part for part in (*heading(runs, notes), *sections(runs, shown)) if part)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def heading(runs: Sequence[RunFacts], notes: Sequence[str]) -> Iterator[str]:
    yield f"<h1>{escape(', '.join(run.name for run in runs))}</h1>"
    yield table(tables.summary(runs), "Runs")
    yield "".join(f"<p>{escape(note)}</p>" for note in notes)


def sections(runs: Sequence[RunFacts], shown: Mapping[str, Shown]) -> Iterator[str]:
    yield section("Curves", "".join(figure(to_svg(chart, 480, 270), "") for chart in charts(runs)), "charts")
    if any(run.events for run in runs):
        yield each(
            "What happened", runs, [table(tables.events(run), f"What happened to {run.name}", "told") for run in runs]
        )
    yield section("Scores", table(tables.scores(runs), "Scores"))
    yield each("Samples of the same latents", runs, [grid(shown[run.name].samples) for run in runs])
    yield each("Training, animated", runs, [animation(shown[run.name].animation) for run in runs])
    yield each("Reconstructions", runs, [grid(one(shown[run.name].reconstructions)) for run in runs])
    yield each("Latent space", runs, [latent(shown[run.name].latent) for run in runs])
    yield section("Last recorded figures", table(tables.last_losses(runs), "Last recorded figures"))
    yield each(
        "Settings that differ from the preset",
        runs,
        [table(tables.changes(run), f"Settings of {run.name}", "told") for run in runs],
    )
    yield each("To repeat it", runs, [command(run) for run in runs])


def section(title: str, content: str, kind: str = "") -> str:
    if not content:
        return ""
    inner = f'<div class="{kind}">{content}</div>' if kind else content
    return f"<section>\n<h2>{escape(title)}</h2>\n{inner}\n</section>"


def each(title: str, runs: Sequence[RunFacts], contents: Sequence[str]) -> str:
    """A section with a part for each run that has something to show."""
    named = zip(runs, contents, strict=True)
    parts = [
        f"<h3>{escape(run.name)}</h3>\n{content}" if len(runs) > 1 else content for run, content in named if content
    ]
    return section(title, "\n".join(parts))


def command(run: RunFacts) -> str:
    return (
        f'<pre tabindex="0" role="region" aria-label="Command for {escape(run.name)}">'
        f"<code>{escape(run.repeat)}</code></pre>"
    )


def table(rows: tables.Table, name: str, kind: str = "") -> str:
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in rows[0])
    lines = [
        f'<tr><th scope="row">{escape(row[0])}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:]) + "</tr>"
        for row in rows[1:]
    ]
    inner = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    return f'<div class="scroll {kind}" tabindex="0" role="region" aria-label="{escape(name)}">{inner}</div>'


def figure(content: str, caption: str) -> str:
    told = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure>{content}{told}</figure>"


def grid(pictures: Sequence[Picture]) -> str:
    if not pictures:
        return ""
    return f'<div class="pictures">{"".join(figure(image(one), one.caption) for one in pictures)}</div>'


def one(picture: Picture | None) -> list[Picture]:
    return [] if picture is None else [picture]


def animation(picture: Picture | None) -> str:
    """Closed at first: nothing moves that nobody asked for."""
    if picture is None:
        return ""
    shown = f'<div class="pictures">{figure(image(picture), picture.caption)}</div>'
    return f"<details><summary>Show</summary>{shown}</details>"


def latent(chart: LineChart | None) -> str:
    return "" if chart is None else f'<div class="charts">{figure(to_svg(chart, 640, 480), "")}</div>'


def image(picture: Picture) -> str:
    data = base64.b64encode(picture.data).decode()
    return f'<img alt="images, {escape(picture.caption)}" src="data:image/{picture.kind};base64,{data}">'
