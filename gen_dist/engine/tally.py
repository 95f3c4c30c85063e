"""What the ranks tell each other with every phase, beside losses and gradients: wishes, waiting, speed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True)
class Asked:
    """What a rank wants all ranks to do after this step."""

    stop: bool = False
    pause: bool = False


NOTHING = Asked()


class Pace(NamedTuple):
    """Of one rank: seconds per microbatch, and seconds of exchanging gradients."""

    seconds: float = 0.0
    exchange: float = 0.0


UNKNOWN = Pace()


def write_tally(asked: Asked, waited: float, pace: Pace, rank: int, workers: int) -> Tensor:
    """What one rank adds to what all ranks are told, float64."""
    paces = torch.zeros(2, workers, dtype=torch.float64)
    paces[:, rank] = torch.tensor(pace, dtype=torch.float64)
    return torch.cat(
        (torch.tensor([float(asked.stop), float(asked.pause), waited], dtype=torch.float64), paces.view(-1))
    )


def read_tallies(tallies: Sequence[Tensor]) -> tuple[bool, bool, float, tuple[float, ...], float]:
    """The ranks' sums of a step's phases, between which the ranks may have changed, as the end of a StepReport."""
    stop, pause, waited = torch.stack([tally[:3] for tally in tallies]).sum(0).tolist()
    seconds, exchanges = tallies[-1][3:].view(2, -1).tolist()
    return stop > 0, pause > 0, waited, tuple(seconds), min(exchanges)


def sum_paces(paces: Iterable[Pace]) -> Pace:
    return Pace(*map(sum, zip(*paces, strict=True)))
