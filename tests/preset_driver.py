"""Runs one preset after the other on two Ray workers that stay: a process that reads and writes JSON, a line a run.

A run is what `gen-dist train` does between the start of Ray and its end. Starting Ray, and importing torch in two
workers, would take most of the time of a run of a few steps.

    python -m tests.preset_driver
"""

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from gen_dist.cluster.job import Job
from gen_dist.cluster.placement import Node, Wish, plan_workers
from gen_dist.cluster.session import list_nodes, ray_cluster
from gen_dist.launch.generating import Drawing, generate
from gen_dist.launch.recording import Recording
from gen_dist.launch.request import Request, open_run
from gen_dist.launch.signals import StopRequest

WORKERS = 2


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what runs print belongs to nobody's answer
    kept: list[Any] = []
    with ray_cluster(None, WORKERS, object_store_mb=100):
        for line in sys.stdin:
            order = json.loads(line)
            try:
                run(order["preset"], order["overrides"], Path(order["run"]), kept)
                if order["picture"]:
                    generate(Path(order["run"]), Path(order["picture"]), Drawing(4, seed=0), raw=False)
                answer = ""
            except Exception:
                answer = traceback.format_exc()
                dismiss(kept)  # one of them may be stuck
            print(json.dumps({"error": answer}), file=answers, flush=True)


def dismiss(workers: list[Any]) -> None:
    import ray

    for worker in workers:
        ray.kill(worker)
    workers.clear()


def run(preset: str, overrides: list[str], path: Path, kept: list[Any]) -> None:
    """Train `preset` in the folder `path`, or go on with what it holds, on the workers `kept`, or on new ones."""
    from gen_dist.cluster.member import Member
    from gen_dist.cluster.supervisor import Supervisor  # imports ray, which reads its token when imported

    class WithKeptWorkers(Supervisor):
        def new_member(self, node: Node, cpus: int | None = None) -> Member:
            if len(kept) <= self.hired:
                kept.append(super().new_member(node, cpus).actor)
            else:
                self.hired += 1
            return Member(self.hired - 1, node, kept[self.hired - 1])

        def dismiss(self, member: Member) -> None:
            """It has ended its run, and waits for the next."""

    stop = StopRequest()
    opened = open_run(
        Request(preset, overrides, Wish(1, WORKERS, exactly=True), None, False, "auto", None, path), print
    )
    recording = Recording(opened, WORKERS, "")
    with recording.failures_recorded():
        train = opened.config.train
        wish = Wish(1, WORKERS, exactly=True)
        plan = plan_workers(list_nodes(), wish, train.microbatches, train.threads, "cpu")
        job = Job(
            opened.config, opened.pack_path, opened.pack.content_hash, opened.resume, opened.init, opened.first_step
        )
        supervisor = WithKeptWorkers(job, plan, "127.0.0.1", recording.handle)
        steps = supervisor.run(lambda: False, recording.start)
    recording.end(steps, stop)


if __name__ == "__main__":
    main()
