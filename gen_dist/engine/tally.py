"""What the ranks tell each other with every phase, beside losses and gradients: wishes, and where their time went."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gen_dist.step_times import COUNTED, MEASURED

_ROWS = (*MEASURED, *COUNTED)


@dataclass(frozen=True)
class Asked:
    """What a rank wants all ranks to do after this step."""

    stop: bool = False
    pause: bool = False


NOTHING = Asked()


@dataclass(frozen=True)
class Tally:
    """All ranks' sums, and what each rank measured in the phase before: R ranks.

    Attributes:
        measured: seconds of each part, float64 (len(MEASURED), R).
        counted: float64 (len(COUNTED), R). All 0 where the ranks do not know of a phase before.
    """

    stop: bool
    pause: bool
    measured: np.ndarray
    counted: np.ndarray

    @property
    def microbatches(self) -> np.ndarray:
        """Of each rank, float64 (R,)."""
        return self.counted[COUNTED.index("microbatches")]

    @property
    def knows(self) -> bool:
        """Whether it has the times of all ranks."""
        return bool((self.microbatches > 0).all())

    @property
    def pace(self) -> np.ndarray:
        """Each rank's seconds per microbatch, without waiting for others: comparable between ranks."""
        compute = self.measured[MEASURED.index("forward")] + self.measured[MEASURED.index("backward")]
        return compute / np.maximum(self.microbatches, 1)

    @property
    def exchange(self) -> float:
        """Seconds of exchanging gradients, of the rank that waited least for the others."""
        return float(self.measured[MEASURED.index("reduce")].min())


def write_tally(asked: Asked, measured: Mapping[str, float], rank: int, workers: int) -> Tensor:
    """What one rank adds to what all ranks are told, float64. `measured`: of MEASURED and COUNTED; nothing where this
    rank does not know of a phase before."""
    table = torch.zeros(len(_ROWS), workers, dtype=torch.float64)
    table[:, rank] = torch.tensor([measured.get(row, 0.0) for row in _ROWS], dtype=torch.float64)
    return torch.cat((torch.tensor([float(asked.stop), float(asked.pause)], dtype=torch.float64), table.view(-1)))


def read_tally(numbers: Tensor) -> Tally:
    stop, pause = numbers[:2].tolist()
    table = numbers[2:].view(len(_ROWS), -1).numpy()
    return Tally(stop > 0, pause > 0, table[: len(MEASURED)], table[len(MEASURED) :])


def merge_paces(tallies: Sequence[Tally]) -> tuple[tuple[float, ...], float]:
    """Of as many phases as a step has, between which the ranks may have changed: each rank's seconds per microbatch,
    and the seconds of exchanging gradients; zeros where they are not known of all phases."""
    ranks = len(tallies[-1].microbatches)
    if not all(tally.knows and len(tally.microbatches) == ranks for tally in tallies):
        return (0.0,) * ranks, 0.0
    return tuple(np.sum([t.pace for t in tallies], axis=0).tolist()), sum(t.exchange for t in tallies)
