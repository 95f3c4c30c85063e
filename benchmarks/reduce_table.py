"""What `benchmarks.reduce` measured, as lines, as a Markdown table and as a verdict."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.reduce_worker import DDP, LATE, PLAIN, TREE

LIMIT = 1.05  # of ddp's step time
NO_LINK = "–"
TITLES = ("model", "workers", "link", "`ddp`, s a step", "`tree`", "**`tree` / `ddp`**", "not overlapped / `tree`",
          "CPU time, `tree` / `ddp`", "MB sent, `ddp`", "MB sent, `tree`")  # fmt: skip


@dataclass
class Row:
    """By reducer: each turn's wall seconds and CPU seconds (of all workers) a step, and the bytes that a worker sent in
    one; or why there are none."""

    model: str
    workers: int
    link: str
    seconds: dict[str, list[float]]
    cpu: dict[str, list[float]]
    sent: dict[str, float]
    failure: str = ""

    @property
    def name(self) -> str:
        many = f"{self.workers} worker{'s' * (self.workers > 1)}"
        return ", ".join((self.model, many) if self.link == NO_LINK else (self.model, many, self.link))

    @property
    def peer(self) -> str:
        return DDP if self.workers > 1 else PLAIN

    def line(self) -> str:
        if self.failure:
            return f"{self.name}: not measured: {self.failure}"
        times = ", ".join(f"{name} {spread(seconds)} s" for name, seconds in self.seconds.items())
        return f"{self.name}: {times}; {TREE} / {self.peer} {spread(ratios(self.seconds, TREE, self.peer))}"

    def cells(self) -> list[str]:
        first = [self.model, str(self.workers), self.link]
        if self.failure:
            return [*first, f"not measured: {self.failure}", *[""] * (len(TITLES) - 4)]
        return [
            *first,
            *(spread(self.seconds[name]) for name in (self.peer, TREE)),
            f"**{spread(ratios(self.seconds, TREE, self.peer))}**",
            spread(ratios(self.seconds, LATE, TREE)) if LATE in self.seconds else "",
            spread(ratios(self.cpu, TREE, self.peer)),
            *(f"{self.sent[name] / 1e6:.1f}" if self.sent[name] else "" for name in (self.peer, TREE)),
        ]


def ratios(turns: dict[str, list[float]], name: str, to: str) -> list[float]:
    """Of each turn with the turn beside it."""
    return [a / b for a, b in zip(turns[name], turns[to], strict=True)]


def spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.3f} ({min(values):.3f}..{max(values):.3f})"


def table(rows: Sequence[Row]) -> str:
    """Markdown; a model's rows stand together."""
    lines = [TITLES, ["---"] * len(TITLES), *(row.cells() for row in sorted(rows, key=lambda row: row.model))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def notes(repeats: int, steps: int, workers: Sequence[int], cores: int) -> str:
    lines = [f"Medians (least..most) of {repeats} turns of {steps} step{'s' * (steps > 1)}; "
             "ratios are of neighbouring turns."]  # fmt: skip
    if 1 in workers:
        lines.append("With 1 worker `ddp` stands for gradients summed in `grad`.")
    if max(workers) > cores:
        lines.append(f"More than {cores} workers share {cores} cores, which the network needs too.")
    lines.append("MB sent by a worker in a step: on shaped links all that its interface sent, with headers, "
                 "acknowledgements and what was sent again; on loopback what `tree` counts, and what a ring all-reduce "
                 "of `ddp`'s gradients needs.")  # fmt: skip
    return "\n".join(lines)


def verdict(rows: Sequence[Row]) -> str:
    """One sentence: whether `tree` is within its limit where it does worst."""
    compared = [row for row in rows if DDP in row.seconds]
    if not compared:
        return "Nothing was compared with ddp."
    ratio, name = max((statistics.median(ratios(row.seconds, TREE, DDP)), row.name) for row in compared)
    within = "within the 5 % that let tree" if ratio <= LIMIT else "MORE than the 5 % that would let tree"
    return f"The largest median of tree / ddp is {ratio:.3f} ({name}): {within} be the default on CPU."
