"""Axes and lines of charts: every value is inside, ticks are few and round, gaps stay gaps, names cannot break out."""

import math
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen_dist.charts.axis import MOST_TICKS, Axis, axis_of, tick_text
from gen_dist.charts.line_chart import Frame, Line, LineChart, Mark, runs, thin, to_svg

SVG = "{http://www.w3.org/2000/svg}"
VALUES = st.floats(-1e12, 1e12).filter(lambda value: value == 0 or abs(value) > 1e-12)


def paths(svg):
    return [element.attrib for element in ElementTree.fromstring(svg).iter(f"{SVG}path")]


@given(st.lists(VALUES, min_size=1), st.booleans())
def test_an_axis_shows_every_value_between_round_ticks(values, from_zero):
    axis = axis_of(values, from_zero=from_zero)
    assert all(-1e-6 <= axis.place(value) <= 1 + 1e-6 for value in values)
    ticks = axis.ticks()
    assert 2 <= len(ticks) <= MOST_TICKS + 1  # the axis is widened to whole steps
    assert [axis.place(ticks[0]), axis.place(ticks[-1])] == pytest.approx([0, 1], abs=1e-6)
    if from_zero:
        assert axis.low <= 0 <= axis.high


@given(st.lists(st.floats(1e-30, 1e30), min_size=1))
def test_a_logarithmic_axis_too(values):
    axis = axis_of(values, logarithmic=True)
    assert all(-1e-6 <= axis.place(value) <= 1 + 1e-6 for value in values)
    assert 2 <= len(axis.ticks()) <= MOST_TICKS


@pytest.mark.parametrize("logarithmic", [False, True])
def test_an_axis_of_nothing_that_can_be_shown(logarithmic):
    axis = axis_of([math.nan, math.inf] + [-1.0] * logarithmic, logarithmic)
    assert axis.low < axis.high
    assert axis.ticks()


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.25, "0.25"), (-3.5, "-3.5"), (1000, "1,000"), (2.5e6, "2.5M"), (1e-5, "1e-05"),
     (0.30000000000000004, "0.3"), (4e9, "4G"), (1e15, "1e+15")],
)  # fmt: skip
def test_ticks_are_short(value, text):
    assert tick_text(value) == text


def test_a_line_has_gaps_where_there_is_nothing_to_show():
    frame = Frame(0, 0, 100, 100, Axis(0, 4), Axis(1, 100, logarithmic=True))
    line = Line("loss", range(5), [1.0, 10.0, math.nan, 0.0, 100.0])
    assert list(runs(line, frame)) == [[(0.0, 100.0), (25.0, 50.0)], [(100.0, 0.0)]]


def test_a_long_line_keeps_its_spikes():
    points = [(i / 100, 50.0) for i in range(10_000)]
    points[777] = (7.77, 1.0)
    kept = thin(points)
    assert {(7.77, 1.0), points[0], points[-1]} <= set(kept)
    assert kept == sorted(kept)
    assert len(kept) <= 4 * 100


def test_a_chart_holds_its_lines_and_what_happened():
    chart = LineChart(
        "loss", "step", (Line("G", [1, 2, 3], [1, 2, 3]), Line("D", [1, 2], [2, math.nan])), (Mark(2, "died"),)
    )
    svg = to_svg(chart, background="white")
    strokes = [attributes.get("stroke") for attributes in paths(svg)]
    assert (strokes.count("#0072b2"), strokes.count("#d55e00")) == (2, 3)  # each with its legend; and the mark
    texts = [element.text for element in ElementTree.fromstring(svg).iter(f"{SVG}title")]
    assert texts == ["loss", "died"]


def test_names_are_text_and_nothing_else():
    bad = '</svg><script>"&'
    svg = to_svg(LineChart(bad, bad, (Line(bad, [1, 2], [1, 2]),), (Mark(1, bad),)))
    root = ElementTree.fromstring(svg)
    assert not list(root.iter("script")) + list(root.iter(f"{SVG}script"))
    assert [element.text for element in root.iter(f"{SVG}title")] == [bad, bad]


def test_many_lines_differ_in_color_or_dashes_and_their_names_fit():
    lines = tuple(Line(f"line number {number}", [0, 1], [0, number]) for number in range(12))
    svg = to_svg(LineChart("many", "x", lines), width=400, height=400)
    styles = {(a["stroke"], a.get("stroke-dasharray")) for a in paths(svg) if a.get("stroke-width") == "3"}
    assert len(styles) == len(lines)


@pytest.mark.parametrize(
    "lines", [(), (Line("none", [], []),), (Line("one", [5], [5]),), (Line("flat", [1, 2], [3, 3]),)]
)
def test_hardly_anything_is_drawn_too(lines):
    ElementTree.fromstring(to_svg(LineChart("little", "step", lines)))


@pytest.mark.parametrize("x", [[2, 4, 8], [0, 1, 10], [20, 30], [5, 5], [0, 0], [-1, 3000, 4e7]])
def test_a_logarithmic_x_axis_of_any_numbers(x):
    chart = LineChart("log", "workers", (Line("one", x, [1] * len(x)),), (Mark(0, "at no place"),), log_x=True)
    assert "nan" not in to_svg(chart)
    ticks = chart.axes()[0].ticks()
    assert ticks[0] < ticks[-1]
