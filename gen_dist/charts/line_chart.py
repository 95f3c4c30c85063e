"""Lines over a common x axis as an SVG picture. Pure.

Its text and lines have the colour of the text around it, so that it fits light and dark pages alike.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from gen_dist.charts.axis import Axis, axis_of, can_be_shown, tick_text

# Okabe and Ito's colours, told apart by colour-blind people too; the lightest of them left out.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHES = ("", "6 3", "2 2")  # when the colours are used up
LEFT, RIGHT, TOP, BOTTOM, LEGEND_LINE = 58, 12, 30, 36, 16
LETTER = 6.4  # pixels, about, of the legend's text


@dataclass(frozen=True)
class Line:
    """`x` ascending; where x or y is not finite (or not above 0 on a logarithmic axis), the line has a gap."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True)
class Mark:
    """Something that happened at `x`: an upright line, which tells `text` under the pointer."""

    x: float
    text: str


@dataclass(frozen=True)
class LineChart:
    title: str
    x_label: str
    lines: tuple[Line, ...]
    marks: tuple[Mark, ...] = ()
    log_x: bool = False
    log_y: bool = False
    from_zero: bool = False  # the y axis shows 0 too
    dots: bool = False  # at every point
    joined: bool = True  # else there are dots only, and x need not ascend
    colors: tuple[str, ...] = COLORS

    def axes(self) -> tuple[Axis, Axis]:
        x = [value for line in self.lines for value in line.x] + [mark.x for mark in self.marks]
        x = [value for value in x if can_be_shown(value, self.log_x)]
        y = [value for line in self.lines for value in line.y]
        across = Axis(min(x), max(x), self.log_x) if len(set(x)) > 1 else axis_of(x, self.log_x)  # the whole width
        return across, axis_of(y, self.log_y, self.from_zero)


@dataclass(frozen=True)
class Frame:
    """Where the lines are, in pixels."""

    left: float
    top: float
    width: float
    height: float
    x: Axis
    y: Axis

    def at_x(self, value: float) -> float:
        return self.left + self.width * self.x.place(value)

    def at_y(self, value: float) -> float:
        return self.top + self.height * (1 - self.y.place(value))


def to_svg(chart: LineChart, width: int = 640, height: int = 300, background: str = "") -> str:
    """An `<svg>` element. `background`: a colour for a file of its own, such as white; "": none."""
    legend, legend_height = draw_legend(chart, width)
    x, y = chart.axes()
    frame = Frame(LEFT, TOP, width - LEFT - RIGHT, height - TOP - BOTTOM - legend_height, x, y)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" font-family="system-ui, sans-serif" font-size="12" fill="currentColor">',
        f"<title>{escape(chart.title)}</title>",
        f'<rect width="{width}" height="{height}" fill="{escape(background)}"/>' if background else "",
        f'<text x="{LEFT}" y="18" font-size="14" font-weight="600">{escape(chart.title)}</text>',
        *draw_axes(chart, frame),
        *(draw_mark(mark, frame) for mark in chart.marks if can_be_shown(mark.x, chart.log_x)),
        *(part for number, line in enumerate(chart.lines) for part in draw_line(line, number, frame, chart)),
        f'<g transform="translate({LEFT} {height - legend_height + 10})">{"".join(legend)}</g>',
        "</svg>",
    ]
    return "\n".join(part for part in parts if part)


def draw_axes(chart: LineChart, frame: Frame) -> Iterator[str]:
    right, bottom = frame.left + frame.width, frame.top + frame.height
    for value in frame.y.ticks():
        at = frame.at_y(value)
        yield f'<path d="M{frame.left:.1f} {at:.1f}H{right:.1f}" stroke="currentColor" stroke-opacity=".15"/>'
        yield f'<text x="{frame.left - 6:.1f}" y="{at + 4:.1f}" text-anchor="end">{tick_text(value)}</text>'
    for value in frame.x.ticks():
        at = frame.at_x(value)
        yield f'<path d="M{at:.1f} {bottom:.1f}v4" stroke="currentColor"/>'
        anchor = "end" if right - at < LETTER * 3 else "middle"  # else the picture's edge cuts it
        yield f'<text x="{at:.1f}" y="{bottom + 16:.1f}" text-anchor="{anchor}">{tick_text(value)}</text>'
    yield f'<path d="M{frame.left:.1f} {bottom:.1f}H{right:.1f}" stroke="currentColor"/>'
    yield f'<text x="{right:.1f}" y="{bottom + 31:.1f}" text-anchor="end">{escape(chart.x_label)}</text>'


def draw_mark(mark: Mark, frame: Frame) -> str:
    at, bottom = frame.at_x(mark.x), frame.top + frame.height
    return (
        f'<path d="M{at:.1f} {frame.top:.1f}V{bottom:.1f}" stroke="#d55e00" stroke-dasharray="3 3">'
        f"<title>{escape(mark.text)}</title></path>"
    )


def draw_line(line: Line, number: int, frame: Frame, chart: LineChart) -> Iterator[str]:
    color, style = look(number, chart)
    for run in runs(line, frame):
        if chart.joined:
            path = "L".join(f"{x:.1f} {y:.1f}" for x, y in thin(run))
            yield f'<path d="M{path}" fill="none" stroke="{color}" stroke-width="1.5" stroke-linejoin="round"{style}/>'
        if chart.dots or not chart.joined or len(run) == 1:
            yield from (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{color}"/>' for x, y in run)


def look(number: int, chart: LineChart) -> tuple[str, str]:
    """Colour and dashes of a line, by its number."""
    colors = chart.colors
    dashes = DASHES[number // len(colors) % len(DASHES)]
    return colors[number % len(colors)], f' stroke-dasharray="{dashes}"' if dashes else ""


def runs(line: Line, frame: Frame) -> Iterator[list[tuple[float, float]]]:
    """The line's parts between its gaps, in pixels."""
    run: list[tuple[float, float]] = []
    for x, y in zip(line.x, line.y, strict=True):
        if can_be_shown(x, frame.x.logarithmic) and can_be_shown(y, frame.y.logarithmic):
            run.append((frame.at_x(x), frame.at_y(y)))
        elif run:
            yield run
            run = []
    if run:
        yield run


def thin(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Of each column of pixels the first, lowest, highest and last point: a line that looks the same."""
    columns: dict[int, list[tuple[float, float]]] = {}
    for point in points:
        columns.setdefault(int(point[0]), []).append(point)
    kept = []
    for column in columns.values():
        heights = [y for _, y in column]
        kept += [
            column[i] for i in sorted({0, heights.index(min(heights)), heights.index(max(heights)), len(column) - 1})
        ]
    return kept


def draw_legend(chart: LineChart, width: int) -> tuple[list[str], int]:
    """The lines' names, from left to right and then below; and how high that is."""
    parts, x, y = [], 0.0, 0
    for number, line in enumerate(chart.lines):
        if not line.name:  # the title says what it is
            continue
        needed = 26 + LETTER * len(line.name)
        if x and x + needed > width - LEFT - RIGHT:
            x, y = 0.0, y + LEGEND_LINE
        color, style = look(number, chart)
        parts.append(f'<path d="M{x:.1f} {y - 4}h16" stroke="{color}" stroke-width="3"{style}/>')
        parts.append(f'<text x="{x + 20:.1f}" y="{y}">{escape(line.name)}</text>')
        x += needed
    return parts, y + LEGEND_LINE if parts else 0
