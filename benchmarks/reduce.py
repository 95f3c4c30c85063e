"""What summing in a tree costs: a step's wall time and the bytes sent under the reducers `tree` and `ddp`.

`tree` may cost at most 5 % of `ddp`'s step time, or it is not the default on CPU. For each link and number of workers
one group of processes holds an engine for each reducer, and they take turns; a turn begins when all ranks are ready and
ends with the last of them. `late` is `tree` without overlap. One worker has nothing to send: there `tree` is compared
with gradients summed in `grad`. Shaped links join network namespaces, one for each worker.
"""

import argparse
import os
import platform
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from ipaddress import ip_interface
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.processes import cpu_model
from benchmarks.reduce_table import NO_LINK, Row, notes, table, verdict
from benchmarks.reduce_worker import DDP, LATE, PLAIN, TREE, Group, Model
from gen_dist.data.pack_files import About
from gen_dist.data.pack_writer import PackWriter
from gen_dist.errors import UserError
from tests.hosts import Host, HostsError, available, hosts

PRESETS = ("dcgan-64", "vae-64")
TINY = ["data.size=16", "model.generator_width=4", "model.discriminator_width=4", "train.batch_size=16",
        "train.microbatch_size=4"]  # fmt: skip
IMAGES = 1024
FIRST_STEPS = 2  # whose results are compared, before any time is taken
SAME_LOSS = 1e-3  # relative, at the first step; gradient norms are among the losses
LOOPBACK = "loopback"
SETTINGS = Path("/proc/sys/net/ipv4")
CONGESTION = SETTINGS / "tcp_congestion_control"
CONGESTIONS = SETTINGS / "tcp_available_congestion_control"

Link = float | None  # Mbit/s; None: loopback


@dataclass(frozen=True)
class Options:
    models: Sequence[Model]
    links: Sequence[Link]
    workers: Sequence[int]
    repeats: int
    steps: int  # of a turn
    congestion: str | None  # TCP's congestion control on shaped links; None: the machine's
    quick: bool


@dataclass(frozen=True)
class Prepared:
    """A model in every worker of a group, its first steps done and found right."""

    model: Model
    ring_bytes: float  # that a ring all-reduce of a step's gradients makes a worker send
    tree_hash: str


def run(options: Options) -> list[Row]:
    rows = []
    hashes = {}  # of one worker, by preset
    with Group(1) as group:
        for model in options.models:
            prepared = prepare(group, model, [PLAIN, TREE])
            hashes[model.preset] = prepared.tree_hash
            if 1 in options.workers:
                rows.append(measure(group, prepared, NO_LINK, options))
    for workers in (number for number in options.workers if number > 1):
        for links, opened in fabrics(options, workers):
            with opened as opened_group:
                for model in options.models:
                    rows += measure_links(opened_group, model, workers, links, hashes[model.preset], options)
    return rows


def fabrics(options: Options, workers: int) -> Iterator[tuple[Sequence[Link], AbstractContextManager["Group | str"]]]:
    """The links that one group of workers can have, and a context with that group, or with why there is none."""
    loopback, shaped = ([link for link in options.links if (link is None) is wanted] for wanted in (True, False))
    if loopback:
        yield loopback, Group(workers)
    if shaped:
        yield shaped, group_on_hosts(workers, min(shaped), options.congestion)


@contextmanager
def group_on_hosts(workers: int, slowest: float, congestion: str | None) -> Iterator[Group | str]:
    """`slowest`: Mbit/s, of all links to come. Packets stay as large as they are when connections are made."""
    if reason := available():
        yield reason
        return
    with hosts(workers, slowest) as own:
        for host in own if congestion else ():
            network = ip_interface(f"{host.address}/24").network  # a route's needs no permission from the machine
            host.run(["ip", "route", "replace", network, "dev", host.interface, "congctl", congestion])
        with Group(workers, own) as group:
            yield group


