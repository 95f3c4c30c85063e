"""Spectral normalisation (Miyato, Kataoka, Koyama, Yoshida 2018) whose forward pass changes no state.

torch's own iterates in forward, so its result would depend on who computed which microbatch. Here the power
iteration is an action of the engine, once per phase that trains the module and before its first microbatch.

The matrix W of a convolution is out x (kh * kw * in), as channels_last weights lie in memory: it is not copied, and
the numbers do not depend on the weight's memory format.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from gen_dist.draws import Draws
from gen_dist.models.convolution import convolve

FIRST_ITERATIONS = 15  # as torch's parametrisation makes


class SpectralLayer(nn.Module):
    """Mixin in front of a layer with a `weight`; forward uses weight / sigma, sigma being its largest singular value.

    sigma = u' W v is differentiated with respect to W; the unit vectors u (out) and v (kh * kw * in) are constants.
    `u` and `v` are the committed ones. `next_u` and `next_v`, in no checkpoint, are those of the phase under way,
    which forward uses while `ahead`.
    """

    weight: Tensor
    u: Tensor
    v: Tensor
    next_u: Tensor
    next_v: Tensor

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        for name, size in (("u", len(self.weight)), ("v", self.weight[0].numel())):
            self.register_buffer(name, self.weight.detach().new_empty(size))
            # Kept, not made anew for each phase: a captured graph reads them where they were.
            self.register_buffer(f"next_{name}", self.weight.detach().new_empty(size), persistent=False)
        self.ahead = False

    def normalised_weight(self) -> Tensor:
        """weight / sigma, of the weight's type also under autocast."""
        u, v = (self.next_u, self.next_v) if self.ahead else (self.u, self.v)
        return _Normalise.apply(self.weight, u, v)


class SpectralConv2d(SpectralLayer, nn.Conv2d):
    def forward(self, x_NCHW: Tensor) -> Tensor:
        return convolve(x_NCHW, self.normalised_weight(), self.bias, self.stride[0], int(self.padding[0]))


class SpectralLinear(SpectralLayer, nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.normalised_weight(), self.bias)


def spectral_layers(module: nn.Module) -> dict[str, SpectralLayer]:
    """By path; the module itself is ''."""
    return {path: layer for path, layer in module.named_modules() if isinstance(layer, SpectralLayer)}


@torch.no_grad()
def iterate_spectral_norm(module: nn.Module) -> None:
    """From now on forward uses vectors that are one power iteration ahead of the committed ones.

    Doing it again before a commit changes nothing, since a phase may be computed again.
    """
    for layer in spectral_layers(module).values():
        u, v = iterate(as_matrix(layer.weight), layer.u)
        layer.next_u.copy_(u)
        layer.next_v.copy_(v)
        layer.ahead = True


@torch.no_grad()
def commit_spectral_norm(module: nn.Module) -> None:
    """The vectors of the last `iterate_spectral_norm`, if there are any, become the committed ones."""
    for layer in spectral_layers(module).values():
        if layer.ahead:
            layer.u.copy_(layer.next_u)
            layer.v.copy_(layer.next_v)
            layer.ahead = False


@torch.no_grad()
def initialise_spectral(name: str, module: nn.Module, draws: Draws) -> None:
    """First vectors of all spectral layers, once their weights have values: u at random, then 15 power iterations.

    In float64, so that another order of summation (another machine's) does not show after rounding.
    """
    for path, layer in spectral_layers(module).items():
        matrix = as_matrix(layer.weight).double()
        u = torch.from_numpy(draws.array(f"init/{name}/{path}.u", tuple(layer.u.shape))).to(matrix)
        for _ in range(FIRST_ITERATIONS):
            u, v = iterate(matrix, u)
        for vector, value in ((layer.u, u), (layer.v, v), (layer.next_u, u), (layer.next_v, v)):
            vector.copy_(value)
        layer.ahead = False


def iterate(matrix: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """The paper's algorithm 1: (u, v), of length 1, one power iteration after `u`, whose length does not matter."""
    with _full_precision(matrix.device):
        v = F.normalize(matrix.T @ u, dim=0)
        return F.normalize(matrix @ v, dim=0), v


def as_matrix(weight: Tensor) -> Tensor:
    """out x (kh * kw * in) of a convolution's out x in x kh x kw; a linear layer's out x in as it is."""
    return weight.permute(0, 2, 3, 1).flatten(1) if weight.dim() == 4 else weight


def _full_precision(device: torch.device) -> AbstractContextManager[Any]:
    """No autocast; the meta device has none."""
    known = torch.amp.is_autocast_available(device.type)
    return torch.autocast(device.type, enabled=False) if known else nullcontext()


class _Normalise(Function):
    """W / (u' W v); with w the result and g its gradient, W's is (g - <g, w> u v') / sigma.

    Written out, since autograd's own gradient of this reads and writes large weights several times more.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, u: Tensor, v: Tensor) -> Tensor:
        with _full_precision(weight.device):
            sigma = torch.dot(u, as_matrix(weight) @ v)
            normalised = weight / sigma
        ctx.save_for_backward(normalised, u, v, sigma)
        return normalised

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        normalised, u, v, sigma = ctx.saved_tensors
        with _full_precision(gradient.device):
            matrix = as_matrix(gradient)
            along = torch.dot(matrix.flatten(), as_matrix(normalised).flatten())
            matrix = torch.addr(matrix, u * -along, v).div_(sigma)
        if gradient.dim() == 2:
            return matrix, None, None
        out, channels, height, width = gradient.shape
        return matrix.view(out, height, width, channels).permute(0, 3, 1, 2), None, None
