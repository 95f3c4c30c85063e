"""One step: for each phase, for each owned microbatch: loss and backward; reduce; check; optimise; commit.

Knows neither ray, wandb nor files. (step, phase number) is the commit point: before it nothing has changed, so a
phase that was cut off can be computed again, by other ranks too.

A rank commits only when all have agreed, and agrees only when it holds the whole reduced gradient. So wherever a group
breaks, a rank that is one phase behind the others has what it needs to catch up by itself.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from gen_dist.data.loader import Loader, Microbatch
from gen_dist.draws import Draws
from gen_dist.engine.diagnosis import raise_if_reproduced
from gen_dist.engine.journal import Entry, Journal, copy_gradients
from gen_dist.engine.optimizers import clip_gradients, set_rate, total_norm
from gen_dist.engine.ownership import Ownership
from gen_dist.engine.program import PhaseProgram, freeze_all_but
from gen_dist.engine.reducer import Reducer, Work
from gen_dist.engine.state import State
from gen_dist.engine.stopwatch import HostClock, Stopwatch
from gen_dist.engine.tally import NOTHING, Asked, Tally, merge_paces, read_tally, write_tally
from gen_dist.errors import RunError
from gen_dist.events import Where
from gen_dist.models.casting import weights_cast_once
from gen_dist.models.growth import stage_of
from gen_dist.models.layers import Statistics, commit_statistics
from gen_dist.models.spectral import commit_spectral_norm, iterate_spectral_norm
from gen_dist.objectives.base import Committed, Objective, Phase


@dataclass(frozen=True)
class StepReport:
    """What every rank knows alike after a step: losses and gradient norms averaged over the batch."""

    losses: dict[str, float]
    stop: bool  # some rank was asked to stop
    pause: bool  # some rank was asked to let its group be changed
    tallies: tuple[tuple[str, Tally], ...]  # with the times of the phases before, by their names; "": not known
    pace: tuple[float, ...]  # each rank's seconds per microbatch in these phases; 0: not known
    exchange: float  # seconds of these that went into exchanging gradients, of the rank that waited least for others


@dataclass(frozen=True)
class Reduced:
    """A phase whose whole gradient this rank holds, in its parameters' `grad`; perhaps the others do not yet."""

    program: PhaseProgram
    losses: dict[str, float]
    statistics: dict[str, Statistics]
    norms: dict[str, float]
    tally: Tensor

    @property
    def finite(self) -> bool:
        return all(math.isfinite(value) for value in (*self.losses.values(), *self.norms.values()))


