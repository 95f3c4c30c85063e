"""What one worker does, with or without Ray: build the engine, step until done, tell the recorder.

config -> pack -> loader -> engine -> events. Every worker runs this; only the one that reports sends events.
"""

import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum

import torch
import torch.distributed as dist

from gen_dist.assignment import Assignment, Files
from gen_dist.checkpointing import check_checkpoint, checkpoint_facts, read_facts
from gen_dist.config import RunConfig
from gen_dist.data.pack import Pack
from gen_dist.data.pixels import kernels_used
from gen_dist.draws import Draws
from gen_dist.engine.allocator import keep_freed_memory
from gen_dist.engine.balance import LEAST_STEPS, Balancer
from gen_dist.engine.ddp import DDPReducer
from gen_dist.engine.engine import Engine, StepReport
from gen_dist.engine.journal import Entry, Journal
from gen_dist.engine.loading import build_loader
from gen_dist.engine.memory import explain_out_of_memory
from gen_dist.engine.reducer import Reducer
from gen_dist.engine.replicas import compare_states, send_state
from gen_dist.engine.state import State
from gen_dist.engine.stopwatch import Stopwatch, clock_of
from gen_dist.engine.tally import Asked
from gen_dist.engine.tree_reducer import TreeReducer
from gen_dist.events import Event, Timeline, Where
from gen_dist.garbage import collect_as_usual
from gen_dist.kernels.warm_up import warm_up
from gen_dist.objectives.build import build_objective
from gen_dist.objectives.ones import Ones
from gen_dist.reporting import Reporter, Step, is_due
from gen_dist.standing import Place, Standing

UNHASHED = "not hashed: a worker's state on its way to another"


class Ending(Enum):
    FINISHED = "finished"
    STOPPED = "stopped"
    PAUSED = "paused"


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
    collect_as_usual()
    trainer = Trainer(assignment, send, watch)
    try:
        trainer.join(trainer.first_place(), group)
        trainer.run(lambda: Asked(stop=stop()))
        return trainer.engine.state.step
    finally:
        trainer.leave()
        trainer.close()


