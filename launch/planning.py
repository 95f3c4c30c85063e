"""What `gen-dist plan` does: measure, predict, and show."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from gen_dist.cgroups import cpus
from gen_dist.cluster.placement import Plan, Wish, plan_workers
from gen_dist.cluster.session import check_address, list_nodes, ray_cluster
from gen_dist.cluster.step_time import Batch, Cluster, Prediction, predict
from gen_dist.config import RunConfig
from gen_dist.engine.ownership import decide_ownership
from gen_dist.launch.plan import numbers_up_to
from gen_dist.preparing.resolving import channels_of

Found = dict[str, Any]


def predict_all(
    config: RunConfig, wanted: Sequence[int] | None, address: str | None, seconds: float, report: Callable[[str], None]
) -> Found:
    """Machines, links and a prediction for every number of workers, as plain values.

    Raises:
        UserError: what a run would refuse; RunError: a machine that cannot be measured.
    """
    train, shares = config.train, config.cluster.shares
    if wanted is None and shares is not None:
        wanted = [len(shares)]
    for number in wanted or ():
        decide_ownership(train.microbatches, number, shares)  # refuse before anything is started
    channels = channels_of(config.data)
    if address:
        check_address(address)
    local_cpus = max(cpus(), max(wanted or [1]) * train.threads)
    with ray_cluster(address, local_cpus, config.cluster.object_store_mb):
        from gen_dist.cluster.forecast import Forecast, Question  # imports ray

        nodes = list_nodes()

        def place(number: int | None) -> Plan:
            # As many as somebody asked for, or as many as `auto` may take: these are placed by memory too.
            wish = Wish(most=number) if wanted is None else Wish(number or 1, number, exactly=True)
            return plan_workers(nodes, wish, train.microbatches, train.threads, train.device)

        largest = place(max(wanted) if wanted else None)
        plans = [place(number) for number in wanted or numbers_up_to(largest.workers)]
        with Forecast(Question(config, channels, seconds), largest, report) as forecast:
            config, cluster = forecast.measure()
            places = {plan.workers: [forecast.nodes.index(node) for node in plan.nodes] for plan in plans}
    batch = Batch(train.microbatches, train.batch_size, config.cluster.follows_speed, shares)
    ring = config.train.reducer == "ddp"
    predictions = {number: predict(cluster, where, batch, ring) for number, where in places.items()}
    return describe(config, cluster, places, predictions)


def describe(
    config: RunConfig, cluster: Cluster, places: dict[int, list[int]], predictions: dict[int, Prediction]
) -> Found:
    machines = [
        {
            "host": machine.host,
            "images_per_second": {
                str(count): config.train.microbatch_size / costs.microbatch for count, costs in machine.costs.items()
            },
            "phases": [asdict(phase) for phase in machine.among(1).phases],
        }
        for machine in cluster.machines
    ]
    links = [
        {
            "from": cluster.machines[sender].host,
            "to": cluster.machines[receiver].host,
            "megabits_per_second": 8e-6 * link.bytes_per_second,
            "latency_milliseconds": 1e3 * link.latency_seconds,
        }
        for (sender, receiver), link in sorted(cluster.links.items())
    ]
    rows = [
        {
            "workers": number,
            "hosts": [cluster.machines[place].host for place in places[number]],
            "shares": list(prediction.shares),
            "step_seconds": prediction.parts.seconds,
            "images_per_second": prediction.images_per_second,
            "efficiency": prediction.efficiency,
            "bottleneck": prediction.bottleneck,
            "parts": asdict(prediction.parts),
        }
        for number, prediction in predictions.items()
    ]
    batch = {"images": config.train.batch_size, "microbatches": config.train.microbatches}
    return {"preset": config.preset, "batch": batch, "machines": machines, "links": links, "predictions": rows}


TITLES = ("workers", "step", "images/s", "efficiency", "shares", "bottleneck")


def table(found: Found) -> list[str]:
    """For a terminal: machines, links, then a row for every number of workers, in aligned columns."""
    batch = found["batch"]
    lines = [f"{found['preset'] or 'run'}: {batch['images']} images a step = {batch['microbatches']} microbatches"]
    for machine in found["machines"]:
        speeds = [
            f"{speed:,.1f} images/s {'alone' if count == '1' else f'each when {count} compute'}"
            for count, speed in machine["images_per_second"].items()
        ]
        lines.append(f"{machine['host']}: a worker computes {', '.join(speeds)}")
    for link in found["links"]:
        local = link["from"] == link["to"]
        where = link["from"] if local else f"{link['from']} to {link['to']}"
        megabits, milliseconds = link["megabits_per_second"], link["latency_milliseconds"]
        lines.append(f"{where}: {megabits:,.0f} Mbit/s, {milliseconds:.2f} ms" + ", within it" * local)
    rows = [
        (
            str(row["workers"]),
            f"{row['step_seconds']:.3f} s",
            f"{row['images_per_second']:,.1f}",
            f"{row['efficiency']:.0%}",
            ",".join(map(str, row["shares"])),
            row["bottleneck"],
        )
        for row in found["predictions"]
    ]
    widths = [max(map(len, column)) for column in zip(TITLES, *rows, strict=True)]
    columns = [
        "  ".join(
            cell.ljust(width) if i >= 4 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in (TITLES, *rows)
    ]
    return [*lines, "", *(line.rstrip() for line in columns)]
