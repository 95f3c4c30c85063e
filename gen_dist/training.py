"""What one worker does, with or without Ray: build the engine, step until done, tell the recorder.

config -> pack -> loader -> engine -> events. Every worker runs this; only the one that reports sends events.
"""

import time
from collections.abc import Callable

import numpy as np
import torch
import torch.distributed as dist

from gen_dist.assignment import Assignment
from gen_dist.checkpointing import check_checkpoint, checkpoint_facts, read_facts
from gen_dist.config import RunConfig
from gen_dist.data.loader import Loader
from gen_dist.data.pack import Pack
from gen_dist.data.pixels import kernels_used
from gen_dist.data.stream import Batching
from gen_dist.draws import Draws
from gen_dist.engine.ddp import DDPReducer
from gen_dist.engine.engine import Engine, StepReport
from gen_dist.engine.memory import explain_out_of_memory
from gen_dist.engine.replicas import compare_states, send_state
from gen_dist.engine.state import State
from gen_dist.engine.tree_reducer import TreeReducer
from gen_dist.events import CheckpointReady, Event, Pictures, StepDone, Where
from gen_dist.health import Health
from gen_dist.kernels.warm_up import warm_up
from gen_dist.objectives.build import build_objective
from gen_dist.showing import COLUMNS, reconstruct_images, sample_images
from gen_dist.vital_signs import VitalSigns

SHOWN_SAMPLES, SHOWN_RECONSTRUCTIONS = 64, 32


def train(
    assignment: Assignment,
    send: Callable[[Event], None],
    stop: Callable[[], bool] = lambda: False,
    watch: Callable[[Where], None] = lambda where: None,
    group: dist.ProcessGroup | None = None,
) -> int:
    """Train to `train.steps`, or to the end of the step in which any rank's `stop` says True.

    `group`: of all the run's ranks; None where there is only one.

    Returns:
        The number of finished steps.
    """
    config = assignment.config
    # Explicitly, and after every import that might set it: gradients differ in their last bits between thread counts.
    torch.set_num_threads(config.train.threads)
    pack = Pack.open(assignment.pack)
    warm_up(*kernels_used(pack, config.data.augment))  # before the loader's threads start, which would all compile
    with explain_out_of_memory(config, pack.shape[2]):
        return train_on(pack, assignment, send, stop, watch, group)


def train_on(
    pack: Pack,
    assignment: Assignment,
    send: Callable[[Event], None],
    stop: Callable[[], bool],
    watch: Callable[[Where], None],
    group: dist.ProcessGroup | None,
) -> int:
    """Step until done; arguments and result as of `train`."""
    config, engine = assignment.config, build_engine(assignment, pack, watch, group)
    reporter = Reporter(engine, config, pack, send if assignment.reports else None)
    try:
        while engine.state.step < config.train.steps:
            report = engine.step(stop())
            last = report.stop or engine.state.step == config.train.steps
            reporter.step_done(report, last, hold_together(engine.state, config, group, last))
            if report.stop:
                break
        return engine.state.step
    finally:
        engine.loader.close()
        engine.reducer.reset()


def build_engine(
    assignment: Assignment, pack: Pack, watch: Callable[[Where], None], group: dist.ProcessGroup | None = None
) -> Engine:
    config = assignment.config
    device = torch.device(config.train.device)
    objective = build_objective(config)
    state = State.create(config, pack.shape[2], objective.shown, device)
    if assignment.resume is not None:
        check_checkpoint(read_facts(assignment.resume), checkpoint_facts(config, pack), "to resume")
        state.load_files(assignment.resume)
    elif assignment.init is not None:
        state.load_weights(assignment.init)
    batching = Batching(config.train.batch_size, config.train.microbatch_size, objective.reads_per_step)
    loader = Loader(
        pack, config.seed, batching, augment=config.data.augment, pixel_range=objective.pixel_range,
        threads=config.data.loader_threads, prefetch=config.data.prefetch,
    )  # fmt: skip
    reducer = DDPReducer(group) if group is not None and config.train.reducer == "ddp" else TreeReducer(group)
    return Engine(
        objective, state, loader, reducer, Draws(config.seed), batching, assignment.ownership, assignment.rank,
        device, config.train.precision, watch,
    )  # fmt: skip


