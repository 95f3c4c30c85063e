"""What `gen-dist plan --bandwidth` does: measure this machine, say how many like it would do, and where that ends."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from gen_dist.cluster.link_ends import Link
from gen_dist.cluster.projection import LEAST_GAIN, Point, curve, where_half_is_lost, where_it_stops
from gen_dist.cluster.step_time import MESSAGE_SECONDS
from gen_dist.config import RunConfig
from gen_dist.engine.costs import Costs
from gen_dist.engine.hardware import detect_hardware, resolve_hardware
from gen_dist.engine.timing import Timing
from gen_dist.errors import UserError
from gen_dist.preparing.resolving import channels_of
from gen_dist.profiling.tables import aligned

Found = dict[str, Any]

ASSUMED = (
    "assumed: one worker a machine, all like this one; each with a link of its own, full rate both ways; a network "
    f"that holds nobody up; no stragglers; a message takes {1e3 * MESSAGE_SECONDS:g} ms of the processor to send or to "
    "receive"
)


def project_all(
    config: RunConfig, numbers: Sequence[int], bandwidths: Sequence[float], latency: float, weak: bool, seconds: float,
    report: Callable[[str], None],
) -> Found:  # fmt: skip
    """Measured costs, and a curve for every bandwidth (bytes per second), as plain values.

    Raises UserError for a step that no wanted number of workers can divide.
    """
    train = config.train
    if not weak and min(numbers) > train.microbatches:
        raise UserError(
            f"--workers {min(numbers)}: more than the batch has microbatches ({train.microbatches}); use a larger "
            "train.batch_size, or --weak"
        )
    config = resolve_hardware(config, [detect_hardware()])
    report(f"computing on this machine, {seconds:g} s")
    costs = measure(config, seconds)
    ring = config.train.reducer == "ddp"
    curves = []
    for rate in bandwidths:
        link = Link(rate, latency)
        points = curve(costs, link, numbers, train.microbatches, train.batch_size, ring=ring, weak=weak)
        curves.append({
            "megabits_per_second": 8e-6 * rate, "latency_milliseconds": 1e3 * latency,
            "points": list(map(describe, points)), "stops_paying_after": where_it_stops(points),
            "half_is_lost_from": where_half_is_lost(points),
        })  # fmt: skip
    sent = sum(phase.count * sum(vector.bytes for vector in phase.sent) for phase in costs.phases)
    return {
        "preset": config.preset, "weak": weak, "batch": train.batch_size, "microbatches": train.microbatches,
        "images_per_second_alone": train.microbatch_size / costs.microbatch, "megabytes_exchanged": 1e-6 * sent,
        "assumptions": ASSUMED, "curves": curves,
    }  # fmt: skip


def measure(config: RunConfig, seconds: float) -> Costs:
    timing = Timing(config, channels_of(config.data))
    try:
        return timing.measure(seconds)
    finally:
        timing.close()


def describe(point: Point) -> Found:
    return {
        "workers": point.workers, "step_seconds": point.parts.seconds, "images_per_second": point.images_per_second,
        "efficiency": point.efficiency, "parts": asdict(point.parts),
    }  # fmt: skip


def text(found: Found) -> list[str]:
    """For a terminal."""
    whose = "each worker's" if found["weak"] else "all workers'"
    lines = [
        f"{found['preset'] or 'run'}: {whose} batch {found['batch']}, {found['microbatches']} microbatches; a worker "
        f"alone {found['images_per_second_alone']:.4g} images/s; {found['megabytes_exchanged']:.1f} MB a step",
        ASSUMED,
    ]
    for one in found["curves"]:
        lines += ["", f"{one['megabits_per_second']:,.0f} Mbit/s, {one['latency_milliseconds']:g} ms"]
        rows = [["workers", "step", "images/s", "efficiency", "computing", "exchanging", "latency", "the rest"]]
        rows += [row(point) for point in one["points"]]
        lines += [*aligned(rows), stops(one)]
    return lines


def row(point: Found) -> list[str]:
    parts = [f"{point['parts'][name]:.3f} s" for name in ("compute", "exchange", "latency", "fixed")]
    rate, step = f"{point['images_per_second']:,.1f}", f"{point['step_seconds']:.3f} s"
    return [str(point["workers"]), step, rate, f"{point['efficiency']:.0%}", *parts]


def stops(curve: Found) -> str:
    number, half, most = curve["stops_paying_after"], curve["half_is_lost_from"], curve["points"][-1]["workers"]
    lost = f"; from {half} on, half of what each does alone is lost" if half else ""
    if number is None:
        return f"more workers pay up to {most}, as far as asked{lost}"
    return f"more than {number} do not pay: twice as many are less than {LEAST_GAIN:g} × as fast{lost}"
