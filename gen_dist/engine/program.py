"""One phase as one torch module: forward(microbatch, draws) -> (loss to minimise, numbers to reduce).

Only the trained modules are registered, so that parameters() and DistributedDataParallel see just these.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from gen_dist.data.loader import Microbatch
from gen_dist.draws import SampleDraws
from gen_dist.models.growth import parameters_in_use
from gen_dist.models.layers import Statistics, take_statistics
from gen_dist.objectives.base import Phase


class PhaseProgram(nn.Module):
    def __init__(
        self,
        phase: Phase,
        modules: Mapping[str, nn.Module],
        device: torch.device,
        precision: str,
        check: Callable[[], None] = lambda: None,
        reduces: Callable[[], None] = lambda: None,
        mark: Callable[[str], None] = lambda part: None,
    ) -> None:
        """`check` is called before every microbatch, and raises where it is not worth computing; `reduces` by the
        reducer, when what is left is the other ranks' part; `mark` with the part of `step_times` that begins."""
        super().__init__()
        self.phase = phase
        self.trained = nn.ModuleDict({name: modules[name] for name in phase.trains})
        self.others = {"all": modules}  # inside a dict, so that torch does not register them
        self.device, self.autocast = device, precision == "bf16"
        self.check, self.reduces, self.mark = check, reduces, mark
        self.loss_names: list[str] = []
        self.statistics_sizes: dict[str, list[list[int]]] = {}  # by module, norm layer and call

    def forward(self, microbatch: Microbatch, draws: SampleDraws) -> tuple[Tensor, Tensor]:
        """The loss summed over the microbatch, and one float64 vector: all losses, then batch-norm statistics."""
        self.mark("forward")
        self.check()
        modules = self.others["all"]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            losses = self.phase.loss(modules, microbatch, draws)
        self.loss_names = list(losses)
        numbers = [torch.stack([value.detach().double() for value in losses.values()])]
        for name, module in modules.items():
            taken = take_statistics(module)
            if name in self.trained:
                self.statistics_sizes[name] = [[len(vector) for vector in calls] for calls in taken]
                numbers += [vector for calls in taken for vector in calls]
        return losses[self.phase.minimises], torch.cat(numbers)

    def parameters_of(self, name: str) -> list[nn.Parameter]:
        return list(self.trained[name].parameters())

    def unpack(self, numbers: Tensor) -> tuple[Tensor, dict[str, Statistics]]:
        """Split a summed vector back into (losses, statistics by module)."""
        losses, rest = numbers[: len(self.loss_names)], numbers[len(self.loss_names) :]
        # In the order in which forward put them together: that of the modules, not of `trains`.
        places = {name: sizes for name in self.others["all"] if (sizes := self.statistics_sizes.get(name)) is not None}
        pieces = iter(rest.split([size for sizes in places.values() for calls in sizes for size in calls]))
        return losses, {name: [[next(pieces) for _ in calls] for calls in sizes] for name, sizes in places.items()}


def freeze_all_but(modules: Mapping[str, nn.Module], trained: tuple[str, ...]) -> None:
    """Others get no weight gradients: in the G phase that saves a third of D's backward, and its traffic."""
    for name, module in modules.items():
        module.requires_grad_(False)
        if name in trained:
            for parameter in parameters_in_use(module):
                parameter.requires_grad_(True)
