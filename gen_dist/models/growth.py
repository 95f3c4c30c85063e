"""Networks that grow: which of their parts are in use is a pure function of the step, and no part of the state."""

from abc import abstractmethod
from collections.abc import Hashable, Iterable, Mapping

from torch import Tensor, nn


class GrowingModule(nn.Module):
    """A module whose layers all exist from step 0, of which the first stages use a few.

    Parts that are not in use take no part in forward, so their parameters' gradients stay None.
    """

    @property
    @abstractmethod
    def stage(self) -> Hashable:
        """Equal exactly while the same parameters are in use."""

    @abstractmethod
    def at_step(self, step: int) -> None:
        """Behave as after `step` finished steps, from now on."""

    @abstractmethod
    def in_use(self) -> Iterable[nn.Parameter]:
        """The parameters that the present stage uses."""

    @abstractmethod
    def reduce(self, x_NCHW: Tensor) -> Tensor:
        """Full-size images at the size of the present stage: averaged over squares."""

    @abstractmethod
    def shrink(self, x_NCHW: Tensor) -> Tensor:
        """Full-size images as they look at the present stage: averaged over squares, half faded in while it fades."""


def set_step(modules: Mapping[str, nn.Module], step: int) -> None:
    """Let all that grow behave as after `step` finished steps."""
    for module in modules.values():
        if isinstance(module, GrowingModule):
            module.at_step(step)


def stage_of(modules: Mapping[str, nn.Module]) -> Hashable:
    """Changes where other parameters come into use; what is built around parameters must then be built anew."""
    return tuple(module.stage for module in modules.values() if isinstance(module, GrowingModule))


def parameters_in_use(module: nn.Module) -> Iterable[nn.Parameter]:
    return module.in_use() if isinstance(module, GrowingModule) else module.parameters()


def as_generated(generator: nn.Module, x_NCHW: Tensor) -> Tensor:
    """Real images at the size and stage of the generator's."""
    return generator.shrink(x_NCHW) if isinstance(generator, GrowingModule) else x_NCHW
