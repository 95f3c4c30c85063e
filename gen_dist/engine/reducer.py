"""From the owned microbatches to the same summed gradient on every rank.

A reducer owns forward and backward of the owned microbatches, because reducing overlaps with the last backward.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from gen_dist.data.loader import Microbatch
from gen_dist.draws import SampleDraws
from gen_dist.engine.program import PhaseProgram

Work = Sequence[tuple[Microbatch, SampleDraws]]


class Reducer(Protocol):
    def accumulate(self, program: PhaseProgram, work: Work, extra: Tensor, batch_size: int) -> Tensor:
        """Leaves in every trained parameter's `grad` the gradient of the global batch's mean loss.

        Args:
            program: the phase; its parameters' `grad` must be None.
            work: the microbatches this rank owns, in order, with their draws; at least one.
            extra: float64 numbers of this rank that are summed over ranks.
            batch_size: images in the global batch.

        Returns:
            float64: the program's numbers summed over all microbatches, then `extra` summed over ranks.
        """
        ...

    def sum(self, numbers: Tensor) -> Tensor:
        """The sum of the ranks' float64 vectors, on every rank."""
        ...

    def close(self) -> None: ...


class LocalReducer:
    """One worker: nothing to exchange."""

    def accumulate(self, program: PhaseProgram, work: Work, extra: Tensor, batch_size: int) -> Tensor:
        numbers: list[Tensor] = []
        for microbatch, draws in work:
            loss, vector = program(microbatch, draws)
            (loss / batch_size).backward()
            numbers.append(vector)
        return torch.cat((torch.stack(numbers).sum(0), extra))

    def sum(self, numbers: Tensor) -> Tensor:
        return numbers

    def close(self) -> None:
        pass
