"""What is trained: an objective asks for phases, a phase turns a microbatch into summed losses.

Data flow: microbatch + draws + modules -> losses summed over its samples. Nothing here knows of workers or optimisers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from gen_dist.data.loader import Microbatch
from gen_dist.draws import SampleDraws
from gen_dist.objectives.latent import Latent

Losses = dict[str, Tensor]
Loss = Callable[[Mapping[str, nn.Module], Microbatch, SampleDraws], Losses]


@dataclass(frozen=True)
class Phase:
    """One reduce and one optimiser step.

    Attributes:
        trains: names of the modules whose weights change.
        read: which of the step's real batches it sees; None for none.
        minimises: name of the loss whose gradient is taken.
        loss: returns scalars summed over the microbatch's samples; all of them are recorded.
    """

    name: str
    trains: tuple[str, ...]
    read: int | None
    minimises: str
    loss: Loss


@dataclass(frozen=True)
class Committed:
    """A finished phase of the current step and its losses, averaged over the global batch."""

    phase: str
    losses: dict[str, float]


class Objective(Protocol):
    reads_per_step: int  # real batches a step consumes
    pixel_range: tuple[float, float]  # what the images of a microbatch are scaled to
    shown: tuple[str, ...]  # modules that make pictures; the ones that EMA averages
    latent: Latent  # what new images are made from

    def next_phase(self, step: int, committed: Sequence[Committed]) -> Phase | None:
        """The phase to do next, or None when the step is done. Depends on globally reduced numbers only.

        `step` counts the steps done before; `committed` are the finished phases of this one. Where the loss is another
        one (an extra penalty, other modules), the name is another one too: what is compiled or wrapped belongs to it.
        """
        ...

    def decode(self, modules: Mapping[str, nn.Module], z_NZ: Tensor) -> Tensor:
        """The image of each latent, (N, C, H, W) in `pixel_range`."""
        ...

    def posterior_means(self, modules: Mapping[str, nn.Module], images: Tensor, draws: SampleDraws) -> Tensor | None:
        """The mean of each image's latent, (N, Z), or None where nothing encodes."""
        ...
