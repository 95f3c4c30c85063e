"""What the ranks tell each other with every phase, beside losses and gradients: wishes, and where their time went."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gen_dist.step_times import MEASURED

_ROWS = (*MEASURED, "microbatches")


@dataclass(frozen=True)
class Asked:
    """What a rank wants all ranks to do after this step."""

    stop: bool = False
    pause: bool = False


NOTHING = Asked()


@dataclass(frozen=True)
class Tally:
    """All ranks' sums.

    Attributes:
        measured: seconds of each part in the phase of this name the last time, float64 (len(MEASURED), R).
        microbatches: of each rank, then: float64 (R,). All 0 where the ranks do not know of a last time.
    """

    stop: bool
    pause: bool
    measured: np.ndarray
    microbatches: np.ndarray

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
        """Seconds in the collectives of the rank that waited least for the others."""
        return float(self.measured[MEASURED.index("reduce")].min())


def write_tally(asked: Asked, measured: Mapping[str, float], microbatches: int, rank: int, workers: int) -> Tensor:
    """What one rank adds to what all ranks are told, float64."""
    table = torch.zeros(len(_ROWS), workers, dtype=torch.float64)
    own = [measured.get(part, 0.0) for part in MEASURED] if microbatches else [0.0] * len(MEASURED)
    table[:, rank] = torch.tensor([*own, microbatches], dtype=torch.float64)
    return torch.cat((torch.tensor([float(asked.stop), float(asked.pause)], dtype=torch.float64), table.view(-1)))


def read_tally(numbers: Tensor) -> Tally:
    stop, pause = numbers[:2].tolist()
    table = numbers[2:].view(len(_ROWS), -1).numpy()
    return Tally(stop > 0, pause > 0, table[:-1], table[-1])


def merge_paces(tallies: Sequence[Tally]) -> tuple[tuple[float, ...], float]:
    """Of a step's phases, between which the ranks may have changed: each rank's seconds per microbatch, and the seconds
    of exchanging; zeros where they are not known of all phases."""
    ranks = len(tallies[-1].microbatches)
    if not all(tally.knows and len(tally.microbatches) == ranks for tally in tallies):
        return (0.0,) * ranks, 0.0
    return tuple(np.sum([t.pace for t in tallies], axis=0).tolist()), sum(t.exchange for t in tallies)