@dataclass
class Engine:
    objective: Objective
    state: State
    loader: Loader
    reducer: Reducer
    draws: Draws
    ownership: Ownership
    rank: int
    device: torch.device
    precision: str
    watch: Callable[[Where], None] = lambda where: None
    check: Callable[[], None] = lambda: None  # before every microbatch; raises where it is not worth computing
    programs: dict[str, PhaseProgram] = field(default_factory=dict)
    stage: Hashable = None  # of networks that grow: which parameters the programs were built around
    committed: list[Committed] = field(default_factory=list)  # phases of the step in progress
    tallies: list[tuple[str, Tensor]] = field(default_factory=list)  # theirs, by the name of the phase before
    reduced: Reduced | None = None
    journal: Journal | None = None  # of all that is committed, while a newcomer follows
    stopwatch: Stopwatch = field(default_factory=lambda: Stopwatch(HostClock()))
    before: str = ""  # the phase before, as far as this group has done one
    computed: int = 0  # its microbatches

    def step(self, asked: Asked = NOTHING) -> StepReport:
        """Do the next step and count it in `state.step`. One that was cut off goes on after its last committed phase.

        Raises:
            RunError: a gradient or loss was not finite, and again when computed once more elsewhere.
            FaultyRank: on one rank only.
        """
        while (phase := self.objective.next_phase(self.state.step, self.committed)) is not None:
            self.run_phase(len(self.committed), phase, asked)
        self.loader.release(self.state.step)
        self.state.go_to(self.state.step + 1)
        report = make_report(self.committed, self.tallies)
        self.committed, self.tallies = [], []
        return report

    def run_phase(self, number: int, phase: Phase, asked: Asked) -> None:
        self.reduced = None
        program = self.prepare(phase)
        for _ in range(2):
            reduced = self.compute(number, program, asked)
            self.reduced = reduced
            self.report(phase, "agree")
            self.stopwatch.mark("agree")
            if self.agree(reduced.finite):
                self.commit()
                return
            self.reduced = None
            raise_if_reproduced(self, number, program)
        raise RunError(f"step {self.state.step + 1}, {phase.name} phase: the reduced gradient was not finite, twice, "
                       "while every microbatch alone is finite: the sum overflows or a link corrupts data")  # fmt: skip

    def compute(self, number: int, program: PhaseProgram, asked: Asked) -> Reduced:
        """Gradients of the global batch into `grad`, and what was summed with them."""
        phase = program.phase
        self.report(phase, "data")
        work = self.load(number, phase, self.ownership.of(self.rank))
        self.report(phase, "compute")
        program.zero_grad(set_to_none=True)
        extra = self.tally(asked).to(self.device)
        with weights_cast_once(self.state.modules.values(), self.reducer.receive):
            numbers = self.reducer.accumulate(program, work, self.ownership, extra, self.loader.batching.batch_size)
        self.stopwatch.mark("optimise")
        self.computed = len(work)
        losses, statistics = program.unpack(numbers[: -len(extra)])
        means = dict(zip(program.loss_names, (losses / self.loader.batching.batch_size).tolist(), strict=True))
        norms = {name: total_norm(gradients_of(program, name)) for name in phase.trains}
        return Reduced(program, means, statistics, norms, numbers[-len(extra) :].cpu())

    def tally(self, asked: Asked) -> Tensor:
        """What this rank adds to a phase's, with its times of the phase before."""
        measured: dict[str, float] = {}
        if self.before:
            measured = self.loader.split_wait(self.stopwatch.take(self.before)) | {"microbatches": self.computed}
        return write_tally(asked, measured, self.rank, self.ownership.workers)

    def load(self, number: int, phase: Phase, indices: Sequence[int]) -> Work:
        """Microbatches of the batch that the phase reads, on the device, with their draws."""
        step = self.state.step
        if phase.read is None:
            microbatches = [self.without_images(index) for index in indices]
        else:
            self.stopwatch.mark("data_wait")
            loaded = self.loader.get(step, phase.read, indices)
            self.stopwatch.mark("to_device")
            microbatches = [replace(m, images=m.images.to(self.device)) for m in loaded]
        self.stopwatch.mark("other")
        return [(m, self.draws.at(step, number, m.positions, self.device)) for m in microbatches]

    def without_images(self, index: int) -> Microbatch:
        """For a phase that reads none: it still needs positions, which its draws are keyed by."""
        positions = self.loader.batching.positions(self.state.step, 0, index)
        return Microbatch(index, positions, np.empty(0, np.int64), torch.empty(0))

    def follow_growth(self) -> None:
        """Where other parameters have come into use, build anew what was built around them."""
        stage = stage_of(self.state.modules)
        if stage != self.stage:
            self.programs.clear()
            self.reducer.reset()
            self.stage = stage

    def commit(self) -> None:
        """Take the step of the reduced phase. Also what a rank does to catch up with others that have."""
        assert self.reduced is not None
        reduced, state = self.reduced, self.state
        program, phase = reduced.program, reduced.program.phase
        self.report(phase, "optimise")
        self.stopwatch.mark("optimise")
        if self.journal is not None and self.journal.is_whole:
            self.journal.write(self.entry(reduced))
        rates = {}
        for name in phase.trains:
            clip_gradients(state.settings, gradients_of(program, name), reduced.norms[name])
            rates[name] = set_rate(state.settings, name, state.optimizers[name], state.step)
            state.optimizers[name].step()
            commit_spectral_norm(state.modules[name])
            commit_statistics(state.modules[name], reduced.statistics[name])
            state.average(name)
        figures = prefixed("gradient_norm", reduced.norms) | prefixed("learning_rate", rates)
        self.committed.append(Committed(phase.name, reduced.losses | figures))
        self.tallies.append((self.before, reduced.tally))
        self.before, self.reduced = phase.name, None
        self.stopwatch.end_phase()
        self.report(phase, "commit")

    def entry(self, reduced: Reduced) -> Entry:
        program = reduced.program
        gradients = {name: copy_gradients(program.parameters_of(name)) for name in program.phase.trains}
        return Entry(
            self.state.step, len(self.committed), gradients, reduced.losses, reduced.statistics, reduced.norms,
            reduced.tally,
        )  # fmt: skip

    def replay(self, entry: Entry) -> None:
        """Commit a phase that others have committed, from the same state.

        Raises:
            ValueError: it is not the phase that comes next here.
        """
        phase = self.objective.next_phase(self.state.step, self.committed)
        if phase is None or (entry.step, entry.number) != (self.state.step, len(self.committed)):
            here = f"phase {len(self.committed) + 1} of step {self.state.step + 1}"
            raise ValueError(f"entry of phase {entry.number + 1} of step {entry.step + 1}: here {here} comes next")
        program = self.prepare(phase)
        for name, gradients in entry.gradients.items():
            for parameter, gradient in zip(program.parameters_of(name), gradients, strict=True):
                parameter.grad = None if gradient is None else gradient.to(parameter.device)
        self.reduced = Reduced(program, dict(entry.losses), dict(entry.statistics), dict(entry.norms), entry.tally)
        self.commit()

    def prepare(self, phase: Phase) -> PhaseProgram:
        """What comes before the first microbatch of a phase."""
        self.stopwatch.begin(self.state.step + 1, phase.name)
        self.follow_growth()
        program = self.program(phase)
        freeze_all_but(self.state.modules, phase.trains)
        for name in phase.trains:
            iterate_spectral_norm(self.state.modules[name])
        return program

    def join(self, reducer: Reducer, ownership: Ownership, rank: int) -> None:
        """Go on as this rank of another group."""
        self.reducer.reset()
        self.programs.clear()
        self.reducer, self.ownership, self.rank = reducer, ownership, rank
        self.stopwatch.reset()
        self.before = ""

    def agree(self, finite: bool) -> bool:
        """Whether all ranks find the phase finite: they must go on, or diagnose, together."""
        objections = torch.tensor([float(not finite)], dtype=torch.float64, device=self.device)
        return self.reducer.sum(objections, self.check).item() == 0

    def program(self, phase: Phase) -> PhaseProgram:
        """One program per phase name, kept, because a reducer builds buckets around it."""
        if phase.name not in self.programs:
            self.programs[phase.name] = PhaseProgram(
                phase,
                self.state.modules,
                self.device,
                self.precision,
                self.check,
                partial(self.report, phase, "reduce"),
                self.stopwatch.mark,
            )
        program = self.programs[phase.name]
        program.phase = phase
        return program

    def report(self, phase: Phase, stage: str) -> None:
        self.watch(Where(self.state.step + 1, phase.name, stage))


def make_report(committed: Sequence[Committed], numbers: Sequence[tuple[str, Tensor]]) -> StepReport:
    named = tuple((before, read_tally(sums)) for before, sums in numbers)
    tallies = [tally for _, tally in named]
    stop, pause = any(tally.stop for tally in tallies), any(tally.pause for tally in tallies)
    return StepReport(merge_losses(committed), stop, pause, named, *merge_paces(tallies))


def prefixed(prefix: str, values: dict[str, float]) -> dict[str, float]:
    return {f"{prefix}_{name}": value for name, value in values.items()}


def gradients_of(program: PhaseProgram, name: str) -> list[Tensor]:
    return [p.grad for p in program.parameters_of(name) if p.grad is not None]


def merge_losses(committed: Sequence[Committed]) -> dict[str, float]:
    """The step's losses; a name that several phases have is averaged over them."""
    collected: dict[str, list[float]] = {}
    for phase in committed:
        for name, value in phase.losses.items():
            collected.setdefault(name, []).append(value)
    return {name: sum(values) / len(values) for name, values in collected.items()}
