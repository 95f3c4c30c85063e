"""Who and what made a reduced gradient non-finite: every microbatch is computed again, alone, on two ranks.

With one worker it is the same rank twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gen_dist.engine.program import PhaseProgram
from gen_dist.errors import FaultyRank, RunError

if TYPE_CHECKING:
    from gen_dist.engine.engine import Engine


def raise_if_reproduced(engine: Engine, number: int, program: PhaseProgram) -> None:
    """Return if no microbatch is non-finite when computed again: then the phase may be redone.

    Collective: every rank calls it, since all see the same reduced numbers.

    Raises:
        RunError: a microbatch is non-finite both times (names step, phase, microbatch and sample indices), or on
            FaultyRank: on one of the two ranks only, its owner or the other.
    """
    count, workers = engine.loader.batching.microbatches, engine.ownership.workers
    verdicts = torch.zeros(2, count, dtype=torch.float64, device=engine.device)
    for attempt in range(2):
        for index in engine.ownership.of((engine.rank + attempt) % workers):
            verdicts[attempt, index] = not is_finite(engine, number, program, index)
    verdicts = engine.reducer.sum(verdicts, engine.check)
    where = f"step {engine.state.step + 1}, {program.phase.name} phase"
    for index, (first, again) in enumerate(verdicts.T.tolist()):
        owner = engine.ownership.owner(index)
        other = (owner - 1) % workers
        if first and again:
            raise RunError(
                f"{where}: microbatch {index} has a non-finite loss or gradient, on rank {owner} and again on rank "
                f"{other}; its samples: {samples_of(engine, program, index)}"
            )
        if first or again:
            times = f"rank {owner if first else other} only" if workers > 1 else "rank 0 in one of two computations"
            message = f"{where}: microbatch {index} is non-finite on {times}: that rank is faulty"
            raise FaultyRank(message, owner if first else other)


def is_finite(engine: Engine, number: int, program: PhaseProgram, index: int) -> bool:
    """Compute one microbatch of the current phase without touching any `grad`."""
    [(microbatch, draws)] = engine.load(number, program.phase, [index])
    loss, numbers = program(microbatch, draws)
    trained = [parameter for parameter in program.parameters() if parameter.requires_grad]
    gradients = torch.autograd.grad(loss, trained, allow_unused=True)
    return all(torch.isfinite(t).all().item() for t in (numbers, *(g for g in gradients if g is not None)))


def samples_of(engine: Engine, program: PhaseProgram, index: int) -> str:
    if program.phase.read is None:
        return "none, this phase reads no images"
    positions = engine.loader.batching.positions(engine.state.step, program.phase.read, index)
    return ", ".join(map(str, engine.loader.stream.indices(positions).tolist()))