def measure_links(
    group: Group | str, model: Model, workers: int, links: Sequence[Link], expected: str, options: Options
) -> list[Row]:
    if isinstance(group, str):
        return [Row(model.preset, workers, name_of(link), {}, {}, {}, group) for link in links]
    prepared = prepare(group, model, [DDP, TREE, LATE], expected)
    rows = []
    for link in links:
        for host in group.hosts:
            host.shape(link)
        rows.append(measure(group, prepared, name_of(link), options))
    for host in group.hosts:
        host.shape(None)
    return rows


def name_of(link: Link) -> str:
    return LOOPBACK if link is None else f"{link:g} Mbit/s"


def prepare(group: Group, model: Model, reducers: Sequence[str], expected: str | None = None) -> Prepared:
    """Build a model with each reducer in all workers, take the first steps, and compare what came out.

    Args:
        reducers: the first is the peer, whose losses may differ from `tree`'s by rounding.
        expected: the state's hash under `tree` with one worker.

    Raises:
        SystemExit: ranks differ, or `tree` differs from one worker, or the peer computes something else.
    """
    answers = group.ask("prepare", model=vars(model), reducers=reducers, steps=FIRST_STEPS)
    outcomes, peer = answers[0]["reducers"], reducers[0]
    what = Row(model.preset, len(answers), NO_LINK, {}, {}, {}).name
    for name in reducers:
        if any(answer["reducers"][name] != outcomes[name] for answer in answers):
            raise SystemExit(f"{what}: the ranks differ under {name}")
        if name in (TREE, LATE) and outcomes[name]["hash"] != (expected or outcomes[TREE]["hash"]):
            raise SystemExit(f"{what}: {name} gives another state than one worker")
    differences = [difference_of(outcomes, peer, step) for step in range(FIRST_STEPS)]
    if not differences[0] < SAME_LOSS:
        raise SystemExit(f"{what}: {peer}'s losses differ from {TREE}'s by {differences[0]:.1e} at the first step")
    losses = {name: value for name, value in outcomes[TREE]["losses"][-1].items() if "loss" in name}
    print(
        f"{what}: after {FIRST_STEPS} steps {TREE} has the state {outcomes[TREE]['hash'][:12]}"
        f"{', as with 1 worker' if expected else ''}, and "
        f"{', '.join(f'{name} {value:.6f}' for name, value in losses.items())}; under {peer} losses and gradient norms "
        f"differ by at most {', '.join(f'{difference:.1e}' for difference in differences)} (relative, by step)",
        flush=True,
    )
    return Prepared(model, 2 * (1 - 1 / len(answers)) * answers[0]["gradient_bytes"], outcomes[TREE]["hash"])


def difference_of(outcomes: dict[str, Any], peer: str, step: int) -> float:
    """The largest relative difference of a loss or gradient norm from the tree's."""
    ours, theirs = outcomes[TREE]["losses"][step], outcomes[peer]["losses"][step]
    return max(abs(theirs[name] - value) / abs(value) for name, value in ours.items())


def measure(group: Group, prepared: Prepared, link: str, options: Options) -> Row:
    """Turns of all reducers, after a step of each that is not timed; the order is reversed every time."""
    workers = len(group.processes)
    names = [PLAIN, TREE] if workers == 1 else [DDP, TREE, LATE]
    row = Row(prepared.model.preset, workers, link, {name: [] for name in names}, {name: [] for name in names}, {})
    sent: dict[str, list[float]] = {name: [] for name in names}
    for name in names:
        group.ask("time", reducer=name, steps=1)
    for repeat in range(options.repeats):
        for name in names if repeat % 2 == 0 else reversed(names):
            before = traffic_of(group.hosts)
            answers = group.ask("time", reducer=name, steps=options.steps)
            row.seconds[name].append(max(answer["seconds"] for answer in answers) / options.steps)
            row.cpu[name].append(sum(answer["cpu"] for answer in answers) / options.steps)
            counted = sum(answer["sent"] for answer in answers)
            passed = traffic_of(group.hosts) - before if group.hosts else counted
            sent[name].append(passed / workers / options.steps)
    row.sent = {name: statistics.median(values) for name, values in sent.items()}
    if not group.hosts and workers > 1:
        row.sent[DDP] = prepared.ring_bytes
    print(row.line(), flush=True)
    return row


