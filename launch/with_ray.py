"""A run whose workers are Ray actors, here or on a cluster."""

from collections.abc import Sequence
from functools import partial

from gen_dist.cluster.placement import plan_workers
from gen_dist.cluster.session import list_nodes, own_address, ray_cluster
from gen_dist.config import RunConfig
from gen_dist.engine.ownership import decide_ownership
from gen_dist.launch.recording import Recording
from gen_dist.launch.request import Opened, Request, open_run
from gen_dist.launch.signals import StopRequest, stop_on_signals
from gen_dist.preparing.prepare import cpus


def run_with_ray(request: Request) -> int:
    """Train; returns the exit code."""
    with stop_on_signals(graceful=False) as stop:
        opened = open_run(request, print)
        recording = Recording(opened, 0, request.way)
        with recording.failures_recorded():
            steps = supervise(request, opened, recording, stop)
        return recording.end(steps, stop)


def supervise(request: Request, opened: Opened, recording: Recording, stop: StopRequest) -> int:
    """Start what is needed, train, end all of it; returns the number of finished steps."""
    config = opened.config
    microbatches, threads = config.train.microbatches, config.train.threads
    shares = config.cluster.shares
    wanted = request.wanted_workers(config)
    if wanted is not None:
        decide_ownership(microbatches, wanted, shares)  # refuse before anything is started
    local_cpus = max(cpus(), (wanted or 1) * threads)  # more workers than CPUs here are slow but allowed
    with ray_cluster(request.address, local_cpus, config.cluster.object_store_mb):
        from gen_dist.cluster.supervisor import Job, Supervisor  # imports ray, which reads its token when imported

        nodes = list_nodes()
        plan = plan_workers(nodes, wanted, microbatches, threads, config.train.device)
        ownership = decide_ownership(microbatches, plan.workers, shares)
        recording.workers = plan.workers
        job = Job(config, opened.pack_path, opened.pack.content_hash, ownership, opened.resume, opened.init)
        supervisor = Supervisor(job, plan, own_address(request.address), recording.handle)

        def begin(resolved: RunConfig, lines: Sequence[str]) -> None:
            recording.start(resolved, [*plan.describe(), *lines])
            stop.graceful = True

        return supervisor.run(partial(recording.asked_to_stop, stop), begin)
