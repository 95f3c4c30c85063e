"""A run whose workers are Ray actors, here or on a cluster."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from gen_dist.cgroups import cpus
from gen_dist.cluster.job import Job
from gen_dist.cluster.placement import plan_workers
from gen_dist.cluster.session import list_nodes, own_address, ray_cluster
from gen_dist.config import RunConfig
from gen_dist.engine.ownership import decide_ownership
from gen_dist.launch.recording import Recording
from gen_dist.launch.request import Opened, Request, open_run, read_latest
from gen_dist.launch.signals import StopRequest, stop_on_signals


def run_with_ray(request: Request) -> int:
    """Train; returns the exit code."""
    with stop_on_signals(graceful=False) as stop:
        opened = open_run(request, print, stop.hold)
        recording = Recording(opened, 0, request.way, request.is_kept)
        with recording.failures_recorded():
            stop.release()
            steps = supervise(request, opened, recording, stop)
        return recording.end(steps, stop)


def supervise(request: Request, opened: Opened, recording: Recording, stop: StopRequest) -> int:
    """Start what is needed, train, end all of it; returns the number of finished steps."""
    config = opened.config
    microbatches, threads = config.train.microbatches, config.train.threads
    wish = request.wanted_workers(config)
    if wish.exactly and wish.most is not None:
        decide_ownership(microbatches, wish.most, config.cluster.shares)  # refuse before anything is started
    local_cpus = max(
        cpus(), (wish.most or 1) * threads if wish.exactly else 1
    )  # more workers than CPUs are allowed here
    with ray_cluster(request.address, local_cpus, config.cluster.object_store_mb):
        from gen_dist.cluster.supervisor import Supervisor  # imports ray, which reads its token when imported

        plan = plan_workers(list_nodes(), wish, microbatches, threads, config.train.device)
        if not request.is_kept:  # a measurement is of those that are there from the beginning
            plan = replace(plan, most=plan.workers, spares=0)
        recording.workers = plan.workers
        job = Job(
            config, opened.pack_path, opened.pack.content_hash, opened.resume, opened.init, opened.first_step,
            partial(read_latest, opened.folder), request.only_exchanges,
        )  # fmt: skip
        supervisor = Supervisor(job, plan, own_address(request.address), recording.handle)

        def begin(resolved: RunConfig, lines: Sequence[str]) -> None:
            recording.start(resolved, [*plan.describe(), *lines])
            stop.graceful = True

        return supervisor.run(partial(recording.asked_to_stop, stop), begin)