def traffic_of(group: Sequence[Host]) -> int:
    return sum(host.traffic().sent for host in group)


def write_noise(path: Path, size: int) -> str:
    generator = np.random.default_rng(0)
    with PackWriter(path, (size, size, 3)) as writer:
        for _ in range(IMAGES):
            writer.append(generator.integers(0, 256, (size, size, 3), dtype=np.uint8))
        writer.finish(About("noise", {"images": IMAGES}, None, []))
    return str(path)


def describe_machine(options: Options) -> str:
    own = CONGESTION.read_text().strip() if CONGESTION.exists() else "unknown"
    precisions = ", ".join(f"{model.preset} {model.config(TREE).train.precision}" for model in options.models)
    return (
        f"{cpu_model()}, {len(os.sched_getaffinity(0))} cores; {platform.system()} {platform.release()}; Python "
        f"{platform.python_version()}, torch {version('torch')} (gloo)\nTCP congestion control: {own} on loopback, "
        f"{options.congestion or own} on shaped links; precision: {precisions}; 1 thread a worker"
    )


def parse_link(text: str) -> Link:
    return None if text == LOOPBACK else float(text)


def parse_options(folder: Path, argv: Sequence[str] | None) -> Options:
    """Raises SystemExit after a line on standard error. Writes the images into `folder`."""
    parser = argparse.ArgumentParser(description="Step time of tree beside ddp, by model, link and number of workers.")
    parser.add_argument("--models", nargs="+", choices=PRESETS, default=PRESETS)
    parser.add_argument("--links", nargs="+", type=parse_link, default=[None, 1000.0, 100.0], metavar="LINK",
                        help="loopback, or a rate in Mbit/s (default: loopback 1000 100)")  # fmt: skip
    parser.add_argument("--workers", nargs="+", type=int, choices=range(1, 5), default=[1, 2, 4])
    parser.add_argument("--repeats", type=int, default=5, help="turns of each reducer, interleaved (default 5)")
    parser.add_argument("--steps", type=int, default=2, help="steps of a turn (default 2)")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    parser.add_argument("--congestion", choices=CONGESTIONS.read_text().split() if CONGESTIONS.exists() else (),
                        help="TCP's congestion control on shaped links (default: the machine's)")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="a tiny model, two turns of one step: does it work?")
    given = parser.parse_args(argv)
    for name in ("repeats", "steps"):
        if getattr(given, name) < 1:
            parser.error(f"--{name} {getattr(given, name)}: must be at least 1")
    if any(link is not None and not link > 0 for link in given.links):
        parser.error(f"--links {' '.join(map(name_of, given.links))}: a rate must be above 0")
    presets, overrides, size = given.models, [f"train.precision={given.precision}"], 64
    if given.quick:
        presets, overrides, size = PRESETS[:1], [*TINY, *overrides], 16
        given.workers, given.repeats, given.steps = [number for number in given.workers if number <= 2] or [2], 2, 1
    models = [Model(preset, overrides, str(folder / "noise")) for preset in presets]
    try:
        models[0].config(TREE)
    except UserError as error:
        parser.error(str(error))
    write_noise(folder / "noise", size)
    return Options(models, given.links, given.workers, given.repeats, given.steps, given.congestion, given.quick)


def main(argv: Sequence[str] | None = None) -> None:
    with tempfile.TemporaryDirectory(prefix="gb-") as folder:
        options = parse_options(Path(folder), argv)
        print(describe_machine(options), flush=True)
        try:
            rows = run(options)
        except HostsError as error:
            raise SystemExit(f"network namespaces: {error}") from None
    explained = notes(options.repeats, options.steps, options.workers, len(os.sched_getaffinity(0)))
    end = "A tiny model decides nothing." if options.quick else verdict(rows)
    print(f"\n{table(rows)}\n\n{explained}\n\n{end}")


if __name__ == "__main__":
    main()
