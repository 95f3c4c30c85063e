"""Traces: ranks whose clocks differ are shown side by side, in a form that viewers read."""

import json

import pytest

from gen_dist.profiling.trace import aligned, chrome_trace, phases_of
from gen_dist.step_times import Span


def rank_spans(ahead, late=0.0):
    """Two phases by a clock that is `ahead`; this rank comes `late` to the collectives, which end at 3 and 6."""
    spans, now = [], 0.0
    for step, phase in ((1, "discriminator"), (1, "generator")):
        work = 1.0 + late
        for part, seconds in (("forward", work), ("reduce", 2.5 - work), ("reduce", 0.25), ("optimise", 0.25)):
            spans.append(Span(step, phase, part, now + ahead, seconds))
            now += seconds
    return spans


def test_ranks_whose_clocks_differ_leave_collectives_together():
    found = aligned({0: rank_spans(100.0), 1: rank_spans(-7.0, late=0.5)})
    ends = {rank: [span.end for span in spans if span.part == "optimise"] for rank, spans in found.items()}
    assert ends[0] == pytest.approx([3.0, 6.0])
    assert ends[1] == pytest.approx(ends[0])
    assert found[0][0].start == 0.0
    assert found[1][0].start == pytest.approx(0.0)


def test_a_rank_without_spans_is_nowhere():
    assert aligned({0: [], 1: []}) == {0: [], 1: []}
    assert aligned({0: [], 1: rank_spans(5.0)})[1][0].start == 0.0


def test_a_phase_covers_its_parts():
    assert [(span.part, span.seconds) for span in phases_of(rank_spans(0.0))] == [
        ("discriminator", 3.0),
        ("generator", 3.0),
    ]


def test_the_same_phase_of_two_steps_stays_apart():
    spans = [
        Span(1, "vae", "forward", 0.0, 1.0),
        Span(1, "vae", "reduce", 1.0, 1.0),
        Span(2, "vae", "forward", 2.0, 1.0),
    ]
    assert [(span.step, span.part, span.seconds) for span in phases_of(spans)] == [(1, "vae", 2.0), (2, "vae", 1.0)]


def test_the_trace_is_complete_events_in_microseconds_by_rank():
    trace = json.loads(json.dumps(chrome_trace({0: rank_spans(50.0), 1: rank_spans(9.0)}, {0: "here", 1: "there"})))
    events = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    names = [event["args"]["name"] for event in trace["traceEvents"] if event["name"] == "process_name"]
    assert names == ["rank 0 on here", "rank 1 on there"]
    assert {event["pid"] for event in events} == {0, 1}
    forward = [event for event in events if event["name"] == "forward" and event["pid"] == 1]
    assert [(event["ts"], event["dur"]) for event in forward] == [(0.0, 1e6), (3e6, 1e6)]
    assert forward[0]["args"] == {"step": 1, "phase": "discriminator"}
    assert sum(event["dur"] for event in events if event["tid"] == 1 and event["pid"] == 0) == 6e6
