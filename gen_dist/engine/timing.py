"""What a step of a configuration costs this process: the real engine, alone, on noise in place of images."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean

import torch
from torch import Tensor

from gen_dist.config import RunConfig
from gen_dist.data.pixels import kernels_used
from gen_dist.draws import Draws
from gen_dist.engine.allocator import keep_freed_memory
from gen_dist.engine.costs import Costs, PhaseCosts, Sent
from gen_dist.engine.engine import Engine
from gen_dist.engine.exchange import Transfer
from gen_dist.engine.gradients import GradientStack
from gen_dist.engine.loading import build_loader
from gen_dist.engine.memory import explain_out_of_memory
from gen_dist.engine.ownership import Ownership
from gen_dist.engine.probe import Noise
from gen_dist.engine.program import PhaseProgram
from gen_dist.engine.reducer import Work
from gen_dist.engine.state import State
from gen_dist.engine.tree import Add
from gen_dist.engine.tree_reducer import TreeReducer
from gen_dist.events import Where
from gen_dist.kernels.warm_up import warm_up
from gen_dist.models.growth import stage_of
from gen_dist.objectives.base import Committed
from gen_dist.objectives.build import build_objective

OWNED = 8  # microbatches that are computed in a step: with fewer, less of the summing shows
LEAST_STEPS, MOST_STEPS = 3, 200
RARE_TIMES = 2  # how often a phase that most steps do not have is done; the first time is not counted
CYCLE = 1024  # steps over which phases are counted: some come only every so many

Clock = Callable[[], float]


@dataclass
class PhaseTimes:
    """Of one phase of one step; times as the clock shows them."""

    name: str
    began: float  # where the one before ended
    asked: float  # for its first microbatch
    computed: float = 0.0
    ended: float = 0.0
    owned: int = 0
    complete: list[tuple[int, float]] = field(default_factory=list)  # bytes of each vector, and when it was ready


class TimedReducer(TreeReducer):
    """Notes when the parts of `times` are done."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(None)
        self.clock = clock
        self.times: PhaseTimes

    def accumulate(
        self, program: PhaseProgram, work: Work, ownership: Ownership, extra: Tensor, batch_size: int
    ) -> Tensor:
        numbers = super().accumulate(program, work, ownership, extra, batch_size)
        now = self.clock()
        self.times.computed, self.times.owned = now, len(work)
        self.times.complete.append((numbers.numel() * numbers.element_size(), now))
        return numbers

    def keep(self, stack: GradientStack, add: Add, number: int, transfers: Sequence[Transfer]) -> None:
        super().keep(stack, add, number, transfers)
        if add.settles is not None:
            piece = stack.piece(add.settles, number)
            self.times.complete.append((piece.numel() * piece.element_size(), self.clock()))


class Timing:
    """An engine of `config`, whose device and precision are resolved; holds the model in memory until `close`.

    The thread count of this process becomes `train.threads`.

    Raises:
        RunError: a loss was not finite, or there is not enough memory.
    """

    def __init__(self, config: RunConfig, channels: int) -> None:
        torch.set_num_threads(config.train.threads)
        keep_freed_memory()
        self.config, self.channels, self.device = config, channels, torch.device(config.train.device)
        self.steps: list[list[PhaseTimes]] = []
        self.phases: list[PhaseTimes] = []  # of the step in progress
        self.losses: dict[str, float] = {}  # of the last step
        self.began = 0.0
        self.reducer = TimedReducer(self.clock)
        with explain_out_of_memory(config, channels):
            self.engine = self.build()
            for _ in range(2):  # the first step sets up what later ones use
                self.step()

    def build(self) -> Engine:
        config, train = self.config, self.config.train
        objective = build_objective(config)
        noise = Noise(config.seed, OWNED * train.microbatch_size, config.data.size, self.channels)
        warm_up(*kernels_used(noise, config.data.augment))
        state = State.create(config, self.channels, objective.shown, self.device)
        stage = stage_of(state.modules)
        state.go_to(train.steps)
        if stage_of(state.modules) == stage:  # else it grows, and costs most at its last size
            state.go_to(0)
        loader = build_loader(config, noise, objective)
        owned = min(OWNED, train.microbatches)
        others = [train.microbatches - owned] if train.microbatches > owned else []
        return Engine(
            objective, state, loader, self.reducer, Draws(config.seed),
            Ownership.from_shares([owned, *others]), 0, self.device, train.precision, self.note,
        )  # fmt: skip

    def measure(self, seconds: float) -> Costs:
        """The mean costs over steps that take `seconds` together, and at least three."""
        with explain_out_of_memory(self.config, self.channels):
            self.steps.clear()
            end = self.clock() + seconds
            while len(self.steps) < LEAST_STEPS or (self.clock() < end and len(self.steps) < MOST_STEPS):
                self.step()
            counts = self.count_phases()
            done = [phase for step in self.steps for phase in step]
            for name in counts.keys() - {phase.name for phase in done}:
                done += self.rare(name)
        return Costs(tuple(mean_costs([t for t in done if t.name == name], share) for name, share in counts.items()))

    def count_phases(self) -> dict[str, float]:
        """How often a step has each phase, from the measured steps' lengths and what the objective says of any step."""
        lengths = [len(step) for step in self.steps]
        names = Counter(name for step in range(CYCLE) for name in self.phase_names(step, lengths[step % len(lengths)]))
        return {name: times / CYCLE for name, times in names.items()}

    def phase_names(self, step: int, most: int) -> list[str]:
        """What the objective would do in a step, if its losses were those of the last one."""
        committed: list[Committed] = []
        while len(committed) < most and (phase := self.engine.objective.next_phase(step, committed)) is not None:
            committed.append(Committed(phase.name, self.losses))
        return [phase.phase for phase in committed]

    def rare(self, name: str) -> list[PhaseTimes]:
        """A phase that the measured steps did not have, in the next steps that do."""
        found: list[PhaseTimes] = []
        most = max(map(len, self.steps))
        first = self.engine.state.step
        for step in range(first, first + RARE_TIMES * CYCLE):
            if len(found) < RARE_TIMES and name in self.phase_names(step, most):
                self.engine.state.go_to(step)
                self.step()
                found += [phase for phase in self.phases if phase.name == name]
        return found[1:] or found

    def step(self) -> None:
        self.phases, self.began = [], self.clock()
        self.losses = self.engine.step().losses
        self.steps.append(self.phases)

    def note(self, where: Where) -> None:
        """The engine calls it; a phase ends with its `commit`."""
        now = self.clock()
        if where.stage == "data":
            self.phases.append(PhaseTimes(where.phase, self.began, now))
            self.reducer.times = self.phases[-1]
        elif where.stage == "commit":
            self.phases[-1].ended = self.began = now

    def clock(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def close(self) -> None:
        self.engine.loader.close()


def mean_costs(times: Sequence[PhaseTimes], share: float) -> PhaseCosts:
    """Of one phase; `share`: how often a step has it."""
    sent = tuple(
        Sent(times[0].complete[i][0], fmean(each.computed - each.complete[i][1] for each in times))
        for i in range(len(times[0].complete))
    )
    microbatch = fmean((each.computed - each.asked) / each.owned for each in times)
    fixed = fmean(each.ended - each.began - (each.computed - each.asked) for each in times)
    return PhaseCosts(times[0].name, share, microbatch, fixed, sent)
