"""What each rank's thread did when, as a trace that Perfetto (ui.perfetto.dev) and chrome://tracing show. Pure.

Machines' clocks differ. All ranks leave a collective at nearly the same moment, so that is what they are aligned by.
"""

import itertools
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from gen_dist.step_times import COLLECTIVES, Span


def aligned(spans: Mapping[int, Sequence[Span]]) -> dict[int, list[Span]]:
    """Spans of all ranks by the clock of the lowest one, whose first begins at 0."""
    if not any(spans.values()):
        return {rank: [] for rank in spans}
    first = min(rank for rank, own in spans.items() if own)
    began = spans[first][0].start
    ends = {rank: collective_ends(own) for rank, own in spans.items()}
    shifted = {}
    for rank, own in spans.items():
        pairs = zip(ends[first], ends[rank], strict=False)
        offset = median([there - here for there, here in pairs] or [began - own[0].start if own else 0.0])
        shifted[rank] = [span._replace(start=span.start + offset - began) for span in own]
    return shifted


def collective_ends(spans: Sequence[Span]) -> list[float]:
    """When each phase's last collective ended."""
    return [
        span.end
        for span, following in itertools.pairwise(spans)
        if span.part in COLLECTIVES and following.part not in COLLECTIVES
    ]


def chrome_trace(spans: Mapping[int, Sequence[Span]], hosts: Mapping[int, str]) -> dict[str, Any]:
    """In the Trace Event Format: a process for each rank; phases on one line, their parts on the next."""
    events: list[dict[str, Any]] = []
    for rank, own in aligned(spans).items():
        name = {"name": f"rank {rank} on {hosts[rank]}", "host": hosts[rank]}
        events.append({"ph": "M", "name": "process_name", "pid": rank, "tid": 0, "args": name})
        for line, title in enumerate(("phases", "parts")):
            events.append({"ph": "M", "name": "thread_name", "pid": rank, "tid": line, "args": {"name": title}})
        events += [complete(rank, 0, phase, {"step": phase.step}) for phase in phases_of(own)]
        events += [complete(rank, 1, span, {"step": span.step, "phase": span.phase}) for span in own]
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def phases_of(spans: Sequence[Span]) -> list[Span]:
    """Neighbours of one phase of one step as one span, its name in place of the part's."""
    found: list[Span] = []
    for span in spans:
        if found and found[-1][:2] == span[:2]:
            found[-1] = found[-1]._replace(seconds=span.end - found[-1].start)
        else:
            found.append(span._replace(part=span.phase))
    return found


def complete(rank: int, line: int, span: Span, more: Mapping[str, Any]) -> dict[str, Any]:
    microseconds = {"ts": round(1e6 * span.start, 3), "dur": round(1e6 * span.seconds, 3)}
    return {"ph": "X", "name": span.part, "pid": rank, "tid": line, **microseconds, "args": dict(more)}
