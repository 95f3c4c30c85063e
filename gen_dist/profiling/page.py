"""A profile as one HTML page that needs nothing else: the advice, a bar for each rank, the numbers. Pure."""

from collections.abc import Sequence
from html import escape

import numpy as np

from gen_dist.profiling.profile import Profile
from gen_dist.profiling.tables import LEAST_SHARE, TITLES, comparison_table, ms, phase_table, profile_table, shown_ranks
from gen_dist.step_times import PARTS

# Kinds of time have hues of their own (Okabe and Ito's, told apart by colour-blind people too), parts of a kind shades.
COLORS = {
    "data_wait": "#d55e00",
    "decode": "#e98b45",
    "augment": "#f3b98d",
    "to_device": "#cc79a7",
    "forward": "#0072b2",
    "backward": "#56a5d8",
    "wait": "#e69f00",
    "exchange": "#f0e442",
    "optimise": "#009e73",
    "bookkeeping": "#7a7a7a",
    "other": "#c8c8c8",
}

STYLE = """
:root { color-scheme: light dark; --line: #8886; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; }
.advice { border-left: .3rem solid #0072b2; padding: .3rem 1rem; margin: 1.2rem 0; font-size: 1.1rem; }
.bars { display: grid; grid-template-columns: max-content 1fr; gap: .4rem .8rem; align-items: center; }
.bar { display: flex; height: 1.6rem; border-radius: .2rem; overflow: hidden; background: var(--line); }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; margin: .8rem 0 1.6rem; padding: 0; list-style: none; }
.legend span { display: inline-block; width: .9em; height: .9em; margin-right: .4em; border-radius: .15em; }
pre { overflow-x: auto; padding: .8rem; border: 1px solid var(--line); border-radius: .3rem; font-size: .85rem; }
small { opacity: .8; }
"""


def profile_page(profile: Profile, before: Profile | None = None) -> str:
    """`before`: an earlier profile to compare it with."""
    title = escape(f"Profile of {profile.preset or 'a run'}")
    speed = f"{1000 * profile.step_seconds:.1f} ms a step, {profile.images_per_second:.4g} images/s"
    setting = f"{len(profile.hosts)} workers, batch {profile.batch_size}, mean of {profile.steps} steps"
    parts = [
        f"<h1>{title}</h1>",
        f"<p><small>{escape(speed)}; {escape(setting)}</small></p>",
        f'<p class="advice">{escape(profile.advice)}</p>',
        "<h2>A step, rank by rank</h2>",
        *bars(profile),
        preformatted(profile_table(profile)),
    ]
    if len(profile.times) > 1:
        parts += ["<h2>Phase by phase</h2>", preformatted(phase_table(profile))]
    if before is not None:
        parts += ["<h2>Since the other profile</h2>", preformatted(comparison_table(before, profile))]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}<style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n'
    )


def bars(profile: Profile) -> list[str]:
    table = profile.step_times.by_rank()
    longest = table.sum(0).max()
    shown = [part for part, row in zip(PARTS, table, strict=True) if row.mean() >= LEAST_SHARE * longest]
    lines = ['<div class="bars">']
    for rank in shown_ranks(profile):
        lines.append(f"<div>rank {rank} <small>{escape(profile.hosts[rank])}</small></div>")
        lines.append(bar(shown, table[:, rank], longest))
    key = "".join(f'<li><span style="background:{COLORS[part]}"></span>{TITLES[part]}</li>' for part in shown)
    return [*lines, "</div>", f'<ul class="legend">{key}</ul>']


def bar(shown: Sequence[str], seconds: np.ndarray, longest: float) -> str:
    """`seconds` of each of PARTS; `longest`: what a whole line is."""
    pieces = []
    for part in shown:
        value = float(seconds[PARTS.index(part)])
        tip = f"{TITLES[part]}: {ms(value)} ms"
        pieces.append(f'<div style="width:{100 * value / longest:.3f}%;background:{COLORS[part]}" title="{tip}"></div>')
    told = ", ".join(f"{TITLES[part]} {ms(float(seconds[PARTS.index(part)]))} ms" for part in shown)
    return f'<div class="bar" role="img" aria-label="{told}">{"".join(pieces)}</div>'


def preformatted(lines: Sequence[str]) -> str:
    return f"<pre>{escape(chr(10).join(lines))}</pre>"
