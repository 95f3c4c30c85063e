"""What `benchmarks.kernels` measured, as Markdown tables and as a verdict."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.kernel_rows import Peer, Row

MEMORY, CACHE = "copy in memory", "copy in cache"
TITLES = (
    "work",
    "peer",
    "peer, images/s",
    "ours, images/s",
    "**ours / peer**",
    "at least",
    "outputs differ by at most, on average",
)
BOUNDS = (
    "work",
    "bytes an image",
    "ours, images/s",
    "at the speed of a copy in memory",
    "ours of that",
    "in cache",
    "ours of that",
)


@dataclass
class Measured:
    """`rates`: items a second by way, one a repeat, and bytes a second of the copies. `apart`: by peer, see Agreement.
    `missing`: why a way was not measured, by its name."""

    row: Row
    ours: list[float] = field(default_factory=list)
    peers: dict[str, list[float]] = field(default_factory=dict)
    copies: dict[str, list[float]] = field(default_factory=dict)
    apart: dict[str, tuple[float, float]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def ratio(self, peer: Peer) -> float:
        """Of medians."""
        return statistics.median(self.ours) / statistics.median(self.peers[peer.way.name])

    def ratios(self, peer: Peer) -> list[float]:
        """Of each repeat with the peer's beside it."""
        return [a / b for a, b in zip(self.ours, self.peers[peer.way.name], strict=True)]

    def line(self) -> str:
        rates = {self.row.ours.name: self.ours, **self.peers}
        said = [f"{name} {spread(values)}" for name, values in rates.items() if values]
        missing = [f"{name} not measured: {why}" for name, why in self.missing.items()]
        return f"{self.row.key}: {'; '.join(said + missing)}"

    def peer_lines(self) -> list[list[str]]:
        return [[self.row.work, peer.way.name, *self._cells(peer)] for peer in self.row.peers]

    def _cells(self, peer: Peer) -> list[str]:
        wanted = f"{peer.at_least:g} ×" if peer.at_least else ""
        if why := self.missing.get(peer.way.name) or self.missing.get(self.row.ours.name):
            return [f"not measured: {why}", "", "", wanted, ""]
        own = self.ratios(peer)
        mark = "" if good(self, peer) else ": MISSED"
        return [
            spread(self.peers[peer.way.name]),
            spread(self.ours),
            f"**{self.ratio(peer):.2f}** ({min(own):.2f}..{max(own):.2f})",
            f"{wanted}{mark}",
            describe(peer, self.apart[peer.way.name]),
        ]

    def bound_line(self) -> list[str]:
        own = statistics.median(self.ours)
        cells = [self.row.work, f"{self.row.moved:,.0f}", rounded(own)]
        for name in (MEMORY, CACHE):
            bound = statistics.median(self.copies[name]) / self.row.moved
            cells += [rounded(bound), f"{own / bound:.1%}"]
        return cells


def good(measured: Measured, peer: Peer) -> bool:
    return not peer.at_least or measured.ratio(peer) >= peer.at_least


def describe(peer: Peer, apart: tuple[float, float]) -> str:
    if peer.agreement.kind == "moments":
        return f"means {apart[0]:.2g}, deviations {apart[1]:.2g}"
    return "nothing" if apart == (0.0, 0.0) else f"{apart[0]:.2g}, {apart[1]:.2g}"


def rounded(value: float) -> str:
    """Three digits, as others mean nothing."""
    return f"{float(f'{value:.3g}'):,.0f}"


def spread(values: Sequence[float]) -> str:
    return f"{rounded(statistics.median(values))} ({rounded(min(values))}..{rounded(max(values))})"


def markdown(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (titles, ["---"] * len(titles), *lines))


def tables(rows: Sequence[Measured]) -> str:
    peers = markdown(TITLES, [line for row in rows for line in row.peer_lines()])
    bounds = markdown(BOUNDS, [row.bound_line() for row in rows if row.ours and row.row.ours.threads == 1])
    return f"{peers}\n\n{bounds}"


def verdict(rows: Sequence[Measured]) -> str:
    wanted = [(row, peer) for row in rows for peer in row.row.peers if peer.at_least]
    done = [(row, peer) for row, peer in wanted if row.ours and row.peers.get(peer.way.name)]
    missed = [f"{row.row.key}: {row.ratio(peer):.2f} of {peer.at_least:g} × {peer.way.name}"
              for row, peer in done if not good(row, peer)]  # fmt: skip
    said = f"{len(done) - len(missed)} of {len(wanted)} targets met, {len(wanted) - len(done)} not measured."
    return "\n".join([said, *(f"MISSED {line}" for line in missed)])
