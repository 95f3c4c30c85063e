"""Layers whose forward pass changes no state, and that get their random numbers as an argument.

torch's BatchNorm updates running statistics in forward, so its result would depend on who computed which
microbatch and would be applied twice when a phase is redone. Its Dropout draws from a global generator.
"""

from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gen_dist.draws import SampleDraws
from gen_dist.models.base import DropoutKind


class GhostBatchNorm(nn.Module):
    """Batch normalisation over one microbatch (ghost batch norm, Hoffer et al. 2017), for 2-D and 4-D input.

    In training each call appends a float64 vector (sum[C], sum of squares[C], count) to `emitted`. The engine takes
    these, sums them over the global batch and commits them to the running statistics at the end of the phase.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.empty(channels))
        self.register_buffer("running_mean", torch.empty(channels))
        self.register_buffer("running_var", torch.empty(channels))
        self.emitted: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        y, mean, invstd = torch.native_batch_norm(x, self.weight, self.bias, None, None, True, 0.0, self.eps)
        count = x.numel() // x.shape[1]
        # The kernel has already computed the moments: take them instead of reading x twice more.
        mean64, var64 = mean.detach().double(), invstd.detach().double().pow(-2) - self.eps
        total = torch.full((1,), float(count), dtype=torch.float64, device=x.device)
        self.emitted.append(torch.cat((mean64 * count, (var64 + mean64**2) * count, total)))
        return y

    def commit(self, emitted: Tensor) -> None:
        """One momentum step of the running statistics with (sum[C], sum of squares[C], count) of a global batch."""
        channels = self.running_mean.numel()
        total, squares, count = emitted[:channels], emitted[channels:-1], emitted[-1]
        mean = total / count
        variance = (squares / count - mean**2).clamp_min(0) * count / (count - 1).clamp_min(1)
        with torch.no_grad():
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
            self.running_var.lerp_(variance.to(self.running_var.dtype), self.momentum)


class RandomLayer(nn.Module):
    """A layer that takes its random numbers from the `draws` argument, under the name `site`."""

    def __init__(self, site: str) -> None:
        super().__init__()
        self.site = site


class Dropout(RandomLayer):
    """Zeroes each element with probability `p` and scales the rest by 1 / (1 - p) (Srivastava et al. 2014).

    With `kind` "channel" it zeroes whole maps (Tompson et al. 2015); of (N, C) input these are the elements.
    """

    def __init__(self, p: float, site: str, kind: DropoutKind = "element") -> None:
        super().__init__(site)
        self.p, self.kind = p, kind

    def forward(self, x: Tensor, draws: SampleDraws) -> Tensor:
        if not self.training or self.p == 0:
            return x
        shape = x.shape[1:] if self.kind == "element" else (x.shape[1], *(1 for _ in x.shape[2:]))
        keep = draws.uniform(self.site, *shape) >= self.p
        return x * keep.to(x.dtype) / (1 - self.p)


class Stack(nn.Sequential):
    """Layers one after the other; those that are random get the draws."""

    def forward(self, x: Tensor, draws: SampleDraws) -> Tensor:  # type: ignore[override]
        return self.part(x, draws, 0, len(self))

    def part(self, x: Tensor, draws: SampleDraws, first: int, end: int) -> Tensor:
        """Layers number `first` to `end` - 1 only."""
        for layer in islice(self, first, end):
            x = layer(x, draws) if isinstance(layer, RandomLayer) else layer(x)
        return x


class Reshape(nn.Module):
    """(N, ...) to (N, *shape)."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], *self.shape)


def norm_layers(module: nn.Module) -> list[GhostBatchNorm]:
    return [m for m in module.modules() if isinstance(m, GhostBatchNorm)]


Statistics = list[list[Tensor]]  # of each norm layer, of each call


def take_statistics(module: nn.Module) -> Statistics:
    """What the module's norm layers emitted since the last call, and forget it. A layer may have had no call."""
    taken = [list(layer.emitted) for layer in norm_layers(module)]
    for layer in norm_layers(module):
        layer.emitted.clear()
    return taken


def commit_statistics(module: nn.Module, reduced: Statistics) -> None:
    """Commit globally summed statistics, in the order of the calls: real before fake."""
    for layer, calls in zip(norm_layers(module), reduced, strict=True):
        for vector in calls:
            layer.commit(vector)