class Trainer:
    """One worker's training: everything is built once, and steps are done in one group after another."""

    def __init__(
        self,
        assignment: Assignment,
        send: Callable[[Event], None],
        watch: Callable[[Where], None] = lambda where: None,
        check: Callable[[], None] = lambda: None,
        between_steps: Callable[["Trainer"], None] = lambda trainer: None,
    ) -> None:
        """`check` is called before every microbatch, and raises where it is not worth computing."""
        self.between_steps = between_steps
        self.assignment, self.config = assignment, assignment.config
        # Explicitly, after every import that might set it: gradients differ in their last bits between thread counts.
        torch.set_num_threads(self.config.train.threads)
        keep_freed_memory()
        self.pack = Pack.open(assignment.pack)
        # Before the loader's threads start, which would all compile.
        warm_up(*kernels_used(self.pack, self.config.data.augment))
        with explain_out_of_memory(self.config, self.pack.shape[2]):
            self.engine = build_engine(assignment, self.pack, watch, None, check)
        self.reporter = Reporter(self.engine, self.config, self.pack, send)
        self.first_step, self.send = self.engine.state.step, send
        self.group: dist.ProcessGroup | None = None
        self.balancer: Balancer | None = None
        self.unsettled: StepReport | None = None  # of the last step, until all ranks are known to hold the same state

    @property
    def standing(self) -> Standing:
        return Standing(self.engine.state.step, self.unsettled is None, len(self.engine.committed))

    def first_place(self) -> Place:
        """In a group that starts with the run."""
        assignment = self.assignment
        return Place(assignment.rank, assignment.ownership, self.standing, assignment.reports, self.standing.step)

    def join(self, place: Place, group: dist.ProcessGroup | None) -> None:
        """Go on in `group`, after catching up with those who are further. Collective in `rounding` mode."""
        self.catch_up(place.standing)
        if self.unsettled is not None:
            self.unsettled = replace(self.unsettled, pace=(0.0,))  # of the ranks of another group
        self.engine.join(build_reducer(self.config, group), place.ownership, place.rank)
        self.reporter.forget_times()
        self.group = group
        follows = self.config.cluster.follows_speed and place.ownership.workers > 1
        self.balancer = Balancer(place.ownership) if follows else None
        if self.config.train.reproducibility == "rounding" and self.standing.step > 0:
            send_state(self.engine.state, group)  # of one rank some may have had a part only
        if place.reports and not self.reporter.reports:
            self.reporter.take_over(place.recorded)
        self.reporter.reports = place.reports

    def catch_up(self, others: Standing) -> None:
        """By itself: a rank that is one phase behind holds what the others have committed."""
        if self.standing >= others:
            return
        engine = self.engine
        if (engine.state.step, len(engine.committed)) < (others.step, others.committed) and engine.reduced is not None:
            engine.commit()
        if engine.state.step < others.step:
            self.unsettled = engine.step()
        if self.unsettled is not None and others.settled:
            self.settle(None)
        if self.standing != others:
            raise RuntimeError(f"this worker is at {self.standing}, the others at {others}: too far to catch up")

    def run(self, asked: Callable[[], Asked]) -> Ending:
        """Step until the end, or until a rank asks for something else.

        Raises:
            RunError: the run cannot go on.
            RuntimeError: a collective failed, since the group broke; then `standing` says how far this worker is.
        """
        train = self.config.train
        with explain_out_of_memory(self.config, self.pack.shape[2]):
            while self.unsettled is not None or self.engine.state.step < train.steps:
                if self.unsettled is None:
                    self.unsettled = self.engine.step(asked())
                report = self.unsettled
                last = report.stop or self.engine.state.step == train.steps
                self.settle(hold_together(self.engine.state, self.config, self.group, last))
                self.between_steps(self)
                if report.stop:
                    return Ending.STOPPED
                if report.pause and self.engine.state.step < train.steps:
                    return Ending.PAUSED
        return Ending.FINISHED

    def settle(self, state_hash: str | None) -> None:
        """The last step is done with."""
        report, step = self.unsettled, self.engine.state.step
        assert report is not None
        last = report.stop or step == self.config.train.steps
        self.unsettled = None
        if self.balancer is not None and all(pace > 0 for pace in report.pace):  # 0: the first step of a group
            summed_in_tree = self.config.train.reducer == "tree"  # where uneven shares cost more of exchanging
            decided = self.balancer.note(report.pace, report.exchange if summed_in_tree else 0.0)
            if decided != self.engine.ownership:
                self.reporter.ownership_changed(step, decided)
            self.engine.ownership = decided
        self.reporter.step_done(Step(step, report, last, state_hash))
        self.trace(step, last)

    def trace(self, step: int, last: bool) -> None:
        """Begin to keep what the thread does, or say what it did."""
        stopwatch, first = self.engine.stopwatch, self.first_step + settling_steps(self.config)
        if step == first and self.config.train.trace_steps:
            stopwatch.settle()
            stopwatch.kept = []
        elif stopwatch.kept is not None and (last or step == first + self.config.train.trace_steps):
            stopwatch.settle()
            workers = self.engine.ownership.workers
            self.send(Timeline(self.engine.rank, workers, socket.gethostname(), stopwatch.kept))
            stopwatch.kept = None

    def snapshot(self) -> Files:
        """The state between two steps, as a checkpoint."""
        return self.engine.state.to_files(checkpoint_facts(self.config, self.pack), UNHASHED)

    def lend(self) -> Files:
        """A snapshot, and from now on a journal of what is committed after it."""
        files = self.snapshot()
        self.engine.journal = Journal(sum(map(len, files.values())))
        return files

    def follow(self, entries: Sequence[Entry]) -> None:
        """Commit what others, from whom the state came, have committed since."""
        engine = self.engine
        for entry in entries:
            engine.replay(entry)
            if engine.objective.next_phase(engine.state.step, engine.committed) is None:
                self.unsettled = engine.step()
                self.settle(None)

    def adopt(self, files: Files) -> None:
        """Go on from another worker's snapshot."""
        self.engine.state.load_files(files)
        self.engine.committed, self.engine.tallies, self.unsettled = [], [], None

    def leave(self) -> None:
        """The group, as it ends or before the others do."""
        self.engine.reducer.leave()

    def close(self) -> None:
        self.engine.loader.close()
        self.engine.reducer.reset()


def settling_steps(config: RunConfig) -> int:
    """How many steps pass until a run has its pace: memory is touched, code compiled, shares follow speed."""
    return 2 + 2 * LEAST_STEPS * config.cluster.follows_speed


def build_engine(
    assignment: Assignment,
    pack: Pack,
    watch: Callable[[Where], None],
    group: dist.ProcessGroup | None = None,
    check: Callable[[], None] = lambda: None,
) -> Engine:
    config = assignment.config
    device = torch.device(config.train.device)
    objective = build_objective(config)
    if assignment.only_exchanges:
        objective = Ones(objective)
    state = State.create(config, pack.shape[2], objective.shown, device)
    if assignment.resume is not None:
        check_checkpoint(read_facts(assignment.resume), checkpoint_facts(config, pack), "to resume")
        state.load_files(assignment.resume)
    elif assignment.init is not None:
        state.load_weights(assignment.init)
    loader = build_loader(config, pack, objective)
    return Engine(
        objective, state, loader, build_reducer(config, group), Draws(config.seed), assignment.ownership,
        assignment.rank, device, config.train.precision, watch, check, stopwatch=Stopwatch(clock_of(device)),
    )  # fmt: skip


def build_reducer(config: RunConfig, group: dist.ProcessGroup | None) -> Reducer:
    """`group`: None where there is only one rank, which always sums in the tree's order."""
    if group is not None and config.train.reducer == "ddp":
        return DDPReducer(group)
    return TreeReducer(group, config.cluster.timeout_seconds)


def hold_together(state: State, config: RunConfig, group: dist.ProcessGroup | None, last: bool) -> str | None:
    """When it is due, and before every checkpoint: make sure that all ranks hold the same state; returns its hash."""
    if not last and not is_due(state.step, config.train.hash_every, config.train.checkpoint_every):
        return None
    settle = compare_states if config.train.reproducibility == "bitwise" else send_state
    return settle(state, group)
