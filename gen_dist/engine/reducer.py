"""From the owned microbatches to the same summed gradient on every rank.

A reducer owns forward and backward of the owned microbatches, because reducing overlaps with them.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor

from gen_dist.data.loader import Microbatch
from gen_dist.draws import SampleDraws
from gen_dist.engine.ownership import Ownership
from gen_dist.engine.program import PhaseProgram
from gen_dist.models.casting import Receive

Work = Sequence[tuple[Microbatch, SampleDraws]]


class Reducer(Protocol):
    @property
    def receive(self) -> Receive | None:
        """Gets gradients of weights that were cast, which then do not come into `grad`; None: they do."""
        ...

    def accumulate(
        self, program: PhaseProgram, work: Work, ownership: Ownership, extra: Tensor, batch_size: int
    ) -> Tensor:
        """Leaves in every trained parameter's `grad` the gradient of the global batch's mean loss. Marks in the program
        when "backward" begins, and when it ends and only "reduce" is left.

        Args:
            program: the phase; its parameters' `grad` must be None.
            work: the microbatches this rank owns, in order, with their draws; at least one.
            ownership: who owns which of all microbatches.
            extra: float64 numbers of this rank that are summed over ranks.
            batch_size: images in the global batch.

        Returns:
            float64: the program's numbers summed over all microbatches, then `extra` summed over ranks.
        """
        ...

    def sum(self, numbers: Tensor, check: Callable[[], None]) -> Tensor:
        """The sum of the ranks' float64 numbers, of one shape, on every rank; for whole numbers, as any order will do.
        `check` raises where it is not worth waiting for."""
        ...

    def reset(self) -> None:
        """Forget what was built around the parameters: others come into use, or the run ends."""
        ...

    def leave(self) -> None:
        """This rank takes part no more, perhaps before the others have noticed that anything is wrong."""
        ...
