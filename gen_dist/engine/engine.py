"""One step: for each phase, for each owned microbatch: loss and backward; reduce; check; optimise; commit.

Knows neither ray, wandb nor files. (step, phase number) is the commit point: before it nothing has changed, so a
phase can be computed again.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from gen_dist.data.loader import Loader, Microbatch
from gen_dist.data.stream import Batching
from gen_dist.draws import Draws
from gen_dist.engine.diagnosis import raise_if_reproduced
from gen_dist.engine.optimizers import clip_gradients, rate_at, set_rate
from gen_dist.engine.ownership import Ownership
from gen_dist.engine.program import PhaseProgram, freeze_all_but
from gen_dist.engine.reducer import Reducer, Work
from gen_dist.engine.state import State
from gen_dist.errors import RunError
from gen_dist.events import Where
from gen_dist.models.growth import stage_of
from gen_dist.models.layers import Statistics, commit_statistics
from gen_dist.models.spectral import commit_spectral_norm, iterate_spectral_norm
from gen_dist.objectives.base import Committed, Objective, Phase


@dataclass(frozen=True)
class StepReport:
    """What every rank knows alike after a step: losses and gradient norms averaged over the batch."""

    losses: dict[str, float]
    stop: bool  # some rank was asked to stop
    waited: float  # seconds that ranks waited for data, summed over ranks


@dataclass
class Engine:
    objective: Objective
    state: State
    loader: Loader
    reducer: Reducer
    draws: Draws
    batching: Batching
    ownership: Ownership
    rank: int
    device: torch.device
    precision: str
    watch: Callable[[Where], None] = lambda where: None
    programs: dict[str, PhaseProgram] = field(default_factory=dict)
    stage: Hashable = None  # of networks that grow: which parameters the programs were built around

    def step(self, stop: bool = False) -> StepReport:
        """Do the next step and count it in `state.step`.

        Raises:
            RunError: a gradient or loss was not finite, and again when computed once more elsewhere.
        """
        committed: list[Committed] = []
        asked, waited = 0.0, 0.0
        while (phase := self.objective.next_phase(self.state.step, committed)) is not None:
            losses, extra = self.run_phase(len(committed), phase, stop)
            committed.append(Committed(phase.name, losses))
            asked, waited = asked + extra[0], waited + extra[1]
        self.loader.release(self.state.step)
        self.state.go_to(self.state.step + 1)
        return StepReport(merge_losses(committed), asked > 0, waited)

    def run_phase(self, number: int, phase: Phase, stop: bool) -> tuple[dict[str, float], list[float]]:
        self.follow_growth()
        program = self.program(phase)
        freeze_all_but(self.state.modules, phase.trains)
        for name in phase.trains:
            iterate_spectral_norm(self.state.modules[name])
        for _ in range(2):
            reduced, extra = self.compute(number, program, stop)
            losses, statistics = program.unpack(reduced)
            norms = {name: gradient_norm(program, name) for name in phase.trains}
            means = dict(zip(program.loss_names, (losses / self.batching.batch_size).tolist(), strict=True))
            if self.agree(all(math.isfinite(value) for value in (*means.values(), *norms.values()))):
                self.commit(program, statistics, norms)
                rates = {name: rate_at(self.state.settings, name, self.state.step) for name in phase.trains}
                return {**means, **prefixed("gradient_norm", norms), **prefixed("learning_rate", rates)}, extra
            raise_if_reproduced(self, number, program)
        raise RunError(f"step {self.state.step + 1}, {phase.name} phase: the reduced gradient was not finite, twice, "
                       "while every microbatch alone is finite: the sum overflows or a link corrupts data")  # fmt: skip

    def compute(self, number: int, program: PhaseProgram, stop: bool) -> tuple[Tensor, list[float]]:
        """Gradients of the global batch into `grad`; the summed numbers, and [stop requests, seconds waited]."""
        phase = program.phase
        self.report(phase, "data")
        before = self.loader.waited
        work = self.load(number, phase, self.ownership.of(self.rank))
        waited = self.loader.waited - before
        self.report(phase, "compute")
        program.zero_grad(set_to_none=True)
        extra = torch.tensor([float(stop), waited], dtype=torch.float64, device=self.device)
        numbers = self.reducer.accumulate(program, work, self.ownership, extra, self.batching.batch_size)
        return numbers[: -len(extra)], numbers[-len(extra) :].tolist()

    def load(self, number: int, phase: Phase, indices: Sequence[int]) -> Work:
        """Microbatches of the batch that the phase reads, on the device, with their draws."""
        step = self.state.step
        if phase.read is None:
            microbatches = [self.without_images(index) for index in indices]
        else:
            microbatches = [
                replace(m, images=m.images.to(self.device)) for m in self.loader.get(step, phase.read, indices)
            ]
        return [(m, self.draws.at(step, number, m.positions, self.device)) for m in microbatches]

    def without_images(self, index: int) -> Microbatch:
        """For a phase that reads none: it still needs positions, which its draws are keyed by."""
        positions = self.batching.positions(self.state.step, 0, index)
        return Microbatch(index, positions, np.empty(0, np.int64), torch.empty(0))

    def follow_growth(self) -> None:
        """Where other parameters have come into use, build anew what was built around them."""
        stage = stage_of(self.state.modules)
        if stage != self.stage:
            self.programs.clear()
            self.reducer.reset()
            self.stage = stage

    def commit(self, program: PhaseProgram, statistics: dict[str, Statistics], norms: dict[str, float]) -> None:
        self.report(program.phase, "optimise")
        state = self.state
        for name in program.phase.trains:
            clip_gradients(state.settings, gradients_of(program, name), norms[name])
            set_rate(state.settings, name, state.optimizers[name], state.step)
            state.optimizers[name].step()
            commit_spectral_norm(state.modules[name])
            commit_statistics(state.modules[name], statistics[name])
            state.average(name)
        self.report(program.phase, "commit")

    def agree(self, finite: bool) -> bool:
        """Whether all ranks find the phase finite: they must go on, or diagnose, together."""
        objections = torch.tensor([float(not finite)], dtype=torch.float64, device=self.device)
        return self.reducer.sum(objections).item() == 0

    def program(self, phase: Phase) -> PhaseProgram:
        """One program per phase name, kept, because a reducer builds buckets around it."""
        if phase.name not in self.programs:
            self.programs[phase.name] = PhaseProgram(phase, self.state.modules, self.device, self.precision)
        program = self.programs[phase.name]
        program.phase = phase
        return program

    def report(self, phase: Phase, stage: str) -> None:
        self.watch(Where(self.state.step + 1, phase.name, stage))


def prefixed(prefix: str, values: dict[str, float]) -> dict[str, float]:
    return {f"{prefix}_{name}": value for name, value in values.items()}


def gradients_of(program: PhaseProgram, name: str) -> list[Tensor]:
    return [p.grad for p in program.parameters_of(name) if p.grad is not None]


def gradient_norm(program: PhaseProgram, name: str) -> float:
    return torch.nn.utils.get_total_norm(gradients_of(program, name)).item()


def merge_losses(committed: list[Committed]) -> dict[str, float]:
    """The step's losses; a name that several phases have is averaged over them."""
    collected: dict[str, list[float]] = {}
    for phase in committed:
        for name, value in phase.losses.items():
            collected.setdefault(name, []).append(value)
    return {name: sum(values) / len(values) for name, values in collected.items()}
