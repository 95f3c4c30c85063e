"""What to fix before a run: facts in, findings out. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from gen_dist.cluster.examination import Examination, Wanted
from gen_dist.cluster.links import Link
from gen_dist.cluster.node_facts import Disk, NodeFacts

BREAKING_BYTES, SCARCE_BYTES = 200e6, 2e9  # of disk room: a checkpoint, and those that a run keeps
WORKER_BYTES = 700e6  # of memory: torch, and a small model's state
LEAST_MEMORY_SHARE = 0.05  # Ray kills workers where less is free
BUSY_SHARE = 0.5  # of a machine's CPUs, wanted by others
SLOW_BYTES_PER_SECOND = 100e6 / 8
SLOW_SECONDS = 0.02
CLOCK_SECONDS = 1.0
BF16_ON_CPU = {"avx512-bf16", "amx-bf16"}


@dataclass(frozen=True)
class Finding:
    breaks: bool  # a run would fail; otherwise it costs speed, or is good to know
    where: str
    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.fix}"


def judge(examination: Examination) -> list[Finding]:
    """All findings, those that break a run first."""
    found = [*_disk("this machine", "run folder", examination.here.runs)]
    for place, one in enumerate(examination.nodes):
        label = examination.label(place)
        if isinstance(one.facts, str):
            fix = "see that it is connected and has the same gen-dist, in the environment from which Ray was started"
            found.append(Finding(True, label, f"cannot be asked: {one.facts}", fix))
            continue
        found += _software(examination, label, one.facts)
        found += _interface(examination, label, one.facts)
        found += _room(label, one.facts)
        found += _speed(label, one.facts, one.node.cpus, one.node.gpus)
        if one.clock and abs(one.clock.ahead) - one.clock.error > CLOCK_SECONDS:
            way = "ahead of" if one.clock.ahead > 0 else "behind"
            what = f"its clock is {abs(one.clock.ahead):.1f} s {way} this machine's"
            found.append(Finding(False, label, what, "times in logs will not fit together: let NTP set the clocks"))
    found += [*_data(examination), *_links(examination), *_together(examination)]
    return sorted(found, key=lambda finding: not finding.breaks)


def _software(examination: Examination, label: str, facts: NodeFacts) -> Iterator[Finding]:
    here = examination.here.software
    differing = [
        "other source of gen-dist" if name == "source" else f"{name} {facts.software.get(name)}, here {version}"
        for name, version in here.items()
        if _comparable(name, facts.software.get(name, "")) != _comparable(name, version)
    ]
    if differing:
        yield Finding(True, label, "; ".join(differing), "install the same versions on every machine")
    for why in facts.broken:
        yield Finding(True, label, f"cannot import {why}", "install it again there")


def _comparable(name: str, version: str) -> str:
    """Builds for CPUs and for GPUs go together (2.9.0+cpu, 2.9.0+cu128), as do Pythons of one minor version."""
    return ".".join(version.split(".")[:2]) if name == "python" else version.partition("+")[0]


def _interface(examination: Examination, label: str, facts: NodeFacts) -> Iterator[Finding]:
    if not examination.here.joined:
        return
    interface, again = facts.interface, "start Ray there again with --node-ip-address ADDRESS"
    if not interface.name:
        yield Finding(True, label, f"no interface has the address {interface.address} by which Ray knows it", again)
    elif interface.loopback and len(examination.nodes) > 1:
        what = f"Ray knows it by {interface.address}, which no other machine reaches"
        yield Finding(True, label, what, f"{again} that the others reach")
    if interface.wireless:
        yield Finding(False, label, f"{interface.name} is wireless", "a cable is faster and steadier")


def _room(label: str, facts: NodeFacts) -> Iterator[Finding]:
    if facts.cache is None or not facts.cache.writable:
        where = "no folder" if facts.cache is None else f"no right to write to '{facts.cache.folder}'"
        what = f"{where} for compiled kernels, so every worker compiles them anew"
        yield Finding(False, label, what, "set XDG_CACHE_HOME there to a folder to write in, and start Ray again")
    else:
        yield from _disk(label, "cache folder", facts.cache)
    yield from _disk(label, "temporary folder", facts.temporary)


def _disk(where: str, what: str, disk: Disk) -> Iterator[Finding]:
    if not disk.writable:
        yield Finding(True, where, f"no right to write to the {what} '{disk.folder}'", "choose another one")
    elif disk.free_bytes < SCARCE_BYTES:
        room = f"{what} '{disk.folder}': {megabytes(disk.free_bytes)} free on its disk"
        yield Finding(disk.free_bytes < BREAKING_BYTES, where, room, "make room there")


def _speed(label: str, facts: NodeFacts, ray_cpus: int, ray_gpus: int) -> Iterator[Finding]:
    usable = min(float(facts.cpus), facts.cpu_quota or float("inf"))
    if facts.cpu_quota is not None and facts.cpu_quota < facts.cpus:
        what = f"a quota leaves {facts.cpu_quota:g} of its {_many(facts.cpus, 'CPU')}"
        yield Finding(False, label, what, "raise it, or let Ray count fewer: --num-cpus")
    if ray_cpus > facts.cpus:
        what = f"Ray counts {_many(ray_cpus, 'CPU')}, there are {facts.cpus}"
        yield Finding(False, label, what, f"start Ray there with --num-cpus {max(1, int(usable))}")
    if not ray_cpus and not ray_gpus:
        what = "Ray counts no CPU there, so it gets no worker"
        yield Finding(False, label, what, "start Ray there with --num-cpus")
    if facts.load > BUSY_SHARE * facts.machine_cpus:
        what = f"busy: {facts.load:.1f} processes wanted its {_many(facts.machine_cpus, 'CPU')} in the last minute"
        yield Finding(False, label, what, "end what else runs there")
    room = int(facts.memory_free_bytes / WORKER_BYTES)
    if facts.memory_free_bytes < max(WORKER_BYTES, LEAST_MEMORY_SHARE * facts.memory_bytes):
        what = f"{megabytes(facts.memory_free_bytes)} of {megabytes(facts.memory_bytes)} memory free"
        yield Finding(True, label, what, "too little for a worker: end what else runs there")
    elif room < ray_cpus:
        what = (
            f"{megabytes(facts.memory_free_bytes)} of memory free, for some {room} workers; Ray counts {ray_cpus} CPUs"
        )
        yield Finding(False, label, what, "take fewer with --workers, or end what else runs there")
    if facts.gpus and not facts.cuda:
        what = f"has {_many(len(facts.gpus), 'GPU')}, and a torch that was built for CPUs"
        yield Finding(False, label, what, "install torch for CUDA there")
    elif len(facts.gpus) > ray_gpus:
        what = f"has {_many(len(facts.gpus), 'GPU')}, Ray counts {ray_gpus}"
        yield Finding(False, label, what, "start Ray there with --num-gpus")


def _data(examination: Examination) -> Iterator[Finding]:
    wanted = examination.here.wanted
    for place, one in enumerate(examination.nodes):
        if wanted is None or one.copy is None or one.copy.state == "same" or isinstance(one.facts, str):
            continue
        label, cache = examination.label(place), one.facts.cache
        what = {
            "missing": f"no pack at '{one.copy.where}'",
            "other": f"other images in '{one.copy.where}' than here",
            "damaged": one.copy.where,
            "unknown": f"looking for a copy of the data: {one.copy.where}",
        }[one.copy.state]
        if one.copy.state == "unknown":
            yield Finding(True, label, what, "look whether its disks answer: a run would wait for them")
        elif cache is None or not cache.writable or cache.free_bytes < wanted.bytes + BREAKING_BYTES:
            yield Finding(True, label, f"{what}, and no room to send it there", _room_for(wanted, cache))
        else:
            yield Finding(False, label, what, f"{megabytes(wanted.bytes)} are sent there before training")


def _room_for(wanted: Wanted, cache: Disk | None) -> str:
    if cache is None or not cache.writable:
        return "set XDG_CACHE_HOME there to a folder to write in, and start Ray again"
    return (
        f"make {megabytes(wanted.bytes + BREAKING_BYTES)} free for '{cache.folder}'; {megabytes(cache.free_bytes)} are"
    )


def _links(examination: Examination) -> Iterator[Finding]:
    label = examination.label
    for a, b in combinations(range(len(examination.nodes)), 2):
        found = {(x, y): examination.links.get((x, y)) for x, y in ((a, b), (b, a))}
        reasons = {pair: link for pair, link in found.items() if isinstance(link, str)}
        if reasons:
            (sender, receiver), reason = next(iter(reasons.items()))
            arrow = "↔" if len(reasons) == 2 else "→"
            yield Finding(
                True, f"{label(sender)} {arrow} {label(receiver)}", f"no connection: {reason}",
                "let all TCP ports through between the machines: the system chooses those that are used",
            )  # fmt: skip
    links = {pair: link for pair, link in examination.links.items() if isinstance(link, Link)}
    if slow := [pair for pair, link in links.items() if link.bytes_per_second < SLOW_BYTES_PER_SECOND]:
        a, b = min(slow, key=lambda pair: links[pair].bytes_per_second)
        worst = f"the slowest {label(a)} → {label(b)} with {rate(links[a, b])}"
        fix = "gradients will be waited for: use a cable, a faster switch or fewer machines"
        yield Finding(False, "links", f"{len(slow)} of {len(links)} are under 100 Mbit/s, {worst}", fix)
    if late := [pair for pair, link in links.items() if link.latency_seconds > SLOW_SECONDS]:
        a, b = max(late, key=lambda pair: links[pair].latency_seconds)
        worst = f"the longest {label(a)} → {label(b)} with {milliseconds(links[a, b])}"
        fix = "every phase of a step waits for several messages: use machines of one network"
        yield Finding(False, "links", f"{len(late)} of {len(links)} take over 20 ms, {worst}", fix)


def _together(examination: Examination) -> Iterator[Finding]:
    """What matters only where machines differ, or for all of them."""
    known = {
        examination.label(place): one.facts
        for place, one in enumerate(examination.nodes)
        if isinstance(one.facts, NodeFacts)
    }
    if total := sum(one.node.cpus for one in examination.nodes):
        free = total - examination.cpus_taken
        if examination.cpus_taken >= 1:
            what = f"{examination.cpus_taken:g} of {total} CPUs are taken by other work"
            yield Finding(free < 1, "cluster", what, "wait for it, or end it; until then workers wait for their CPUs")
    elif not any(one.node.gpus for one in examination.nodes):
        yield Finding(True, "cluster", "Ray counts no CPU and no GPU", "start Ray with --num-cpus")
    if without := _without({label: bool(facts.gpus) for label, facts in known.items()}):
        what = f"no GPU on {without}, so train.device=auto trains on CPUs everywhere"
        yield Finding(False, "cluster", what, "leave these machines out to use the GPUs of the others")
    if without := _without({label: bool(BF16_ON_CPU & {*facts.instructions}) for label, facts in known.items()}):
        what = f"no bf16 in the processor of {without}, so train.precision=auto is fp32 everywhere"
        yield Finding(False, "cluster", what, "leave these machines out if the others are faster alone")
    if len({(facts.processor, *facts.instructions) for facts in known.values()}) > 1:
        what = "processors with different instructions may differ in the last bits"
        fix = "nothing to do: a probe step shows it, and the run then promises equal results up to rounding"
        yield Finding(False, "cluster", what, fix)


def _without(has: dict[str, bool]) -> str:
    """Those that have not, where others have."""
    return ", ".join(label for label, there in has.items() if not there) if any(has.values()) else ""


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def megabytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def rate(link: Link) -> str:
    megabits = link.bytes_per_second * 8e-6
    return f"{megabits / 1000:.1f} Gbit/s" if megabits >= 1000 else f"{megabits:.3g} Mbit/s"


def milliseconds(link: Link) -> str:
    return f"{link.latency_seconds * 1e3:.2g} ms"