def hold_together(state: State, config: RunConfig, group: dist.ProcessGroup | None, last: bool) -> str | None:
    """When it is due, and before every checkpoint: make sure that all ranks hold the same state; returns its hash."""
    if not last and not is_due(state.step, config.train.hash_every, config.train.checkpoint_every):
        return None
    settle = compare_states if config.train.reproducibility == "bitwise" else send_state
    return settle(state, group)


class Reporter:
    """Says what happened, when it is due. On ranks that do not report, `send` is None and nothing is computed."""

    def __init__(self, engine: Engine, config: RunConfig, pack: Pack, send: Callable[[Event], None] | None) -> None:
        self.engine, self.config, self.pack, self.send = engine, config, pack, send
        self.since, self.steps, self.waited = time.perf_counter(), 0, 0.0
        shown = engine.loader.stream.indices(np.arange(SHOWN_RECONSTRUCTIONS, dtype=np.int64))
        self.originals = pack.read(shown)
        self.vital_signs, self.health = VitalSigns(pack, engine.loader.stream), Health(config)

    def step_done(self, report: StepReport, last: bool, state_hash: str | None) -> None:
        self.steps, self.waited = self.steps + 1, self.waited + report.waited
        step, train = self.engine.state.step, self.config.train
        if self.send is None:
            return
        self.health.note(report.losses)
        # What is recorded does not depend on where the run was cut, so that a resumed run has the same record.
        shows = is_due(step, train.sample_every) or step == train.steps
        recorded = shows or is_due(step, train.log_every, train.hash_every) or step == 1
        perf = self.performance() if recorded else {}
        pictures = self.pictures(step) if last or shows else []
        figures = self.measure(pictures[0]) if shows else {}
        if recorded:
            shown = state_hash if is_due(step, train.hash_every) or step == train.steps else None
            self.send(StepDone(step, report.losses, perf, shown, figures))
        for picture in pictures:
            self.send(picture)
        for warning in self.health.judge(step, figures) if shows else []:
            self.send(warning)
        if last or is_due(step, train.checkpoint_every):
            facts = checkpoint_facts(self.config, self.pack)
            self.send(CheckpointReady(step, self.engine.state.to_files(facts, state_hash)))

    def performance(self) -> dict[str, float]:
        """Averages over the steps since the last call."""
        now = time.perf_counter()
        seconds = (now - self.since) / self.steps
        waiting = self.waited / self.steps / self.engine.ownership.workers
        self.since, self.steps, self.waited = now, 0, 0.0
        return {
            "images_per_second": self.config.train.batch_size / seconds,
            "step_seconds": seconds,
            "data_wait_fraction": min(1.0, waiting / seconds),
        }

    def pictures(self, step: int) -> list[Pictures]:
        """Samples, and reconstructions where the model makes any."""
        engine, modules = self.engine, self.engine.state.showing
        samples = sample_images(engine.objective, modules, self.config.seed, SHOWN_SAMPLES, engine.device)
        rows = reconstruct_images(engine.objective, modules, self.originals, engine.device)
        made = {"samples": samples, "reconstructions": rows}
        return [Pictures(step, kind, images, COLUMNS) for kind, images in made.items() if images is not None]

    def measure(self, samples: Pictures) -> dict[str, float]:
        engine = self.engine
        return self.vital_signs.measure(engine.objective, engine.state.showing, samples.images, engine.device)


def is_due(step: int, *every: int) -> bool:
    """Whether something that is done every so many steps is done after this one."""
    return any(step % steps == 0 for steps in every)
