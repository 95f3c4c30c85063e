"""What `gen-dist doctor` found, for people and for programs."""

import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gen_dist.cluster.examination import Examination, Examined
from gen_dist.cluster.interfaces import Interface
from gen_dist.cluster.links import Link
from gen_dist.cluster.node_facts import Disk, NodeFacts
from gen_dist.launch.doctor_findings import Finding, megabytes, milliseconds, rate
from gen_dist.launch.one_line import one_line

if TYPE_CHECKING:
    from rich.table import Table

Rows = list[tuple[str, str]]
COLUMN_WIDTH = 24  # that a node needs on a terminal
WIDEST_MATRIX = 6  # nodes; more are listed


def show(examination: Examination, findings: Sequence[Finding]) -> None:
    """Tables on a terminal, plain lines elsewhere; what to fix comes last."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    nodes = [(examination.label(place), rows_of(examination, one)) for place, one in enumerate(examination.nodes)]
    if console.is_terminal:
        _tables(examination, nodes)
    else:
        _lines(examination, nodes)
    runs = examination.here.runs
    print(f"run folder: below {one_line(runs.folder)}, {_disk(runs)}\n")
    for finding in findings:
        mark, colour = ("to fix", "bold red") if finding.breaks else ("note", "yellow")
        line = one_line(str(finding))
        if console.is_terminal:
            console.print(Text.assemble((f"{mark}: ", colour), line))
        else:
            print(f"{mark}: {line}")
    print(verdict(findings))


def verdict(findings: Sequence[Finding]) -> str:
    breaking = sum(finding.breaks for finding in findings)
    if breaking:
        return f"{breaking} thing{'s' * (breaking > 1)} to fix before a run"
    return "nothing would break a run"


def rows_of(examination: Examination, one: Examined) -> Rows:
    """What is said of a node: (what, value). Every node has the same ones, unless it could not be asked."""
    facts = one.facts
    if isinstance(facts, str):
        return [("address", one.node.address), ("not examined", one_line(facts))]
    software = facts.software
    rows = [
        ("address", one.node.address),
        ("gen-dist", f"{software['gen-dist']}, source {software['source'][:12]}"),
        *((name, software[name]) for name in ("python", "torch", "numba", "ray", "numpy")),
        ("processor", " ".join([facts.processor, *facts.instructions])),
        ("CPUs", _cpus(facts, one.node.cpus)),
        ("load", f"{facts.load:.1f} of {facts.machine_cpus}"),
        ("memory", f"{megabytes(facts.memory_free_bytes)} free of {megabytes(facts.memory_bytes)}"),
        ("GPUs", ", ".join(facts.gpus) or "none"),
        ("interface", _interface(facts.interface, examination.here.joined)),
        ("clock", _clock(one)),
        ("cache folder", "none" if facts.cache is None else f"{_disk(facts.cache)}, {facts.cache.folder}"),
        ("temporary", f"{_disk(facts.temporary)}, {facts.temporary.folder}"),
    ]
    if wanted := examination.here.wanted:
        found = {"same": "the same", "other": "another"}.get(one.copy.state, one.copy.state) if one.copy else "unknown"
        rows.append(("data", f"{wanted.content_hash[:12]}: {found}" + (f", {one.copy.where}" if one.copy else "")))
    return [(what, one_line(value)) for what, value in rows]


def _cpus(facts: NodeFacts, ray_cpus: int) -> str:
    quota = "" if facts.cpu_quota is None else f", a quota leaves {facts.cpu_quota:g}"
    return f"{facts.cpus}{quota}, Ray counts {ray_cpus}"


def _interface(interface: Interface, joined: bool) -> str:
    """Which one, and why."""
    if not joined:
        return f"{interface.name}: all workers are on this machine"
    about = [f"it has {interface.address}, by which Ray knows this node"]
    if interface.megabits:
        about.append(f"{interface.megabits} Mbit/s")
    if interface.wireless:
        about.append("wireless")
    if interface.towards_internet not in ("", interface.name):
        about.append(f"the internet is behind {interface.towards_internet}")
    return f"{interface.name or 'none'}: {', '.join(about)}"


def _clock(one: Examined) -> str:
    if one.clock is None:
        return "unknown"
    if abs(one.clock.ahead) <= one.clock.error:
        return f"the same within {one.clock.error * 1e3:.1f} ms"
    way = "ahead" if one.clock.ahead > 0 else "behind"
    return f"{abs(one.clock.ahead) * 1e3:,.1f} ms {way} ± {one.clock.error * 1e3:.1f}"


def _disk(disk: Disk) -> str:
    return f"{megabytes(disk.free_bytes)} free{'' if disk.writable else ', not writable'}"


def link_text(link: Link | str | None) -> str:
    if link is None:
        return "not measured"
    return f"no connection: {one_line(link)}" if isinstance(link, str) else f"{rate(link)}, {milliseconds(link)}"


def _lines(examination: Examination, nodes: Sequence[tuple[str, Rows]]) -> None:
    for label, rows in nodes:
        print(one_line(label))
        for what, value in rows:
            print(f"  {what:12}  {value}")
    for (a, b), link in examination.links.items():
        print(f"{one_line(nodes[a][0])} → {one_line(nodes[b][0])}: {link_text(link)}")


def _tables(examination: Examination, nodes: Sequence[tuple[str, Rows]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    side_by_side = max(1, (console.width - COLUMN_WIDTH // 2) // COLUMN_WIDTH)
    for start in range(0, len(nodes), side_by_side):
        shown = nodes[start : start + side_by_side]
        table = Table("", box=box.SIMPLE_HEAD, pad_edge=False)
        for label, _ in shown:
            table.add_column(Text(one_line(label)), overflow="fold")
        names = dict.fromkeys(what for _, rows in shown for what, _ in rows)
        for name in names:
            table.add_row(Text(name, style="cyan"), *(Text(dict(rows).get(name, "")) for _, rows in shown))
        console.print(table)
    if examination.links:
        console.print(_link_table(examination, [one_line(label) for label, _ in nodes]))


def _link_table(examination: Examination, labels: Sequence[str]) -> "Table":
    """A matrix of few nodes, a list of many."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    if len(labels) > WIDEST_MATRIX:
        table = Table("from", "to", "link", box=box.SIMPLE_HEAD, pad_edge=False)
        for (a, b), link in examination.links.items():
            table.add_row(Text(labels[a]), Text(labels[b]), Text(link_text(link)))
        return table
    table = Table("from ↓ to →", box=box.SIMPLE_HEAD, pad_edge=False)
    for label in labels:
        table.add_column(Text(label), overflow="fold")
    for a, label in enumerate(labels):
        cells = ["" if a == b else link_text(examination.links.get((a, b))) for b in range(len(labels))]
        table.add_row(Text(label, style="cyan"), *map(Text, cells))
    return table


def as_json(examination: Examination, findings: Sequence[Finding]) -> str:
    """All of it, nodes by their label."""
    here = examination.here
    nodes = [
        {
            "name": examination.label(place),
            "node": dataclasses.asdict(one.node),
            "facts": one.facts.to_plain() if isinstance(one.facts, NodeFacts) else None,
            "not_examined": one.facts if isinstance(one.facts, str) else None,
            "clock": dataclasses.asdict(one.clock) if one.clock else None,
            "data": dataclasses.asdict(one.copy) if one.copy else None,
        }
        for place, one in enumerate(examination.nodes)
    ]
    links = [
        {
            "from": examination.label(a),
            "to": examination.label(b),
            **({"error": link} if isinstance(link, str) else dataclasses.asdict(link)),
        }
        for (a, b), link in examination.links.items()
    ]
    data = {"path": here.wanted.name, "content_hash": here.wanted.content_hash} if here.wanted else None
    return json.dumps(
        {
            "ok": not any(finding.breaks for finding in findings),
            "findings": [dataclasses.asdict(finding) for finding in findings],
            "nodes": nodes,
            "links": links,
            "runs": dataclasses.asdict(here.runs),
            "data": data,
        },
        indent=1,
    )
